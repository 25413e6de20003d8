-- Tenants and their API keys.

CREATE TABLE orgs (
    id uuid NOT NULL,
    name text NOT NULL,
    suspended boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orgs_pkey PRIMARY KEY (id),
    CONSTRAINT orgs_name_length CHECK (char_length(name) BETWEEN 1 AND 200)
);
ALTER TABLE orgs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY orgs_own ON orgs FOR SELECT TO alphagate_tenant USING (id = (SELECT app_org()));
CREATE POLICY orgs_operator ON orgs TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT ON orgs TO alphagate_tenant;
GRANT SELECT, INSERT, UPDATE (name, suspended) ON orgs TO alphagate_system;

CREATE TABLE keys (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    mode text NOT NULL,
    scopes text[] NOT NULL,
    digest bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    -- The successor that a rotation made.
    replaced_by uuid,
    -- Whether the edge was told to forget it.
    gone boolean NOT NULL DEFAULT false,
    CONSTRAINT keys_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT keys_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT keys_replaced_by_fk FOREIGN KEY (org_id, replaced_by) REFERENCES keys (org_id, id),
    CONSTRAINT keys_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT keys_mode_known CHECK (mode IN ('live', 'test')),
    CONSTRAINT keys_scopes_known CHECK (scopes <@ ARRAY['call', 'admin'] AND cardinality(scopes) BETWEEN 1 AND 2),
    CONSTRAINT keys_digest_length CHECK (octet_length(digest) = 32),
    CONSTRAINT keys_expiry_after_creation CHECK (expires_at > created_at)
);
CREATE INDEX keys_expiring ON keys (expires_at) WHERE NOT gone AND expires_at IS NOT NULL;
ALTER TABLE keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY keys_own ON keys TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY keys_lookup ON keys FOR SELECT TO alphagate_system USING (true);
CREATE POLICY keys_first_of_an_org ON keys FOR INSERT TO alphagate_system WITH CHECK (true);
CREATE POLICY keys_last_use ON keys FOR UPDATE TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (expires_at, revoked_at, replaced_by, gone) ON keys TO alphagate_tenant;
GRANT SELECT, INSERT, UPDATE (last_used_at) ON keys TO alphagate_system;
