-- What the edge knows, and what it has yet to be told.
--
-- `records` holds the newest revision of every record, also of those that are gone: it is what the edge reads on a
-- miss, and the row whose lock orders the revisions of one record. `outbox` holds what was not yet accepted.

CREATE SEQUENCE record_revision AS bigint;
GRANT USAGE ON SEQUENCE record_revision TO alphagate_tenant, alphagate_system;

CREATE TABLE records (
    org_id uuid NOT NULL,
    key text NOT NULL,
    revision bigint NOT NULL,
    -- json, not jsonb: what a publisher wrote reaches the edge to the letter.
    value json NOT NULL,
    CONSTRAINT records_pkey PRIMARY KEY (org_id, key),
    CONSTRAINT records_key_unique UNIQUE (key),
    CONSTRAINT records_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id)
);
ALTER TABLE records ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY records_own ON records TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY records_operator ON records TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (revision, value) ON records TO alphagate_tenant, alphagate_system;

CREATE TABLE outbox (
    org_id uuid NOT NULL,
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    record_key text NOT NULL,
    revision bigint NOT NULL,
    payload json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT outbox_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT outbox_record_fk FOREIGN KEY (org_id, record_key) REFERENCES records (org_id, key)
);
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY outbox_own ON outbox FOR INSERT TO alphagate_tenant WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY outbox_delivery ON outbox TO alphagate_system USING (true) WITH CHECK (true);
GRANT INSERT ON outbox TO alphagate_tenant;
GRANT SELECT, INSERT, DELETE ON outbox TO alphagate_system;

-- Orgs whose last push failed.
CREATE TABLE outbox_backoff (
    org_id uuid NOT NULL,
    failures integer NOT NULL,
    retry_at timestamptz NOT NULL,
    CONSTRAINT outbox_backoff_pkey PRIMARY KEY (org_id),
    CONSTRAINT outbox_backoff_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id)
);
ALTER TABLE outbox_backoff ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY outbox_backoff_delivery ON outbox_backoff TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox_backoff TO alphagate_system;
