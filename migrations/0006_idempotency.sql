-- Answers to requests that carried an Idempotency-Key, kept for a day.
--
-- The row is written in the transaction that does the work: a second request with the same key waits for it.

CREATE TABLE idempotency (
    org_id uuid NOT NULL,
    key text NOT NULL,
    -- SHA-256 over method, path and body.
    digest bytea NOT NULL,
    -- Encrypted: an answer may hold the text of a new API key.
    answer bytea,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    CONSTRAINT idempotency_pkey PRIMARY KEY (org_id, key),
    CONSTRAINT idempotency_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id)
);
CREATE INDEX idempotency_expiring ON idempotency (expires_at);
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotency_own ON idempotency TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY idempotency_expiry ON idempotency TO alphagate_system
    USING (expires_at < now()) WITH CHECK (false);
GRANT SELECT, INSERT, UPDATE ON idempotency TO alphagate_tenant;
GRANT SELECT, DELETE ON idempotency TO alphagate_system;
