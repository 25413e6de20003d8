-- The admin API, whole: endpoints that are deleted, their tags, the catalog's search, notices of newer versions, and answers
-- that are kept for those who call in no org.

-- An endpoint that is deleted keeps its row, and so its versions and publications; its name is free again.
ALTER TABLE endpoints
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT endpoints_tags_few CHECK (cardinality(tags) <= 16),
    ADD CONSTRAINT endpoints_deleted_serve_nobody CHECK (deleted_at IS NULL OR withdrawn_at IS NOT NULL);
ALTER TABLE endpoints
    -- The name as long as the endpoint holds it.
    ADD COLUMN held_name text COLLATE "C"
        GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN name END) STORED,
    -- What the catalog finds it by: words, in lower case. A name's words are what stands between its marks.
    ADD COLUMN words tsvector
        GENERATED ALWAYS AS (to_tsvector('simple', translate(name, '._-', '   ') || ' ' || description)) STORED;
ALTER TABLE endpoints
    DROP CONSTRAINT endpoints_name_fk,
    DROP CONSTRAINT endpoints_name_unique,
    ADD CONSTRAINT endpoints_held_name_fk FOREIGN KEY (org_id, held_name) REFERENCES names (org_id, name),
    ADD CONSTRAINT endpoints_held_name_unique UNIQUE (org_id, held_name);
GRANT UPDATE (tags, deleted_at) ON endpoints TO alphagate_tenant;

CREATE INDEX endpoints_by_words ON endpoints USING gin (words)
    WHERE visibility = 'public' AND withdrawn_at IS NULL AND live_version IS NOT NULL;
CREATE INDEX endpoints_by_tags ON endpoints USING gin (tags)
    WHERE visibility = 'public' AND withdrawn_at IS NULL AND live_version IS NOT NULL;
CREATE INDEX orgs_by_words ON orgs USING gin (to_tsvector('simple', name));

CREATE OR REPLACE VIEW catalog WITH (security_invoker = true) AS
    SELECT
        endpoints.id,
        endpoints.org_id AS publisher_id,
        orgs.name AS publisher_name,
        endpoints.name,
        endpoints.description,
        endpoints.payer,
        endpoints.limits,
        endpoints.live_version,
        versions.origins,
        endpoints.created_at,
        endpoints.tags,
        endpoints.words
    FROM endpoints
    JOIN orgs ON orgs.id = endpoints.org_id
    JOIN versions ON versions.org_id = endpoints.org_id
        AND versions.endpoint_id = endpoints.id
        AND versions.number = endpoints.live_version
    WHERE endpoints.visibility = 'public'
        AND endpoints.withdrawn_at IS NULL
        AND NOT orgs.suspended;

-- Who publishes, by the words of their names.
CREATE VIEW catalog_publishers WITH (security_invoker = true) AS
    SELECT orgs.id, to_tsvector('simple', orgs.name) AS words FROM orgs;
GRANT SELECT ON catalog_publishers TO alphagate_system;

-- Pinned installs of which a newer version is live. Read by the system role: a tenant sees no endpoints of others.
CREATE POLICY installs_updates ON installs FOR SELECT TO alphagate_system USING (true);
GRANT SELECT (org_id, id, publisher_id, endpoint_id, pinned) ON installs TO alphagate_system;
CREATE VIEW install_updates WITH (security_invoker = true) AS
    SELECT installs.org_id, installs.id, endpoints.live_version
    FROM installs
    JOIN endpoints ON endpoints.org_id = installs.publisher_id AND endpoints.id = installs.endpoint_id
    WHERE installs.pinned < endpoints.live_version AND endpoints.withdrawn_at IS NULL;
GRANT SELECT ON install_updates TO alphagate_system;

-- Answers to requests with an Idempotency-Key of users and of the operator, who make orgs and what belongs to none.
CREATE TABLE caller_idempotency (
    -- The user, or 32 zeros: the operator.
    caller_id uuid NOT NULL,
    key text NOT NULL,
    digest bytea NOT NULL,
    answer bytea,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    CONSTRAINT caller_idempotency_pkey PRIMARY KEY (caller_id, key)
);
CREATE INDEX caller_idempotency_expiring ON caller_idempotency (expires_at);
ALTER TABLE caller_idempotency ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY caller_idempotency_system ON caller_idempotency TO alphagate_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON caller_idempotency TO alphagate_system;
