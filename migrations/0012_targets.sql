-- Which target served a request, and canaries: a version that a part of the keys is served.
--
-- The gate holds for a canary as it does for the live pointer: its column, too, moves only in the transaction that decides
-- a publication of exactly this version at exactly this share.

ALTER TABLE usage_events
    -- Its place in the version.
    ADD COLUMN target smallint NOT NULL DEFAULT 0,
    -- Which attempt of the request it was.
    ADD COLUMN attempt smallint NOT NULL DEFAULT 1,
    -- Targets that did not serve, and why: `0=status_500`.
    ADD COLUMN passed_over text[] NOT NULL DEFAULT '{}';

ALTER TABLE publications
    -- The share of keys that the version is published to; none: it goes live.
    ADD COLUMN canary_percent smallint,
    ADD CONSTRAINT publications_canary_is_a_share CHECK (canary_percent BETWEEN 1 AND 99);

ALTER TABLE endpoints
    ADD COLUMN canary_version integer,
    ADD COLUMN canary_percent smallint,
    ADD CONSTRAINT endpoints_canary_is_whole CHECK (num_nonnulls(canary_version, canary_percent) IN (0, 2)),
    ADD CONSTRAINT endpoints_canary_is_a_share CHECK (canary_percent BETWEEN 1 AND 99),
    ADD CONSTRAINT endpoints_canary_fk
        FOREIGN KEY (org_id, id, canary_version) REFERENCES versions (org_id, endpoint_id, number);
GRANT UPDATE (canary_version, canary_percent) ON endpoints TO alphagate_tenant;

-- Whether this very transaction has decided a publication of this version at this share (none: to everybody) as live, and
-- that one was forced, or has a passed verdict for each eval that the gate names.
CREATE FUNCTION decided_by_publication(org uuid, endpoint uuid, wanted integer, share smallint) RETURNS boolean
    LANGUAGE sql
    BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM publications p
        WHERE p.org_id = org AND p.endpoint_id = endpoint AND p.version = wanted
            AND p.canary_percent IS NOT DISTINCT FROM share
            AND p.state = 'live' AND p.xmin = pg_current_xact_id()::xid
            AND (p.forced_by IS NOT NULL OR NOT EXISTS (
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

-- A canary's publication moves no live pointer: neither that of a program which does not know of canaries.
CREATE OR REPLACE FUNCTION endpoints_live_by_publication() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF decided_by_publication(NEW.org_id, NEW.id, NEW.live_version, NULL) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'endpoint % would go round its gate', NEW.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'endpoints_live_by_publication';
END
$$;

CREATE FUNCTION endpoints_canary_by_publication() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF decided_by_publication(NEW.org_id, NEW.id, NEW.canary_version, NEW.canary_percent) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'endpoint % would go round its gate', NEW.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'endpoints_canary_by_publication';
END
$$;
-- To end a canary needs nobody's verdict.
CREATE CONSTRAINT TRIGGER endpoints_canary_by_publication AFTER UPDATE ON endpoints
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (
        NEW.canary_version IS NOT NULL
        AND (OLD.canary_version, OLD.canary_percent) IS DISTINCT FROM (NEW.canary_version, NEW.canary_percent)
    )
    EXECUTE FUNCTION endpoints_canary_by_publication();
CREATE CONSTRAINT TRIGGER endpoints_born_without_canary AFTER INSERT ON endpoints
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.canary_version IS NOT NULL)
    EXECUTE FUNCTION endpoints_canary_by_publication();
