-- Accounts: who people are, how they prove it, what they are in which org, and mail that waits to be sent.
--
-- Of passwords there are argon2id hashes, of every token a digest. A user belongs to no org: what a tenant sees of users
-- are those who are members of its own.

CREATE TABLE users (
    id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_name_length CHECK (char_length(name) BETWEEN 1 AND 200)
);

-- What proves that somebody is a user. Only what was verified is here; further kinds are rows, never columns of users.
CREATE TABLE identities (
    kind text NOT NULL,
    -- Of `email`: the address, normalised.
    subject text NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT identities_pkey PRIMARY KEY (kind, subject),
    CONSTRAINT identities_user_fk FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT identities_kind_known CHECK (kind IN ('email'))
);
CREATE INDEX identities_by_user ON identities (user_id);

CREATE TABLE passwords (
    user_id uuid NOT NULL,
    -- A PHC string: algorithm, parameters, salt and hash.
    hash text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT passwords_pkey PRIMARY KEY (user_id),
    CONSTRAINT passwords_user_fk FOREIGN KEY (user_id) REFERENCES users (id)
);

-- What was asked for and not confirmed yet: it becomes a user, or is forgotten.
CREATE TABLE sign_ups (
    id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    hash text NOT NULL,
    -- Of the token in the newest mail; none before the first one.
    digest bytea,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    CONSTRAINT sign_ups_pkey PRIMARY KEY (id),
    CONSTRAINT sign_ups_digest_once UNIQUE (digest)
);
CREATE INDEX sign_ups_expiring ON sign_ups (expires_at);

-- Somebody has asked for a new password for an address, whether there is an account or not.
CREATE TABLE password_resets (
    id uuid NOT NULL,
    email text NOT NULL,
    digest bytea,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
    CONSTRAINT password_resets_pkey PRIMARY KEY (id),
    CONSTRAINT password_resets_digest_once UNIQUE (digest)
);
CREATE INDEX password_resets_expiring ON password_resets (expires_at);
CREATE INDEX password_resets_by_email ON password_resets (email);

CREATE TABLE sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    digest bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    -- Its end, however busy it is.
    expires_at timestamptz NOT NULL,
    address text,
    user_agent text,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_fk FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT sessions_digest_once UNIQUE (digest)
);
CREATE INDEX sessions_by_user ON sessions (user_id, id);
CREATE INDEX sessions_expiring ON sessions (expires_at);

-- Devices that wait for a user to let them in (RFC 8628).
CREATE TABLE device_logins (
    id uuid NOT NULL,
    digest bytea NOT NULL,
    user_code text NOT NULL,
    -- What it calls itself, and where it is: for the user who decides.
    client text NOT NULL,
    address text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '10 minutes',
    asked_at timestamptz,
    decided_at timestamptz,
    -- Who has let it in; none once decided: it was denied.
    user_id uuid,
    CONSTRAINT device_logins_pkey PRIMARY KEY (id),
    CONSTRAINT device_logins_user_fk FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT device_logins_digest_once UNIQUE (digest),
    CONSTRAINT device_logins_code_once UNIQUE (user_code)
);
CREATE INDEX device_logins_expiring ON device_logins (expires_at);

-- Tries at what may be tried so often only: per account, per address. The key is a digest of both.
CREATE TABLE throttles (
    key bytea NOT NULL,
    -- When everything that was tried is paid off.
    free_at timestamptz NOT NULL,
    CONSTRAINT throttles_pkey PRIMARY KEY (key)
);
CREATE INDEX throttles_paid_off ON throttles (free_at);

-- Mail to be sent. What it says is made when it is sent, so no token in clear is ever here.
CREATE TABLE mails (
    id uuid NOT NULL,
    kind text NOT NULL,
    -- The sign-up, reset, invitation or user that it is about.
    subject uuid NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mails_pkey PRIMARY KEY (id),
    CONSTRAINT mails_kind_known CHECK (kind IN ('sign_up', 'reset', 'password_changed', 'invitation'))
);
CREATE INDEX mails_due ON mails (due_at);

CREATE TABLE memberships (
    org_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    -- Whether the org was made with the account: where its user works unless another one is named.
    personal boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT memberships_pkey PRIMARY KEY (org_id, user_id),
    CONSTRAINT memberships_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT memberships_user_fk FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT memberships_role_known
        CHECK (role IN ('owner', 'admin', 'developer', 'viewer', 'teacher', 'student', 'parent'))
);
CREATE INDEX memberships_by_user ON memberships (user_id);
CREATE UNIQUE INDEX memberships_one_personal ON memberships (user_id) WHERE personal;

CREATE TABLE invitations (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    role text NOT NULL,
    digest bytea,
    invited_by_user uuid,
    invited_by_key uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '7 days',
    accepted_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT invitations_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT invitations_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT invitations_by_user_fk FOREIGN KEY (invited_by_user) REFERENCES users (id),
    CONSTRAINT invitations_by_key_fk FOREIGN KEY (org_id, invited_by_key) REFERENCES keys (org_id, id),
    CONSTRAINT invitations_by_one CHECK (num_nonnulls(invited_by_user, invited_by_key) = 1),
    CONSTRAINT invitations_ended_once CHECK (num_nonnulls(accepted_at, revoked_at) <= 1),
    CONSTRAINT invitations_digest_once UNIQUE (digest),
    CONSTRAINT invitations_role_known
        CHECK (role IN ('owner', 'admin', 'developer', 'viewer', 'teacher', 'student', 'parent'))
);
CREATE INDEX invitations_by_id ON invitations (id);
CREATE UNIQUE INDEX invitations_one_open ON invitations (org_id, email) WHERE accepted_at IS NULL AND revoked_at IS NULL;

ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE identities ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE passwords ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE sign_ups ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE password_resets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE device_logins ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE throttles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE mails ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE memberships ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE invitations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- Signing in is nobody's tenant yet.
CREATE POLICY users_accounts ON users TO alphagate_system USING (true) WITH CHECK (true);
CREATE POLICY identities_accounts ON identities TO alphagate_system USING (true) WITH CHECK (true);
CREATE POLICY passwords_accounts ON passwords TO alphagate_system USING (true) WITH CHECK (true);
CREATE POLICY sign_ups_accounts ON sign_ups TO alphagate_system USING (true) WITH CHECK (true);
CREATE POLICY password_resets_accounts ON password_resets TO alphagate_system USING (true) WITH CHECK (true);
CREATE POLICY sessions_accounts ON sessions TO alphagate_system USING (true) WITH CHECK (true);
CREATE POLICY device_logins_accounts ON device_logins TO alphagate_system USING (true) WITH CHECK (true);
CREATE POLICY throttles_accounts ON throttles TO alphagate_system USING (true) WITH CHECK (true);
CREATE POLICY mails_courier ON mails TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (name) ON users TO alphagate_system;
GRANT SELECT, INSERT ON identities TO alphagate_system;
GRANT SELECT, INSERT, UPDATE (hash, changed_at) ON passwords TO alphagate_system;
GRANT SELECT, INSERT, DELETE, UPDATE (digest) ON sign_ups TO alphagate_system;
GRANT SELECT, INSERT, DELETE, UPDATE (digest) ON password_resets TO alphagate_system;
GRANT SELECT, INSERT, DELETE, UPDATE (digest, seen_at, address, user_agent) ON sessions TO alphagate_system;
GRANT SELECT, INSERT, DELETE, UPDATE (asked_at, decided_at, user_id) ON device_logins TO alphagate_system;
GRANT SELECT, INSERT, DELETE, UPDATE (free_at) ON throttles TO alphagate_system;
GRANT SELECT, INSERT, DELETE, UPDATE (attempts, due_at) ON mails TO alphagate_system;

CREATE POLICY memberships_own ON memberships TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY memberships_of_callers ON memberships FOR SELECT TO alphagate_system USING (true);
CREATE POLICY memberships_first_of_an_org ON memberships FOR INSERT TO alphagate_system
    WITH CHECK (role = 'owner');
GRANT SELECT, INSERT, DELETE, UPDATE (role) ON memberships TO alphagate_tenant;
GRANT SELECT, INSERT ON memberships TO alphagate_system;

CREATE POLICY invitations_own ON invitations TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
-- A mail is written for any org; whoever shows its token is not in the org yet.
CREATE POLICY invitations_by_mail ON invitations FOR SELECT TO alphagate_system USING (true);
CREATE POLICY invitations_token ON invitations FOR UPDATE TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (accepted_at, revoked_at, digest) ON invitations TO alphagate_tenant;
GRANT SELECT, UPDATE (digest) ON invitations TO alphagate_system;

-- What an org sees of users: the names and addresses of its own members.
CREATE POLICY users_members ON users FOR SELECT TO alphagate_tenant
    USING (EXISTS (SELECT FROM memberships m WHERE m.user_id = users.id));
CREATE POLICY identities_members ON identities FOR SELECT TO alphagate_tenant
    USING (EXISTS (SELECT FROM memberships m WHERE m.user_id = identities.user_id));
GRANT SELECT (id, name) ON users TO alphagate_tenant;
GRANT SELECT (kind, subject, user_id) ON identities TO alphagate_tenant;
-- An org sends its own invitations, and no other mail.
CREATE POLICY mails_invitations ON mails FOR INSERT TO alphagate_tenant
    WITH CHECK (kind = 'invitation' AND EXISTS (SELECT FROM invitations i WHERE i.id = mails.subject));
GRANT INSERT (id, kind, subject) ON mails TO alphagate_tenant;

-- An org renames itself.
CREATE POLICY orgs_rename ON orgs FOR UPDATE TO alphagate_tenant
    USING (id = (SELECT app_org())) WITH CHECK (id = (SELECT app_org()));
GRANT UPDATE (name) ON orgs TO alphagate_tenant;

-- A key may be bound to endpoints, by the names that its org has for them. None: all of them.
ALTER TABLE keys
    ADD COLUMN endpoints text[],
    ADD CONSTRAINT keys_endpoints_number CHECK (cardinality(endpoints) BETWEEN 1 AND 100),
    ADD CONSTRAINT keys_endpoints_are_called CHECK (endpoints IS NULL OR scopes = ARRAY['call']);

-- What was a key's doing may be a user's. Older programs write keys only.
ALTER TABLE gates
    ALTER COLUMN changed_by DROP NOT NULL,
    ADD COLUMN changed_by_user uuid,
    ADD CONSTRAINT gates_changed_by_user_fk FOREIGN KEY (changed_by_user) REFERENCES users (id),
    ADD CONSTRAINT gates_changed_by_one CHECK (num_nonnulls(changed_by, changed_by_user) = 1);
GRANT UPDATE (changed_by_user) ON gates TO alphagate_tenant;
ALTER TABLE publications
    ADD COLUMN created_by_user uuid,
    ADD COLUMN forced_by_user uuid,
    ADD CONSTRAINT publications_created_by_user_fk FOREIGN KEY (created_by_user) REFERENCES users (id),
    ADD CONSTRAINT publications_forced_by_user_fk FOREIGN KEY (forced_by_user) REFERENCES users (id);

-- As before; forced by a key or by a user.
CREATE OR REPLACE FUNCTION decided_by_publication(org uuid, endpoint uuid, wanted integer, share smallint) RETURNS boolean
    LANGUAGE sql
    BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM publications p
        WHERE p.org_id = org AND p.endpoint_id = endpoint AND p.version = wanted
            AND p.canary_percent IS NOT DISTINCT FROM share
            AND p.state = 'live' AND p.xmin = pg_current_xact_id()::xid
            AND (num_nonnulls(p.forced_by, p.forced_by_user) > 0 OR NOT EXISTS (
                SELECT FROM gate_evals g
                WHERE g.org_id = org AND g.endpoint_id = endpoint AND NOT EXISTS (
                    SELECT FROM verdicts v
                    JOIN gate_runs r ON r.org_id = v.org_id AND r.run_id = v.run_id
                    WHERE v.org_id = p.org_id AND v.publication_id = p.id AND v.verdict = 'passed'
                        AND v.eval_id = g.eval_id AND v.data_digest = g.data_digest AND v.thresholds = g.thresholds
                        AND r.endpoint_id = p.endpoint_id AND r.version = p.version AND r.eval_id = v.eval_id
                        AND r.eval_revision = v.eval_revision AND r.data_digest = v.data_digest
                        AND r.ended_at IS NOT NULL
                )
            ))
    );
    END;
