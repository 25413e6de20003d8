-- The two groups that control's logins belong to, and the tenant of a transaction.
--
-- Roles are shared by all databases of a cluster, and advisory locks are not: another database may be creating
-- the same role right now.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['alphagate_system', 'alphagate_tenant'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO alphagate_tenant, alphagate_system;
GRANT SELECT ON _sqlx_migrations TO alphagate_tenant, alphagate_system;

-- The org that this transaction works for; none, and so no rows, unless control/src/tenant.rs has set it.
CREATE FUNCTION app_org() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.org_id', true), '')::uuid;
