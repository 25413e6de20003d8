-- Policies: what a publisher demands of requests and answers, in revisions that never change; and which versions refer to them.

CREATE TABLE policies (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    description text NOT NULL,
    -- The newest revision.
    newest integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT policies_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT policies_org_fk FOREIGN KEY (org_id) REFERENCES orgs (id),
    CONSTRAINT policies_name_unique UNIQUE (org_id, name),
    CONSTRAINT policies_name_spelling CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    CONSTRAINT policies_description_length CHECK (char_length(description) <= 2000),
    CONSTRAINT policies_newest_positive CHECK (newest > 0)
);
ALTER TABLE policies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY policies_own ON policies TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, UPDATE (description, newest, changed_at), DELETE ON policies TO alphagate_tenant;

CREATE TABLE policy_revisions (
    org_id uuid NOT NULL,
    policy_id uuid NOT NULL,
    number integer NOT NULL,
    document json NOT NULL,
    -- The preset that it was made from, besides what was said.
    preset text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT policy_revisions_pkey PRIMARY KEY (org_id, policy_id, number),
    CONSTRAINT policy_revisions_policy_fk FOREIGN KEY (org_id, policy_id) REFERENCES policies (org_id, id) ON DELETE CASCADE,
    CONSTRAINT policy_revisions_number_positive CHECK (number > 0)
);
ALTER TABLE policy_revisions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY policy_revisions_own ON policy_revisions TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
-- Not one of them is changed or deleted: they go with their policy.
GRANT SELECT, INSERT ON policy_revisions TO alphagate_tenant;

-- What a version was created under: while it is here, the policy cannot be deleted.
CREATE TABLE version_policies (
    org_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    number integer NOT NULL,
    policy_id uuid NOT NULL,
    revision integer NOT NULL,
    CONSTRAINT version_policies_pkey PRIMARY KEY (org_id, endpoint_id, number, policy_id),
    CONSTRAINT version_policies_version_fk FOREIGN KEY (org_id, endpoint_id, number)
        REFERENCES versions (org_id, endpoint_id, number),
    CONSTRAINT version_policies_revision_fk FOREIGN KEY (org_id, policy_id, revision)
        REFERENCES policy_revisions (org_id, policy_id, number)
);
CREATE INDEX version_policies_by_policy ON version_policies (org_id, policy_id, revision);
ALTER TABLE version_policies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY version_policies_own ON version_policies TO alphagate_tenant
    USING (org_id = (SELECT app_org())) WITH CHECK (org_id = (SELECT app_org()));
GRANT SELECT, INSERT, DELETE ON version_policies TO alphagate_tenant;

-- What the edge serves, where policies make it another than what was written.
ALTER TABLE versions ADD COLUMN resolved json;

-- What policies did to a request: `pii:email`, `moderation:output:hate`.
ALTER TABLE usage_events ADD COLUMN flags text[] NOT NULL DEFAULT '{}';
