-- What the catalog's search looks through: no more of an endpoint than it is found by.
--
-- The versions that `catalog` joins are read for a page, not for whatever a word is found in.

CREATE VIEW catalog_search WITH (security_invoker = true) AS
    SELECT endpoints.id, endpoints.org_id AS publisher_id, endpoints.tags, endpoints.words
    FROM endpoints
    JOIN orgs ON orgs.id = endpoints.org_id
    WHERE endpoints.visibility = 'public'
        AND endpoints.withdrawn_at IS NULL
        AND endpoints.live_version IS NOT NULL
        AND NOT orgs.suspended;
GRANT SELECT ON catalog_search TO alphagate_system;
