-- Files of data, evals, their runs, and what came of every datum.
--
-- A run reads its lines from a file, in windows: `eval_run_feeds` says how far it has come. An output item is written
-- in the transaction that starts it, and counted in the transaction that ends it: whatever dies in between, each line
-- becomes one item and each item is counted once. Locks are taken in the order job, output item, usage, run; the feed's
-- only by those who hold none of these.

CREATE TABLE files (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    filename text NOT NULL,
    purpose text NOT NULL,
    -- The run that brought these lines in its request; none: it was uploaded.
    run_id uuid,
    -- Zero until all of it is here.
    bytes bigint NOT NULL DEFAULT 0,
    lines bigint NOT NULL DEFAULT 0,
    -- SHA-256 of the content; none: it is not whole yet, and nobody sees it.
    digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    CONSTRAINT files_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT files_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT files_filename_length CHECK (char_length(filename) BETWEEN 1 AND 255),
    CONSTRAINT files_purpose_known CHECK (purpose IN ('evals')),
    CONSTRAINT files_digest_length CHECK (octet_length(digest) = 32)
);
CREATE INDEX files_of_run ON files (org_id, run_id) WHERE run_id IS NOT NULL;
CREATE INDEX files_expiring ON files (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX files_unfinished ON files (created_at) WHERE digest IS NULL;
ALTER TABLE files ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY files_own ON files TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY files_expiry ON files TO alphagate_system
    USING (expires_at < now() OR (digest IS NULL AND created_at < now() - interval '1 day')) WITH CHECK (false);
GRANT SELECT, INSERT, UPDATE (bytes, lines, digest, expires_at), DELETE ON files TO alphagate_tenant;
GRANT SELECT (org_id, id, expires_at, digest, created_at), DELETE ON files TO alphagate_system;

-- Whole lines, cut into pieces.
CREATE TABLE file_chunks (
    org_id uuid NOT NULL,
    file_id uuid NOT NULL,
    -- The number of its first line, from 0.
    first_line bigint NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT file_chunks_pkey PRIMARY KEY (org_id, file_id, first_line),
    CONSTRAINT file_chunks_file_fk FOREIGN KEY (org_id, file_id) REFERENCES files (org_id, id) ON DELETE CASCADE
);
ALTER TABLE file_chunks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY file_chunks_own ON file_chunks TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, DELETE ON file_chunks TO alphagate_tenant;

CREATE TABLE evals (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    metadata json,
    -- json, not jsonb: what was asked for is answered to the letter.
    data_source_config json NOT NULL,
    testing_criteria json NOT NULL,
    -- Of the criteria and the schema: a verdict is about one of them.
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT evals_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT evals_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT evals_name_length CHECK (char_length(name) BETWEEN 1 AND 200)
);
CREATE INDEX evals_by_update ON evals (org_id, updated_at, id);
ALTER TABLE evals ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY evals_own ON evals TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, UPDATE (name, metadata, updated_at), DELETE ON evals TO alphagate_tenant;

CREATE TABLE eval_runs (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    eval_id uuid NOT NULL,
    name text NOT NULL,
    metadata json,
    -- Empty if nothing is sampled.
    model text NOT NULL,
    -- As callers read it.
    data_source json NOT NULL,
    -- Its lines; none: they were deleted after the last of them had begun.
    file_id uuid,
    data_digest bytea NOT NULL,
    -- What it is to decide.
    publication_id uuid,
    status text NOT NULL DEFAULT 'queued',
    error json,
    total bigint NOT NULL,
    -- Items that were begun; those that are not passed, failed or errored are under way.
    started bigint NOT NULL DEFAULT 0,
    passed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    errored bigint NOT NULL DEFAULT 0,
    -- Those of the errored that are the platform's fault.
    infrastructure bigint NOT NULL DEFAULT 0,
    -- By grader, in the order of the eval's criteria.
    grader_passed bigint[] NOT NULL,
    grader_failed bigint[] NOT NULL,
    grader_errored bigint[] NOT NULL,
    grader_scores double precision[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT eval_runs_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT eval_runs_eval_fk FOREIGN KEY (org_id, eval_id) REFERENCES evals (org_id, id) ON DELETE CASCADE,
    CONSTRAINT eval_runs_file_fk FOREIGN KEY (org_id, file_id) REFERENCES files (org_id, id)
        ON DELETE SET NULL (file_id),
    CONSTRAINT eval_runs_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT eval_runs_status_known CHECK (status IN ('queued', 'in_progress', 'completed', 'canceled', 'failed')),
    CONSTRAINT eval_runs_end_has_a_time CHECK ((status IN ('queued', 'in_progress')) = (ended_at IS NULL)),
    CONSTRAINT eval_runs_counted_once CHECK (passed + failed + errored <= started AND started <= total)
);
CREATE INDEX eval_runs_by_eval ON eval_runs (org_id, eval_id, id);
CREATE INDEX eval_runs_by_file ON eval_runs (org_id, file_id) WHERE file_id IS NOT NULL;
ALTER TABLE eval_runs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY eval_runs_own ON eval_runs TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT,
    UPDATE (status, error, started, passed, failed, errored, infrastructure, grader_passed, grader_failed,
        grader_errored, grader_scores, started_at, ended_at),
    DELETE
    ON eval_runs TO alphagate_tenant;

-- Runs that the driver still has something to do for; its row lock is who does it.
CREATE TABLE eval_run_feeds (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    file_id uuid NOT NULL,
    next_line bigint NOT NULL DEFAULT 0,
    CONSTRAINT eval_run_feeds_pkey PRIMARY KEY (org_id, run_id),
    CONSTRAINT eval_run_feeds_run_fk FOREIGN KEY (org_id, run_id) REFERENCES eval_runs (org_id, id) ON DELETE CASCADE,
    -- Lines that a run still needs cannot be deleted.
    CONSTRAINT eval_run_feeds_file_fk FOREIGN KEY (org_id, file_id) REFERENCES files (org_id, id)
);
CREATE INDEX eval_run_feeds_by_file ON eval_run_feeds (org_id, file_id);
ALTER TABLE eval_run_feeds ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY eval_run_feeds_own ON eval_run_feeds TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY eval_run_feeds_driving ON eval_run_feeds FOR SELECT TO alphagate_system USING (true);
GRANT SELECT, INSERT, UPDATE (next_line), DELETE ON eval_run_feeds TO alphagate_tenant;
GRANT SELECT (org_id, run_id) ON eval_run_feeds TO alphagate_system;

-- What a run's answers used, by model: of the subject and of the judges.
CREATE TABLE eval_run_usage (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    model text NOT NULL,
    invocation_count bigint NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    total_tokens bigint NOT NULL,
    CONSTRAINT eval_run_usage_pkey PRIMARY KEY (org_id, run_id, model),
    CONSTRAINT eval_run_usage_run_fk FOREIGN KEY (org_id, run_id) REFERENCES eval_runs (org_id, id) ON DELETE CASCADE
);
ALTER TABLE eval_run_usage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY eval_run_usage_own ON eval_run_usage TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, UPDATE, DELETE ON eval_run_usage TO alphagate_tenant;

CREATE TABLE output_items (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    run_id uuid NOT NULL,
    -- Its line, from 0.
    number bigint NOT NULL,
    item json NOT NULL,
    -- What graders see of the model's answer; none while it is asked.
    sample json,
    -- One result for each grader, in the order of the eval's criteria; null until it is there.
    results json[] NOT NULL,
    -- How many of them are missing.
    missing integer NOT NULL,
    state text NOT NULL,
    -- How it ended.
    status text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT output_items_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT output_items_run_fk FOREIGN KEY (org_id, run_id) REFERENCES eval_runs (org_id, id) ON DELETE CASCADE,
    CONSTRAINT output_items_number_unique UNIQUE (org_id, run_id, number),
    CONSTRAINT output_items_state_known CHECK (state IN ('sampling', 'grading', 'done')),
    CONSTRAINT output_items_status_known CHECK (status IN ('pass', 'fail', 'error', 'canceled')),
    CONSTRAINT output_items_end_has_a_status CHECK ((state = 'done') = (status IS NOT NULL))
);
CREATE INDEX output_items_by_status ON output_items (org_id, run_id, status, number) WHERE status IS NOT NULL;
ALTER TABLE output_items ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY output_items_own ON output_items TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, UPDATE (sample, results, missing, state, status, ended_at), DELETE ON output_items TO alphagate_tenant;

-- What a run's key was used for: a run has thousands of events among millions.
CREATE INDEX usage_events_by_key ON usage_events (org_id, key_id, id);
