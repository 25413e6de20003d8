//! A full database: rows by `INSERT … SELECT`, spread over orgs, endpoints and time as use spreads them.
//!
//! Invariant: what control reads of these rows it reads as it reads its own: they have the shapes that it writes.

use alphagate_bed::{Database, seed::Org};
use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::time::Instant;

/// How much there is.
#[derive(Debug)]
pub struct Sizes {
    pub orgs: u32,
    pub endpoints: u32,
    pub jobs: u32,
    pub events: u32,
    pub keys: u32,
    pub entries: u32,
}

impl Sizes {
    /// What the promise says.
    pub const FULL: Self = Self {
        orgs: 200,
        endpoints: 10_000,
        jobs: 100_000,
        events: 1_000_000,
        keys: 10_000,
        entries: 100_000,
    };
    /// A fiftieth.
    pub const QUICK: Self =
        Self { orgs: 30, endpoints: 200, jobs: 2_000, events: 20_000, keys: 200, entries: 2_000 };
}

/// Most rows of one statement: each tells that it is done.
const BATCH: u32 = 100_000;

/// What the other statements use: ids of a time, and orgs by their place. The first places are those of orgs that call; the
/// cube of a random number chooses, so the largest of 200 orgs has 17 % of everything, and most have little.
const TOOLS: &str = "
    CREATE FUNCTION pg_temp.id(at timestamptz, n bigint) RETURNS uuid LANGUAGE sql VOLATILE RETURN
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex((random() * 4095)::int), 3, '0')
            || '8' || lpad(to_hex((random() * 268435455)::int), 7, '0') || lpad(to_hex(n), 8, '0'))::uuid;
    CREATE FUNCTION pg_temp.chosen(many int) RETURNS int LANGUAGE sql VOLATILE RETURN floor(many * power(random(), 3))::int;
    CREATE TEMP TABLE org_places (place int PRIMARY KEY, id uuid NOT NULL);
    CREATE TEMP TABLE endpoint_places (place int PRIMARY KEY, org_id uuid NOT NULL, id uuid NOT NULL);
    CREATE TEMP TABLE key_of_org (org_id uuid PRIMARY KEY, id uuid NOT NULL);
    SELECT setseed(0.5);
    SET session_replication_role = replica;
    SET synchronous_commit = off";

const ORGS: &str = "
    INSERT INTO orgs (id, name, created_at)
        SELECT pg_temp.id(at, n), 'Org ' || n, at
        FROM (SELECT n, now() - interval '90 days' + n * interval '1 minute' AS at FROM generate_series(1, $ROWS) AS n) AS new;
    INSERT INTO org_places SELECT row_number() OVER (ORDER BY called DESC, id) - 1, id
        FROM (SELECT id, id = ANY($CALLING) AS called FROM orgs) AS all_of_them";

const ENDPOINTS: &str = "
    CREATE TEMP TABLE new_endpoints AS
        SELECT n, id AS org_id, pg_temp.id(at, n) AS endpoint_id, at,
            (ARRAY['haiku', 'summary', 'triage', 'translate', 'extract', 'review'])[n % 6 + 1] || '-' || n AS name
        FROM (SELECT n, pg_temp.chosen((SELECT count(*)::int FROM org_places)) AS place,
                now() - interval '60 days' + n * interval '5 minutes' AS at
            FROM generate_series(1, $ROWS) AS n) AS chosen
        JOIN org_places USING (place);
    INSERT INTO names (org_id, name) SELECT org_id, name FROM new_endpoints;
    INSERT INTO endpoints (org_id, id, name, description, visibility, payer, limits, publisher_paid, live_version, created_at)
        SELECT org_id, endpoint_id, name, 'Answers in the manner of number ' || n || ', politely and in one paragraph.',
            CASE WHEN n % 2 = 0 THEN 'public' ELSE 'private' END, 'installer', '[]', false, 1, at FROM new_endpoints;
    INSERT INTO versions (org_id, endpoint_id, number, config, origins, created_at, first_live_at)
        SELECT org_id, endpoint_id, number, json_build_object('targets', json_build_array(json_build_object(
            'base_url', 'https://api.example.com/v1', 'model', 'm')), 'instructions', repeat('Write well. ', 40)),
            ARRAY['https://api.example.com'], at, CASE WHEN number = 1 THEN at END
        FROM new_endpoints, generate_series(1, 3) AS number;
    INSERT INTO publications (org_id, id, endpoint_id, version, created_at)
        SELECT org_id, pg_temp.id(at, n), endpoint_id, 1, at FROM new_endpoints;
    INSERT INTO endpoint_places SELECT row_number() OVER (ORDER BY n) - 1, org_id, endpoint_id FROM new_endpoints";

const KEYS: &str = "
    INSERT INTO keys (org_id, id, name, mode, scopes, digest, created_at)
        SELECT id, pg_temp.id(at, n), 'key ' || n, 'live', ARRAY['call'], sha256(n::text::bytea), at
        FROM (SELECT n, pg_temp.chosen((SELECT count(*)::int FROM org_places)) AS place,
                now() - interval '30 days' + n * interval '1 minute' AS at
            FROM generate_series(1, $ROWS) AS n) AS chosen
        JOIN org_places USING (place);
    INSERT INTO key_of_org SELECT org_id, (array_agg(id))[1] FROM keys WHERE scopes = ARRAY['call'] GROUP BY org_id
        ON CONFLICT DO NOTHING";

const JOBS: &str = r#"
    CREATE TEMP TABLE new_jobs AS
        SELECT n, id AS org_id, pg_temp.id(at, n) AS job_id, pg_temp.id(at, n) AS attempt_id, at,
            CASE WHEN n % 100 = 0 THEN 'dead' WHEN n % 100 = 1 THEN 'canceled' ELSE 'done' END AS state
        FROM (SELECT n, pg_temp.chosen((SELECT count(*)::int FROM org_places)) AS place,
                now() - interval '25 days' * (1 - n::float8 / $TOTAL) AS at
            FROM generate_series($FIRST::int, $LAST) AS n) AS chosen
        JOIN org_places USING (place);
    INSERT INTO jobs (org_id, id, kind, name, language, image, entry, limits, labels, priority, spec, output_max_bytes, owner,
            state, created_at, due_at, effective_at, retries, attempts, attempt_id, started_at, outcome, report, ended_at,
            stdout_bytes, stdout_preview)
        SELECT org_id, job_id, 'sandbox',
            (ARRAY['nightly', 'import', 'report', 'score'])[n % 4 + 1] || ' ' || n,
            (ARRAY['python', 'python', 'python', 'javascript', 'bash'])[n % 5 + 1], 'host', 'main.py',
            '{"wall_ms": 60000, "cpu_ms": 60000, "memory_bytes": 268435456, "pids": 64, "disk_bytes": 67108864, "output_bytes": 1048576}',
            CASE WHEN n % 10 = 0 THEN ARRAY['gpu'] ELSE '{}' END, 'normal',
            json_build_object('sandbox', repeat('print(1) ', 100)), 1048576, 'caller',
            state, at, at, at, 0, 1, attempt_id, at + interval '1 second',
            CASE WHEN state <> 'done' THEN NULL WHEN n % 20 = 2 THEN 'failed' WHEN n % 500 = 3 THEN 'timeout' ELSE 'passed' END,
            '{"ending": {"how": "exited", "code": 0}}', at + interval '3 seconds', 400, convert_to(repeat('a line ', 57), 'UTF8')
        FROM new_jobs;
    INSERT INTO job_attempts (org_id, id, job_id, number, runner_id, claimed_at, started_at, ended_at, ending)
        SELECT org_id, attempt_id, job_id, 1, attempt_id, at, at + interval '1 second', at + interval '3 seconds',
            '{"how": "exited", "code": 0}' FROM new_jobs;
    DROP TABLE new_jobs"#;

const EVENTS: &str = "
    INSERT INTO usage_events (org_id, id, at, key_id, endpoint_id, publisher_id, payer, version, stream, outcome, requests,
            input_tokens, output_tokens, cost_micros, estimated, cached_input_tokens, reasoning_tokens, first_byte_ms, total_ms,
            flagged)
        SELECT e.org_id, pg_temp.id(at, n), at, k.id, e.id, e.org_id, 'publisher', 1, n % 2 = 0, 'completed', 1,
            100 + n % 900, 50 + n % 400, n % 5000, false, 0, 0, 200, 900, '{}'
        FROM (SELECT n, pg_temp.chosen((SELECT count(*)::int FROM endpoint_places)) AS place,
                now() - interval '35 days' * (1 - n::float8 / $TOTAL) AS at
            FROM generate_series($FIRST::int, $LAST) AS n) AS chosen
        JOIN endpoint_places AS e USING (place) JOIN key_of_org AS k ON k.org_id = e.org_id";

const ENTRIES: &str = r#"
    INSERT INTO audit (org_id, id, at, actor_kind, actor_id, action, verb, subject_kind, subject_id, address, request, after)
        SELECT id, pg_temp.id(at, n), at, 'key', 'key_' || replace(id::text, '-', ''),
            (ARRAY['keys.write', 'endpoints.write', 'jobs.run', 'jobs.run', 'jobs.run'])[n % 5 + 1], 'create', 'job',
            'job_' || n, '192.0.2.1', 'req_' || n, '{"name": "n"}'
        FROM (SELECT n, pg_temp.chosen((SELECT count(*)::int FROM org_places)) AS place,
                now() - interval '60 days' * (1 - n::float8 / $TOTAL) AS at
            FROM generate_series($FIRST::int, $LAST) AS n) AS chosen
        JOIN org_places USING (place)"#;

/// Fills every table; tells what is done.
pub async fn all(database: &Database, calling: &[Org], sizes: &Sizes) -> Result<()> {
    let mut db = PgConnection::connect(&database.owner_url()).await?;
    let calling: Vec<String> = calling.iter().map(|org| format!("'{}'", uuid(&org.id))).collect();
    let calling = format!("ARRAY[{}]::uuid[]", calling.join(", "));
    run(&mut db, TOOLS).await?;
    let steps = [
        ("orgs", ORGS, sizes.orgs),
        ("endpoints", ENDPOINTS, sizes.endpoints),
        ("keys", KEYS, sizes.keys),
        ("jobs", JOBS, sizes.jobs),
        ("usage events", EVENTS, sizes.events),
        ("audit entries", ENTRIES, sizes.entries),
    ];
    for (what, sql, rows) in steps {
        let sql = sql.replace("$CALLING", &calling).replace("$TOTAL", &rows.to_string());
        fill(&mut db, what, &sql, rows).await?;
    }
    let begun = Instant::now();
    run(&mut db, "VACUUM ANALYZE").await?;
    // What the filling has left to write is not what is measured.
    run(&mut db, "CHECKPOINT").await?;
    println!("{:>9} ms  vacuum", begun.elapsed().as_millis());
    db.close().await?;
    Ok(())
}

/// So many rows, in batches where the statement takes them.
async fn fill(db: &mut PgConnection, what: &str, sql: &str, rows: u32) -> Result<()> {
    let batch = if sql.contains("$FIRST") { BATCH } else { rows };
    for first in (1..=rows).step_by(batch as usize) {
        let last = rows.min(first + batch - 1);
        let begun = Instant::now();
        let sql = sql.replace("$FIRST", &first.to_string()).replace("$LAST", &last.to_string());
        run(db, &sql.replace("$ROWS", &rows.to_string())).await.context(what.to_owned())?;
        println!("{:>9} ms  {last} of {rows} {what}", begun.elapsed().as_millis());
    }
    Ok(())
}

async fn run(db: &mut PgConnection, sql: &str) -> Result<()> {
    db.execute(AssertSqlSafe(sql.to_owned())).await?;
    Ok(())
}

/// From the next connection on, Postgres's log has each statement that takes longer than it should.
pub async fn tell_slow_statements(database: &Database) -> Result<()> {
    let mut db = PgConnection::connect(&database.owner_url()).await?;
    let sql = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_min_duration_statement = 5', current_database()); END $$";
    run(&mut db, sql).await?;
    db.close().await?;
    Ok(())
}

/// As Postgres spells an id.
pub fn uuid(id: &str) -> &str {
    id.split_once('_').map_or(id, |(_, uuid)| uuid)
}
