-- The vault: a data key for each org, wrapped by a master key; what it encrypts; and how often a credential is used.
--
-- Until now a secret was encrypted under AG_VAULT_RING itself, in `credentials.secret`. Programs of the last release know
-- nothing else, and go on for a while: this migration only adds, and `vault_move` says whether copies in the old form are
-- kept beside the new one. control/VAULT.md has the steps; a later migration drops `secret` and `vault_kid`.

CREATE TABLE data_keys (
    org_id uuid NOT NULL,
    -- Counts up. The newest encrypts; an older one decrypts until nothing is under it, and is destroyed then.
    number integer NOT NULL,
    -- The name of the master key that wraps it: `local:<id>`, or a key's ARN.
    master_key text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT data_keys_pkey PRIMARY KEY (org_id, number),
    CONSTRAINT data_keys_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT data_keys_number_positive CHECK (number > 0)
);
ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY data_keys_own ON data_keys TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
-- Which are under an older master key, or on their way out; never the key itself.
CREATE POLICY data_keys_renewal ON data_keys FOR SELECT TO alphagate_system USING (true);
GRANT SELECT, INSERT, UPDATE (master_key, wrapped), DELETE ON data_keys TO alphagate_tenant;
GRANT SELECT (org_id, number, master_key) ON data_keys TO alphagate_system;

-- One row: whether programs of the last release may run, so that copies in the old form are kept.
CREATE TABLE vault_move (
    copies boolean NOT NULL
);
CREATE UNIQUE INDEX vault_move_one_row ON vault_move ((true));
-- An installation that begins with this schema has no older programs. The owner of the tables is bound by their policies,
-- so they are lifted for one question.
ALTER TABLE orgs NO FORCE ROW LEVEL SECURITY;
INSERT INTO vault_move SELECT EXISTS (SELECT FROM orgs);
ALTER TABLE orgs FORCE ROW LEVEL SECURITY;
ALTER TABLE vault_move ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY vault_move_read ON vault_move FOR SELECT TO alphagate_tenant, alphagate_system USING (true);
CREATE POLICY vault_move_end ON vault_move FOR UPDATE TO alphagate_system USING (true) WITH CHECK (NOT copies);
GRANT SELECT ON vault_move TO alphagate_tenant, alphagate_system;
GRANT UPDATE (copies) ON vault_move TO alphagate_system;

ALTER TABLE credentials
    ALTER COLUMN secret DROP NOT NULL,
    ALTER COLUMN vault_kid DROP NOT NULL,
    -- Encrypted with the org's data key of this number; bound to org, credential and `sealed_count`.
    ADD COLUMN sealed bytea,
    ADD COLUMN data_key integer,
    -- How often it was encrypted, so that an older text put back in its place does not open.
    ADD COLUMN sealed_count bigint NOT NULL DEFAULT 0,
    -- The end of the secret, for people who have several.
    ADD COLUMN last_four text,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN uses bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT credentials_data_key_fk FOREIGN KEY (org_id, data_key) REFERENCES data_keys (org_id, number),
    ADD CONSTRAINT credentials_sealed_whole CHECK (num_nonnulls(sealed, data_key) IN (0, 2)),
    ADD CONSTRAINT credentials_copy_whole CHECK (num_nonnulls(secret, vault_kid) IN (0, 2)),
    ADD CONSTRAINT credentials_kept CHECK (num_nonnulls(secret, sealed) > 0),
    ADD CONSTRAINT credentials_last_four_short CHECK (char_length(last_four) <= 4);
CREATE INDEX credentials_by_data_key ON credentials (org_id, data_key);
GRANT UPDATE (sealed, data_key, sealed_count, last_four) ON credentials TO alphagate_tenant;
GRANT SELECT (data_key, last_used_at, uses), UPDATE (last_used_at, uses) ON credentials TO alphagate_system;
CREATE POLICY credentials_last_use ON credentials FOR UPDATE TO alphagate_system USING (true) WITH CHECK (true);

-- A program of the last release writes `secret` alone: what was encrypted from the secret before that is void.
CREATE FUNCTION credentials_written_in_the_old_form() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.secret IS NOT NULL AND NEW.sealed IS NOT DISTINCT FROM OLD.sealed THEN
        NEW.sealed := NULL;
        NEW.data_key := NULL;
        NEW.last_four := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER credentials_written_in_the_old_form BEFORE UPDATE OF secret ON credentials
    FOR EACH ROW WHEN (NEW.secret IS DISTINCT FROM OLD.secret)
    EXECUTE FUNCTION credentials_written_in_the_old_form();

-- Uses are counted from events that are new.
CREATE POLICY usage_events_counted ON usage_events FOR SELECT TO alphagate_system USING (true);
GRANT SELECT (org_id, id) ON usage_events TO alphagate_system;

-- The ring entry that signs an API key: none where it was minted before this was noted.
ALTER TABLE keys ADD COLUMN signed_by text;
