-- Jobs: units of queued work, the hosts that run them, and what they leave behind.
--
-- A job's row says what it is now; every time in it is the database's. Who holds it is `attempt_id`: a write of another
-- attempt changes nothing. Claims and leases cross orgs and belong to the system role, which reads neither what a job
-- runs nor what it answered.

-- Hosts that run jobs belong to the operator.
CREATE TABLE runner_tokens (
    id uuid NOT NULL,
    name text NOT NULL,
    digest bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT runner_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT runner_tokens_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT runner_tokens_digest_length CHECK (octet_length(digest) = 32)
);
ALTER TABLE runner_tokens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY runner_tokens_operator ON runner_tokens TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (revoked_at) ON runner_tokens TO alphagate_system;

CREATE TABLE runners (
    id uuid NOT NULL,
    token_id uuid NOT NULL,
    name text NOT NULL,
    labels text[] NOT NULL,
    images text[] NOT NULL,
    sandbox_slots integer NOT NULL,
    sample_slots integer NOT NULL,
    version text NOT NULL,
    engine text NOT NULL,
    weak boolean NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    -- Whether it was told to leave when its last job is done.
    drain boolean NOT NULL DEFAULT false,
    -- When it said goodbye.
    gone_at timestamptz,
    -- Attempts that it brought to an end.
    finished bigint NOT NULL DEFAULT 0,
    CONSTRAINT runners_pkey PRIMARY KEY (id),
    CONSTRAINT runners_token_fk FOREIGN KEY (token_id) REFERENCES runner_tokens (id),
    CONSTRAINT runners_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT runners_slots_sane CHECK (sandbox_slots >= 0 AND sample_slots >= 0)
);
CREATE INDEX runners_by_token ON runners (token_id);
CREATE INDEX runners_alive ON runners (seen_at) WHERE gone_at IS NULL;
ALTER TABLE runners ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY runners_operator ON runners TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (seen_at, drain, gone_at, finished), DELETE ON runners TO alphagate_system;

CREATE TABLE jobs (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    name text,
    language text,
    image text,
    entry text,
    limits json,
    labels text[] NOT NULL,
    priority text NOT NULL,
    -- What to do. json, not jsonb: it reaches the runner to the letter.
    spec json NOT NULL,
    output_max_bytes bigint NOT NULL,
    -- Who is told when it ends.
    owner text NOT NULL,
    owner_run uuid,
    owner_item uuid,
    owner_grader integer,
    state text NOT NULL DEFAULT 'queued',
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Not before: what was asked for, or the end of a backoff.
    due_at timestamptz NOT NULL,
    -- Its place in the queue of its org: when it was due, moved by its priority. Waiting is ageing.
    effective_at timestamptz NOT NULL,
    -- What is left of what `verdict.rs` allows: re-runs of a failing outcome, our own failures, busy answers, dead sandboxes.
    retries integer NOT NULL,
    retried integer NOT NULL DEFAULT 0,
    losses integer NOT NULL DEFAULT 0,
    refusals integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    -- The newest attempt. It stays the current one until another begins, even if its lease has run out.
    attempts integer NOT NULL DEFAULT 0,
    attempt_id uuid,
    runner_id uuid,
    -- The token of that runner: what registers again with it goes on with its attempts.
    token_id uuid,
    claimed_at timestamptz,
    -- A queued job has one if its attempt's lease ran out and nobody has taken over.
    lease_until timestamptz,
    -- Whether the runner has shown that the claim reached it.
    acknowledged boolean NOT NULL DEFAULT false,
    -- Slot time that the claim was reckoned with, milliseconds.
    charged_ms bigint NOT NULL DEFAULT 0,
    started_at timestamptz,
    cancel_asked_at timestamptz,
    -- Output of the newest attempt.
    next_chunk bigint NOT NULL DEFAULT 0,
    stdout_bytes bigint NOT NULL DEFAULT 0,
    stderr_bytes bigint NOT NULL DEFAULT 0,
    truncated boolean NOT NULL DEFAULT false,
    stdout_blob uuid,
    stderr_blob uuid,
    stdout_preview bytea NOT NULL DEFAULT '',
    stderr_preview bytea NOT NULL DEFAULT '',
    outcome text,
    -- The last attempt's report, without its result and its artefacts.
    report json,
    result bytea,
    ended_at timestamptz,
    CONSTRAINT jobs_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT jobs_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT jobs_kind_known CHECK (kind IN ('sandbox', 'sample')),
    CONSTRAINT jobs_priority_known CHECK (priority IN ('high', 'normal', 'low')),
    CONSTRAINT jobs_owner_known CHECK (owner IN ('caller', 'sample', 'grade', 'grader_run')),
    CONSTRAINT jobs_owner_whole CHECK ((owner IN ('sample', 'grade')) = (owner_run IS NOT NULL AND owner_item IS NOT NULL)),
    CONSTRAINT jobs_state_known CHECK (state IN ('queued', 'starting', 'running', 'done', 'canceled', 'dead')),
    CONSTRAINT jobs_end_has_a_time CHECK ((state IN ('done', 'canceled', 'dead')) = (ended_at IS NOT NULL)),
    CONSTRAINT jobs_held_by_an_attempt CHECK (
        state NOT IN ('starting', 'running') OR (attempt_id IS NOT NULL AND runner_id IS NOT NULL AND lease_until IS NOT NULL)
    ),
    CONSTRAINT jobs_run_at_near CHECK (due_at <= created_at + interval '3660 days'),
    CONSTRAINT jobs_name_length CHECK (char_length(name) BETWEEN 1 AND 200)
);
-- A runner names a job by its id alone.
CREATE UNIQUE INDEX jobs_by_id ON jobs (id);
CREATE INDEX jobs_next ON jobs (kind, org_id, effective_at, id) INCLUDE (due_at, image, labels) WHERE state = 'queued';
-- `lease_until` is in no index: a renewal is then an update in place.
CREATE INDEX jobs_held ON jobs (kind, org_id) WHERE state IN ('starting', 'running');
CREATE INDEX jobs_of_runner ON jobs (runner_id) WHERE state IN ('starting', 'running');
CREATE INDEX jobs_of_run ON jobs (org_id, owner_run) WHERE owner_run IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (org_id, state, id);
CREATE INDEX jobs_by_outcome ON jobs (org_id, outcome, id) WHERE outcome IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (org_id, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX jobs_depth ON jobs (org_id, priority, created_at) INCLUDE (labels) WHERE state = 'queued';
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_own ON jobs TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY jobs_dispatch ON jobs TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE,
    UPDATE (state, due_at, effective_at, retried, losses, refusals, crashes, attempts, attempt_id, runner_id, claimed_at,
        lease_until, acknowledged, charged_ms, started_at, cancel_asked_at, next_chunk, stdout_bytes, stderr_bytes, truncated,
        stdout_blob, stderr_blob, stdout_preview, stderr_preview, outcome, report, result, ended_at)
    ON jobs TO alphagate_tenant;
GRANT SELECT (org_id, id, kind, image, labels, priority, state, created_at, due_at, effective_at, losses, attempts, attempt_id,
        runner_id, token_id, claimed_at, lease_until, acknowledged, charged_ms, started_at, cancel_asked_at, ended_at),
    UPDATE (state, losses, attempts, attempt_id, runner_id, token_id, claimed_at, lease_until, acknowledged, charged_ms,
        started_at, next_chunk, stdout_bytes, stderr_bytes, truncated, stdout_preview, stderr_preview)
    ON jobs TO alphagate_system;

CREATE TABLE job_attempts (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    job_id uuid NOT NULL,
    number integer NOT NULL,
    runner_id uuid NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    -- How it ended; none: it is under way, or its lease ran out.
    ending json,
    CONSTRAINT job_attempts_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT job_attempts_number_unique UNIQUE (org_id, job_id, number),
    CONSTRAINT job_attempts_job_fk FOREIGN KEY (org_id, job_id) REFERENCES jobs (org_id, id) ON DELETE CASCADE
);
ALTER TABLE job_attempts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY job_attempts_own ON job_attempts TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY job_attempts_dispatch ON job_attempts TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (started_at, ended_at, ending), DELETE ON job_attempts TO alphagate_tenant;
GRANT SELECT (org_id, id, job_id, number), INSERT, UPDATE (ended_at), DELETE ON job_attempts TO alphagate_system;

-- Output as it came, until the job has ended; then only what is small.
CREATE TABLE job_output (
    org_id uuid NOT NULL,
    job_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    number bigint NOT NULL,
    stream text NOT NULL,
    -- Its place in its stream, bytes.
    starts_at bigint NOT NULL,
    data bytea NOT NULL,
    CONSTRAINT job_output_pkey PRIMARY KEY (org_id, job_id, attempt_id, number),
    CONSTRAINT job_output_job_fk FOREIGN KEY (org_id, job_id) REFERENCES jobs (org_id, id) ON DELETE CASCADE,
    CONSTRAINT job_output_stream_known CHECK (stream IN ('stdout', 'stderr'))
);
CREATE INDEX job_output_by_place ON job_output (org_id, job_id, attempt_id, stream, starts_at);
ALTER TABLE job_output ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY job_output_own ON job_output TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, DELETE ON job_output TO alphagate_tenant;

CREATE TABLE job_artefacts (
    org_id uuid NOT NULL,
    job_id uuid NOT NULL,
    path text COLLATE "C" NOT NULL,
    bytes bigint NOT NULL,
    -- One of the two.
    data bytea,
    blob_id uuid,
    CONSTRAINT job_artefacts_pkey PRIMARY KEY (org_id, job_id, path),
    CONSTRAINT job_artefacts_job_fk FOREIGN KEY (org_id, job_id) REFERENCES jobs (org_id, id) ON DELETE CASCADE,
    CONSTRAINT job_artefacts_lie_somewhere CHECK ((data IS NULL) <> (blob_id IS NULL))
);
ALTER TABLE job_artefacts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY job_artefacts_own ON job_artefacts TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, DELETE ON job_artefacts TO alphagate_tenant;

-- What lies in the object store. A row is written before the bytes and goes after them, so nothing is forgotten there.
CREATE TABLE blobs (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    bytes bigint NOT NULL,
    -- When it may go; a new one is doomed until something refers to it.
    doomed_at timestamptz,
    CONSTRAINT blobs_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT blobs_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id)
);
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE doomed_at IS NOT NULL;
ALTER TABLE blobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY blobs_own ON blobs TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY blobs_doom ON blobs TO alphagate_system USING (doomed_at IS NOT NULL) WITH CHECK (false);
GRANT SELECT, INSERT, UPDATE (bytes, doomed_at) ON blobs TO alphagate_tenant;
GRANT SELECT, DELETE ON blobs TO alphagate_system;

-- One row for each org and kind of slot: the lock under which its jobs are claimed, and its share.
CREATE TABLE job_queues (
    org_id uuid NOT NULL,
    kind text NOT NULL,
    -- Virtual time: slot time of ended attempts, and what an idle time was worth, milliseconds.
    used_ms bigint NOT NULL DEFAULT 0,
    -- How long an attempt takes, as a running mean, milliseconds.
    estimate_ms bigint NOT NULL DEFAULT 1000,
    -- Whether it was waiting for a slot when somebody last looked.
    waiting boolean NOT NULL DEFAULT false,
    CONSTRAINT job_queues_pkey PRIMARY KEY (org_id, kind),
    CONSTRAINT job_queues_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT job_queues_kind_known CHECK (kind IN ('sandbox', 'sample'))
);
ALTER TABLE job_queues ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY job_queues_own ON job_queues TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY job_queues_dispatch ON job_queues TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (used_ms, estimate_ms) ON job_queues TO alphagate_tenant;
GRANT SELECT, UPDATE (used_ms, waiting) ON job_queues TO alphagate_system;

-- What the operator has set for an org; none: the default.
CREATE TABLE job_settings (
    org_id uuid NOT NULL,
    sandbox_max integer,
    sample_max integer,
    retention_days integer,
    CONSTRAINT job_settings_pkey PRIMARY KEY (org_id),
    CONSTRAINT job_settings_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT job_settings_sane CHECK (sandbox_max >= 0 AND sample_max >= 0 AND retention_days > 0)
);
ALTER TABLE job_settings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY job_settings_own ON job_settings FOR SELECT TO alphagate_tenant USING (org_id = (SELECT app_org()));
CREATE POLICY job_settings_operator ON job_settings TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT ON job_settings TO alphagate_tenant;
GRANT SELECT, INSERT, UPDATE (sandbox_max, sample_max, retention_days) ON job_settings TO alphagate_system;

-- When control and the database last worked together: leases are longer by the time that they did not.
CREATE TABLE job_pulse (
    one boolean NOT NULL DEFAULT true,
    beat_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT job_pulse_pkey PRIMARY KEY (one),
    CONSTRAINT job_pulse_single CHECK (one)
);
INSERT INTO job_pulse DEFAULT VALUES;
ALTER TABLE job_pulse ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY job_pulse_dispatch ON job_pulse TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (beat_at) ON job_pulse TO alphagate_system;
