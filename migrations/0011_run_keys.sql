-- Keys of runs. They are derived from AG_KEY_RING, the run and the epoch: nothing of a key's text lies here.

CREATE TABLE run_keys (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    -- Grows each time the key is opened: an older text never works again.
    epoch integer NOT NULL,
    -- The entry of AG_KEY_RING that the key is derived from.
    kid text NOT NULL,
    -- The only texts that may stand in `model`: names, or `name@version`.
    models text[] NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    -- Moved on while the key is in use.
    expires_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT run_keys_pkey PRIMARY KEY (org_id, run_id),
    CONSTRAINT run_keys_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT run_keys_epoch_positive CHECK (epoch > 0),
    CONSTRAINT run_keys_models_number CHECK (cardinality(models) BETWEEN 1 AND 100)
);
CREATE INDEX run_keys_expiring ON run_keys (expires_at) WHERE closed_at IS NULL;
ALTER TABLE run_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY run_keys_own ON run_keys TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
-- A claim hands out samples of any org; housekeeping closes what was forgotten.
CREATE POLICY run_keys_claims ON run_keys FOR SELECT TO alphagate_system USING (true);
CREATE POLICY run_keys_in_use ON run_keys FOR UPDATE TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (epoch, kid, models, opened_at, expires_at, closed_at) ON run_keys TO alphagate_tenant;
GRANT SELECT, UPDATE (epoch, kid, expires_at) ON run_keys TO alphagate_system;
