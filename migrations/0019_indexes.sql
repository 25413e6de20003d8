-- no-transaction
-- Indexes for the filters of lists: each list reads little more than its page, whatever it is asked for.
--
-- Each in a transaction of its own: while one is built, writers of its table wait, and no others (a million usage events:
-- some seconds, in which the edge keeps what it has to hand over). A migration that was cut short begins again.

BEGIN;
CREATE INDEX IF NOT EXISTS usage_events_by_endpoint ON usage_events (org_id, endpoint_id, id);
COMMIT;
-- The publisher's view of an endpoint: it is theirs alone.
BEGIN;
CREATE INDEX IF NOT EXISTS usage_events_of_endpoint ON usage_events (endpoint_id, id);
COMMIT;
BEGIN;
CREATE INDEX IF NOT EXISTS usage_events_by_install ON usage_events (install_id, id) WHERE install_id IS NOT NULL;
COMMIT;

-- What jobs are searched by, beside their places in the list: parts of names and labels cannot be looked up, so they are
-- compared entry by entry, here and not in rows with outputs. Names have at most 800 bytes, labels 1,112: it fits.
BEGIN;
CREATE INDEX IF NOT EXISTS jobs_searched ON jobs (org_id, id)
    INCLUDE (name, language, labels, owner, owner_run, state, outcome, created_at);
COMMIT;

-- How many have ended lately, of all orgs.
BEGIN;
CREATE INDEX IF NOT EXISTS jobs_ended_lately ON jobs (ended_at) WHERE ended_at IS NOT NULL;
COMMIT;

-- Files that were uploaded, among those that runs brought.
BEGIN;
CREATE INDEX IF NOT EXISTS files_uploaded ON files (org_id, id) WHERE run_id IS NULL AND digest IS NOT NULL;
COMMIT;

-- Terms of installs are in the org's record, which every publication writes.
BEGIN;
CREATE INDEX IF NOT EXISTS endpoints_with_limits ON endpoints (org_id, id) WHERE withdrawn_at IS NULL AND limits <> '[]';
COMMIT;
