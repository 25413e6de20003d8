-- The gate of an endpoint, the runs that measure its versions, and publications that wait for their verdicts.
--
-- What decides is written down: a publication that waits, the runs it waits for and what they measured are rows, so any
-- process can go on where another one was killed. The last trigger of this file holds the gate's promise by itself:
-- the live pointer of an endpoint moves in the transaction that decides a publication, and in no other.

-- What an endpoint demands of a version before it goes live. No row: nothing yet.
CREATE TABLE gates (
    org_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    -- Grows with every change.
    revision bigint NOT NULL,
    -- How long a publication may wait for its verdicts.
    deadline_s integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by uuid NOT NULL,
    CONSTRAINT gates_pkey PRIMARY KEY (org_id, endpoint_id),
    CONSTRAINT gates_endpoint_fk FOREIGN KEY (org_id, endpoint_id) REFERENCES endpoints (org_id, id),
    CONSTRAINT gates_changed_by_fk FOREIGN KEY (org_id, changed_by) REFERENCES keys (org_id, id),
    CONSTRAINT gates_revision_positive CHECK (revision > 0),
    CONSTRAINT gates_deadline_positive CHECK (deadline_s > 0)
);
ALTER TABLE gates ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY gates_own ON gates TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, UPDATE (revision, deadline_s, changed_at, changed_by) ON gates TO alphagate_tenant;

-- The evals of a gate. While an eval or a file is named here, it cannot be deleted.
CREATE TABLE gate_evals (
    org_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    position integer NOT NULL,
    eval_id uuid NOT NULL,
    file_id uuid,
    -- json, not jsonb: the run gets it to the letter.
    data_source json NOT NULL,
    data_digest bytea NOT NULL,
    thresholds jsonb NOT NULL,
    CONSTRAINT gate_evals_pkey PRIMARY KEY (org_id, endpoint_id, position),
    CONSTRAINT gate_evals_gate_fk FOREIGN KEY (org_id, endpoint_id) REFERENCES gates (org_id, endpoint_id),
    CONSTRAINT gate_evals_eval_fk FOREIGN KEY (org_id, eval_id) REFERENCES evals (org_id, id),
    CONSTRAINT gate_evals_file_fk FOREIGN KEY (org_id, file_id) REFERENCES files (org_id, id),
    CONSTRAINT gate_evals_digest_length CHECK (octet_length(data_digest) = 32)
);
CREATE INDEX gate_evals_by_eval ON gate_evals (org_id, eval_id);
CREATE INDEX gate_evals_by_file ON gate_evals (org_id, file_id);
ALTER TABLE gate_evals ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY gate_evals_own ON gate_evals TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, DELETE ON gate_evals TO alphagate_tenant;

-- Publications become a resource with a state. Those of older programs are live when they are written.
ALTER TABLE publications
    ADD COLUMN state text NOT NULL DEFAULT 'live',
    ADD COLUMN reason text,
    -- More than `reason`, for people.
    ADD COLUMN message text,
    -- The revision of the gate that was looked at last.
    ADD COLUMN gate_revision bigint NOT NULL DEFAULT 0,
    ADD COLUMN deadline_at timestamptz,
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN created_by uuid,
    -- The key that moved the pointer past the gate.
    ADD COLUMN forced_by uuid,
    -- Whether what it demands has changed since it was looked at.
    ADD COLUMN due boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT publications_state_known
        CHECK (state IN ('running', 'live', 'failed', 'superseded', 'inconclusive', 'canceled')),
    ADD CONSTRAINT publications_running_has_deadline CHECK (state <> 'running' OR deadline_at IS NOT NULL),
    ADD CONSTRAINT publications_created_by_fk FOREIGN KEY (org_id, created_by) REFERENCES keys (org_id, id),
    ADD CONSTRAINT publications_forced_by_fk FOREIGN KEY (org_id, forced_by) REFERENCES keys (org_id, id);
COMMENT ON COLUMN publications.replaced IS 'What the caller believed to be live; of a live publication: what was.';
CREATE UNIQUE INDEX publications_one_running ON publications (org_id, endpoint_id) WHERE state = 'running';
CREATE INDEX publications_running ON publications (deadline_at) WHERE state = 'running';
GRANT UPDATE (state, reason, message, gate_revision, ended_at, due) ON publications TO alphagate_tenant;
CREATE POLICY publications_sweep ON publications FOR SELECT TO alphagate_system USING (true);
GRANT SELECT (org_id, id, endpoint_id, state, deadline_at, due) ON publications TO alphagate_system;

-- What is decided stays decided.
CREATE FUNCTION publications_decided_once() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'publication % is decided', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'publications_decided_once';
END
$$;
CREATE TRIGGER publications_decided_once BEFORE UPDATE ON publications
    FOR EACH ROW WHEN (OLD.state <> 'running') EXECUTE FUNCTION publications_decided_once();

-- Runs that measure a version for a gate. What they measured is copied here when they end, and stands: for exactly this
-- version, these criteria and these data it is asked for once.
CREATE TABLE gate_runs (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    publication_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    version integer NOT NULL,
    eval_id uuid NOT NULL,
    eval_revision bigint NOT NULL,
    data_digest bytea NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    status text,
    passed bigint,
    failed bigint,
    errored bigint,
    -- Those of the errored that are the platform's fault.
    infrastructure bigint,
    total bigint,
    failing uuid[],
    mean_scores jsonb,
    CONSTRAINT gate_runs_pkey PRIMARY KEY (org_id, run_id),
    CONSTRAINT gate_runs_publication_fk FOREIGN KEY (org_id, publication_id) REFERENCES publications (org_id, id),
    CONSTRAINT gate_runs_version_fk FOREIGN KEY (org_id, endpoint_id, version)
        REFERENCES versions (org_id, endpoint_id, number),
    CONSTRAINT gate_runs_end_is_whole CHECK (
        num_nonnulls(ended_at, status, passed, failed, errored, infrastructure, total, failing, mean_scores) IN (0, 9)
    )
);
CREATE INDEX gate_runs_by_subject ON gate_runs (org_id, endpoint_id, version, eval_id);
CREATE INDEX gate_runs_by_publication ON gate_runs (org_id, publication_id);
CREATE INDEX gate_runs_open ON gate_runs (started_at) WHERE ended_at IS NULL;
ALTER TABLE gate_runs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY gate_runs_own ON gate_runs TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY gate_runs_sweep ON gate_runs FOR SELECT TO alphagate_system USING (true);
GRANT SELECT, INSERT, UPDATE (ended_at, status, passed, failed, errored, infrastructure, total, failing, mean_scores)
    ON gate_runs TO alphagate_tenant;
GRANT SELECT (org_id, run_id, publication_id, started_at, ended_at) ON gate_runs TO alphagate_system;

-- What a gate said of a version in one publication: per eval that it demanded, the run that it looked at, and its
-- verdict; none while that run goes on.
CREATE TABLE verdicts (
    org_id uuid NOT NULL,
    publication_id uuid NOT NULL,
    position integer NOT NULL,
    eval_id uuid NOT NULL,
    eval_revision bigint NOT NULL,
    data_digest bytea NOT NULL,
    thresholds jsonb NOT NULL,
    run_id uuid NOT NULL,
    verdict text,
    reasons jsonb NOT NULL DEFAULT '[]',
    CONSTRAINT verdicts_pkey PRIMARY KEY (org_id, publication_id, position),
    CONSTRAINT verdicts_publication_fk FOREIGN KEY (org_id, publication_id) REFERENCES publications (org_id, id),
    CONSTRAINT verdicts_run_fk FOREIGN KEY (org_id, run_id) REFERENCES gate_runs (org_id, run_id),
    CONSTRAINT verdicts_verdict_known CHECK (verdict IN ('passed', 'failed', 'inconclusive'))
);
CREATE INDEX verdicts_by_run ON verdicts (org_id, run_id);
ALTER TABLE verdicts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY verdicts_own ON verdicts TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY verdicts_sweep ON verdicts FOR SELECT TO alphagate_system USING (true);
GRANT SELECT, INSERT, DELETE ON verdicts TO alphagate_tenant;
GRANT SELECT (org_id, publication_id, run_id, verdict) ON verdicts TO alphagate_system;

-- No path gets round the gate: whoever moves a live pointer has, at commit, written or decided in this very transaction
-- a publication of that version as live, and that one was forced, or has a passed verdict for each eval that the gate
-- names, with the gate's data and thresholds, from an ended run of that very version.
CREATE FUNCTION endpoints_live_by_publication() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM publications p
        WHERE p.org_id = NEW.org_id AND p.endpoint_id = NEW.id AND p.version = NEW.live_version
            AND p.state = 'live' AND p.xmin = pg_current_xact_id()::xid
            AND (p.forced_by IS NOT NULL OR NOT EXISTS (
                SELECT FROM gate_evals g
                WHERE g.org_id = NEW.org_id AND g.endpoint_id = NEW.id AND NOT EXISTS (
                    SELECT FROM verdicts v
                    JOIN gate_runs r ON r.org_id = v.org_id AND r.run_id = v.run_id
                    WHERE v.org_id = p.org_id AND v.publication_id = p.id AND v.verdict = 'passed'
                        AND v.eval_id = g.eval_id AND v.data_digest = g.data_digest AND v.thresholds = g.thresholds
                        AND r.endpoint_id = p.endpoint_id AND r.version = p.version AND r.eval_id = v.eval_id
                        AND r.eval_revision = v.eval_revision AND r.data_digest = v.data_digest
                        AND r.ended_at IS NOT NULL
                )
            ))
    ) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'endpoint % would go round its gate', NEW.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'endpoints_live_by_publication';
END
$$;
CREATE CONSTRAINT TRIGGER endpoints_live_by_publication AFTER UPDATE ON endpoints
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.live_version IS DISTINCT FROM NEW.live_version)
    EXECUTE FUNCTION endpoints_live_by_publication();
CREATE CONSTRAINT TRIGGER endpoints_born_without_version AFTER INSERT ON endpoints
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.live_version IS NOT NULL)
    EXECUTE FUNCTION endpoints_live_by_publication();
