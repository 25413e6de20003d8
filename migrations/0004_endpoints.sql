-- Credentials, endpoints, versions, publications, installs, quotas, and the catalog.

CREATE TABLE credentials (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    origin text NOT NULL,
    -- Encrypted with AG_VAULT_RING; bound to org and credential.
    secret bytea NOT NULL,
    vault_kid text NOT NULL,
    -- The edge's key that the pushed record is sealed to.
    seal_kid text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    rotated_at timestamptz,
    CONSTRAINT credentials_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT credentials_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT credentials_name_length CHECK (char_length(name) BETWEEN 1 AND 200)
);
ALTER TABLE credentials ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY credentials_own ON credentials TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY credentials_reseal ON credentials FOR SELECT TO alphagate_system USING (true);
GRANT SELECT, INSERT, UPDATE (secret, vault_kid, seal_kid, rotated_at), DELETE ON credentials TO alphagate_tenant;
GRANT SELECT (org_id, id, vault_kid, seal_kid) ON credentials TO alphagate_system;

-- One namespace for an org's own endpoints and its installs.
CREATE TABLE names (
    org_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    CONSTRAINT names_pkey PRIMARY KEY (org_id, name),
    CONSTRAINT names_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT names_spelling CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$')
);
ALTER TABLE names ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY names_own ON names TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, DELETE ON names TO alphagate_tenant;

CREATE TABLE endpoints (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    description text NOT NULL,
    visibility text NOT NULL,
    payer text NOT NULL,
    limits jsonb NOT NULL,
    -- Whether the publisher ever offered to pay: from then on there is always a limit.
    publisher_paid boolean NOT NULL,
    live_version integer,
    withdrawn_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT endpoints_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT endpoints_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT endpoints_name_fk FOREIGN KEY (org_id, name) REFERENCES names (org_id, name),
    CONSTRAINT endpoints_name_unique UNIQUE (org_id, name),
    CONSTRAINT endpoints_description_length CHECK (char_length(description) <= 2000),
    CONSTRAINT endpoints_visibility_known CHECK (visibility IN ('private', 'public')),
    CONSTRAINT endpoints_payer_known CHECK (payer IN ('publisher', 'installer')),
    CONSTRAINT endpoints_paid_is_limited CHECK (
        (payer <> 'publisher' OR publisher_paid) AND (NOT publisher_paid OR jsonb_array_length(limits) > 0)
    )
);
ALTER TABLE endpoints ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY endpoints_own ON endpoints TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY endpoints_catalog ON endpoints FOR SELECT TO alphagate_system USING (true);
GRANT SELECT, INSERT,
    UPDATE (description, visibility, payer, limits, publisher_paid, live_version, withdrawn_at)
    ON endpoints TO alphagate_tenant;
GRANT SELECT ON endpoints TO alphagate_system;

CREATE TABLE versions (
    org_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    number integer NOT NULL,
    config json NOT NULL,
    -- Where its credentials are sent to.
    origins text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Until then it is a draft.
    first_live_at timestamptz,
    CONSTRAINT versions_pkey PRIMARY KEY (org_id, endpoint_id, number),
    CONSTRAINT versions_endpoint_fk FOREIGN KEY (org_id, endpoint_id) REFERENCES endpoints (org_id, id),
    CONSTRAINT versions_number_positive CHECK (number > 0)
);
ALTER TABLE versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY versions_own ON versions TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY versions_catalog ON versions FOR SELECT TO alphagate_system USING (true);
GRANT SELECT, INSERT, UPDATE (first_live_at) ON versions TO alphagate_tenant;
GRANT SELECT (org_id, endpoint_id, number, origins, first_live_at) ON versions TO alphagate_system;

ALTER TABLE endpoints ADD CONSTRAINT endpoints_live_fk
    FOREIGN KEY (org_id, id, live_version) REFERENCES versions (org_id, endpoint_id, number);

-- Which credentials a version sends: while it is here, the credential cannot be deleted.
CREATE TABLE version_credentials (
    org_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    number integer NOT NULL,
    credential_id uuid NOT NULL,
    CONSTRAINT version_credentials_pkey PRIMARY KEY (org_id, endpoint_id, number, credential_id),
    CONSTRAINT version_credentials_version_fk FOREIGN KEY (org_id, endpoint_id, number)
        REFERENCES versions (org_id, endpoint_id, number),
    CONSTRAINT version_credentials_credential_fk FOREIGN KEY (org_id, credential_id)
        REFERENCES credentials (org_id, id)
);
CREATE INDEX version_credentials_by_credential ON version_credentials (org_id, credential_id);
ALTER TABLE version_credentials ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY version_credentials_own ON version_credentials TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, DELETE ON version_credentials TO alphagate_tenant;

CREATE TABLE publications (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    version integer NOT NULL,
    -- What was live before.
    replaced integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT publications_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT publications_version_fk FOREIGN KEY (org_id, endpoint_id, version)
        REFERENCES versions (org_id, endpoint_id, number)
);
CREATE INDEX publications_by_endpoint ON publications (org_id, endpoint_id, id);
ALTER TABLE publications ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY publications_own ON publications TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT ON publications TO alphagate_tenant;

CREATE TABLE installs (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    publisher_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    -- The version it stays on; none: it follows what is live.
    pinned integer,
    payer text NOT NULL,
    credential_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT installs_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT installs_name_fk FOREIGN KEY (org_id, name) REFERENCES names (org_id, name),
    CONSTRAINT installs_name_unique UNIQUE (org_id, name),
    CONSTRAINT installs_endpoint_fk FOREIGN KEY (publisher_id, endpoint_id) REFERENCES endpoints (org_id, id),
    CONSTRAINT installs_pinned_fk FOREIGN KEY (publisher_id, endpoint_id, pinned)
        REFERENCES versions (org_id, endpoint_id, number),
    CONSTRAINT installs_credential_fk FOREIGN KEY (org_id, credential_id) REFERENCES credentials (org_id, id),
    CONSTRAINT installs_of_others CHECK (publisher_id <> org_id),
    CONSTRAINT installs_payer_known CHECK (payer IN ('publisher', 'installer')),
    CONSTRAINT installs_one_payer CHECK (payer = 'installer' OR credential_id IS NULL)
);
CREATE INDEX installs_by_endpoint ON installs (publisher_id, endpoint_id);
CREATE INDEX installs_by_credential ON installs (org_id, credential_id);
ALTER TABLE installs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY installs_own ON installs TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
-- A publisher may cap one install of its endpoint.
CREATE POLICY installs_of_my_endpoints ON installs FOR SELECT TO alphagate_tenant
    USING (publisher_id = (SELECT app_org()));
GRANT SELECT, INSERT, UPDATE (pinned), DELETE ON installs TO alphagate_tenant;

CREATE TABLE quotas (
    org_id uuid NOT NULL,
    position integer NOT NULL,
    quota jsonb NOT NULL,
    CONSTRAINT quotas_pkey PRIMARY KEY (org_id, position),
    CONSTRAINT quotas_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id)
);
ALTER TABLE quotas ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY quotas_own ON quotas TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
CREATE POLICY quotas_for_the_record ON quotas FOR SELECT TO alphagate_system USING (true);
GRANT SELECT, INSERT, DELETE ON quotas TO alphagate_tenant;
GRANT SELECT ON quotas TO alphagate_system;

-- What every org may see of another's endpoints. Read by the system role only.
CREATE VIEW catalog WITH (security_invoker = true) AS
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
        endpoints.created_at
    FROM endpoints
    JOIN orgs ON orgs.id = endpoints.org_id
    JOIN versions ON versions.org_id = endpoints.org_id
        AND versions.endpoint_id = endpoints.id
        AND versions.number = endpoints.live_version
    WHERE endpoints.visibility = 'public'
        AND endpoints.withdrawn_at IS NULL
        AND NOT orgs.suspended;
GRANT SELECT ON catalog TO alphagate_system;
CREATE UNIQUE INDEX endpoints_in_the_catalog ON endpoints (id)
    WHERE visibility = 'public' AND withdrawn_at IS NULL AND live_version IS NOT NULL;
