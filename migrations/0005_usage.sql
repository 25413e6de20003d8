-- Usage events: the ledger of served requests, partitioned by the time in their ids.
--
-- An id is a UUIDv7, so ids sort by time and a partition is a range of ids: the primary key (org_id, id) makes a
-- second delivery of an event a conflict, whatever else it says. No foreign keys: the ledger outlives what it names.

CREATE TABLE usage_events (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    key_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    publisher_id uuid NOT NULL,
    install_id uuid,
    payer text NOT NULL,
    version integer NOT NULL,
    stream boolean NOT NULL,
    outcome text NOT NULL,
    requests bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_micros bigint NOT NULL,
    estimated boolean NOT NULL,
    cached_input_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    first_byte_ms bigint NOT NULL,
    total_ms bigint NOT NULL,
    flagged text[] NOT NULL,
    CONSTRAINT usage_events_pkey PRIMARY KEY (org_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX usage_events_by_publisher ON usage_events (publisher_id, id);
ALTER TABLE usage_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_events FORCE ROW LEVEL SECURITY;
CREATE POLICY usage_events_own ON usage_events FOR SELECT TO alphagate_tenant
    USING (org_id = (SELECT app_org()));
CREATE POLICY usage_events_of_my_endpoints ON usage_events FOR SELECT TO alphagate_tenant
    USING (publisher_id = (SELECT app_org()));
CREATE POLICY usage_events_ingestion ON usage_events FOR INSERT TO alphagate_system WITH CHECK (true);
GRANT SELECT ON usage_events TO alphagate_tenant;
GRANT INSERT ON usage_events TO alphagate_system;

-- Events whose id lies outside every month that has a partition: wrong clocks.
CREATE TABLE usage_events_default PARTITION OF usage_events DEFAULT;
ALTER TABLE usage_events_default ENABLE ROW LEVEL SECURITY;

-- The smallest UUIDv7 of a point in time.
CREATE FUNCTION uuid_floor(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Makes the partitions from last month to `months_ahead` from now, and moves into a new one what lay in the default.
-- The system role calls it, but owns no table: so it runs as the owner.
CREATE FUNCTION usage_events_partitions(months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
DECLARE
    step integer;
    month timestamptz;
    low uuid;
    high uuid;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('alphagate usage partitions'));
    FOR step IN -1..least(months_ahead, 24) LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => step);
        month := date_trunc('month', month AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
        low := public.uuid_floor(month);
        high := public.uuid_floor((month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
        partition := 'usage_events_' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM');
        CONTINUE WHEN to_regclass('public.' || partition) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.usage_events INCLUDING DEFAULTS)', partition);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', partition);
        EXECUTE format(
            'WITH moved AS (DELETE FROM public.usage_events_default WHERE id >= %L AND id < %L RETURNING *)
             INSERT INTO public.%I SELECT * FROM moved', low, high, partition);
        EXECUTE format(
            'ALTER TABLE public.usage_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            partition, low, high);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
REVOKE EXECUTE ON FUNCTION usage_events_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_events_partitions(integer) TO alphagate_system;
SELECT usage_events_partitions(3);
