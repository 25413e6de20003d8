-- The audit trail: who changed what, from where; and the chain that shows whether anybody changed the trail.
--
-- Nobody may change or delete an entry or a link: the groups have no such grant. An entry is written in the transaction
-- that makes the change, and announced in `audit_pending`; the sequencer links what is announced, org by org.

CREATE TABLE audit (
    -- The org, or 32 zeros: the installation itself. So no foreign key, and nothing that an org's end would take along.
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    -- That in the id, so that a filter on time is a range of ids.
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    -- Key or user; none: the operator, or the system itself.
    actor_id text,
    session text,
    role text,
    action text NOT NULL,
    verb text NOT NULL,
    subject_kind text NOT NULL,
    subject_id text NOT NULL,
    address text,
    user_agent text,
    request text,
    -- json, not jsonb: digests are of the text.
    before json,
    after json,
    CONSTRAINT audit_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT audit_actor_known CHECK (actor_kind IN ('key', 'user', 'operator', 'system')),
    CONSTRAINT audit_actor_whole CHECK ((actor_kind IN ('key', 'user')) = (actor_id IS NOT NULL))
);
CREATE INDEX audit_by_actor ON audit (org_id, actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_by_action ON audit (org_id, action, id);
CREATE INDEX audit_by_subject ON audit (org_id, subject_id, id);
ALTER TABLE audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_own_read ON audit FOR SELECT TO alphagate_tenant USING (org_id = (SELECT app_org()));
CREATE POLICY audit_own_write ON audit FOR INSERT TO alphagate_tenant WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY audit_sequencer ON audit FOR SELECT TO alphagate_system USING (true);
CREATE POLICY audit_operator ON audit FOR INSERT TO alphagate_system WITH CHECK (true);
GRANT SELECT, INSERT ON audit TO alphagate_tenant, alphagate_system;

-- Entries that have no link yet.
CREATE TABLE audit_pending (
    org_id uuid NOT NULL,
    place bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    entry_id uuid NOT NULL,
    CONSTRAINT audit_pending_pkey PRIMARY KEY (org_id, place)
);
ALTER TABLE audit_pending ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_pending_own ON audit_pending FOR INSERT TO alphagate_tenant
    WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY audit_pending_sequencer ON audit_pending TO alphagate_system USING (true) WITH CHECK (true);
GRANT INSERT ON audit_pending TO alphagate_tenant;
GRANT SELECT, INSERT, DELETE ON audit_pending TO alphagate_system;

-- The chain. No foreign key to the entries: that one is missing is what a link is there to show.
CREATE TABLE audit_links (
    org_id uuid NOT NULL,
    number bigint NOT NULL,
    entry_id uuid NOT NULL,
    digest bytea NOT NULL,
    previous bytea NOT NULL,
    head bytea NOT NULL,
    kid text NOT NULL,
    signature bytea NOT NULL,
    linked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_links_pkey PRIMARY KEY (org_id, number),
    CONSTRAINT audit_links_once UNIQUE (org_id, entry_id),
    CONSTRAINT audit_links_numbered CHECK (number > 0),
    CONSTRAINT audit_links_lengths CHECK (
        octet_length(digest) = 32 AND octet_length(previous) = 32 AND octet_length(head) = 32
        AND octet_length(signature) = 64)
);
ALTER TABLE audit_links ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_links_own ON audit_links FOR SELECT TO alphagate_tenant USING (org_id = (SELECT app_org()));
CREATE POLICY audit_links_sequencer_read ON audit_links FOR SELECT TO alphagate_system USING (true);
CREATE POLICY audit_links_sequencer_write ON audit_links FOR INSERT TO alphagate_system WITH CHECK (true);
GRANT SELECT ON audit_links TO alphagate_tenant;
GRANT SELECT, INSERT ON audit_links TO alphagate_system;
