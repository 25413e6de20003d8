//! From the first release's schema, full of data, to the newest, while programs of both releases work.
//!
//! Migrations only expand, and wait for a lock no longer than nobody notices: so no statement of the first release fails or
//! waits for long, what was there stays as it was, and the newest program works on it beside the oldest one.

use crate::{
    bed::{Bed, Control, Org, Secrets, environment, secrets, settings},
    edge::FakeEdge,
    pg::Database,
    upgrade_old::Old,
};
use alphagate_contract::{
    id::{KeyId, OrgId},
    key::{ApiKey, Mode},
    ring::Ring,
};
use alphagate_control::store::{self, MIGRATIONS};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The newest migration that the first release knew.
const FIRST_RELEASE: i64 = 6;
/// Longest wait of a statement of the first release while migrations run: a caller notices a second. The rest is for a
/// machine on which other tests run.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Replicas of the first release.
const REPLICAS: u8 = 3;
/// Rounds of each replica before the migrations, beside the newest program, and so on.
const ROUNDS: usize = 3;

/// Twenty orgs with a thousand keys, endpoints that are live and installed, credentials, and usage of two months.
const DATA: &str = "
    CREATE FUNCTION pg_temp.id(n bigint) RETURNS uuid LANGUAGE sql VOLATILE RETURN
        (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - n * 100000), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid;
    CREATE FUNCTION pg_temp.org(n bigint) RETURNS uuid LANGUAGE sql RETURN ('0198c0de-0000-7000-8000-' || lpad((n % 20)::text, 12, '0'))::uuid;
    INSERT INTO orgs (id, name) SELECT pg_temp.org(n), 'org ' || n FROM generate_series(0, 19) AS n;
    INSERT INTO keys (org_id, id, name, mode, scopes, digest)
        SELECT pg_temp.org(n), pg_temp.id(n), 'key ' || n, 'live', ARRAY['call'], sha256(n::text::bytea)
        FROM generate_series(1, 1000) AS n;
    INSERT INTO names (org_id, name) SELECT pg_temp.org(n), 'endpoint-' || n FROM generate_series(1, 1000) AS n;
    INSERT INTO endpoints (org_id, id, name, description, visibility, payer, limits, publisher_paid)
        SELECT pg_temp.org(n), pg_temp.id(n), 'endpoint-' || n, 'd', 'public', 'installer', '[]', false FROM generate_series(1, 1000) AS n;
    INSERT INTO versions (org_id, endpoint_id, number, config, origins, first_live_at)
        SELECT org_id, id, number, '{\"targets\":[{\"base_url\":\"http://127.0.0.1:9/v1\",\"model\":\"m\"}]}', '{}', now()
        FROM endpoints, generate_series(1, 2) AS number;
    INSERT INTO publications (org_id, id, endpoint_id, version) SELECT org_id, id, id, 1 FROM endpoints;
    UPDATE endpoints SET live_version = 1;
    INSERT INTO names (org_id, name) SELECT pg_temp.org(n + 1), 'install-' || n FROM generate_series(1, 500) AS n;
    INSERT INTO installs (org_id, id, name, publisher_id, endpoint_id, payer)
        SELECT pg_temp.org(n + 1), id, 'install-' || n, org_id, id, 'installer'
        FROM (SELECT *, split_part(name, '-', 2)::bigint AS n FROM endpoints) AS numbered WHERE n <= 500;
    INSERT INTO credentials (org_id, id, name, origin, secret, vault_kid, seal_kid)
        SELECT pg_temp.org(n), pg_temp.id(n), 'c', 'http://127.0.0.1:9', '\\x00', 'k', 'k' FROM generate_series(1, 100) AS n;
    INSERT INTO quotas (org_id, position, quota)
        SELECT pg_temp.org(n), 1, '{\"subject\": {\"kind\": \"org\"}, \"limit\": {\"concurrency\": 1}}' FROM generate_series(0, 19) AS n;
    INSERT INTO usage_events (org_id, id, at, key_id, endpoint_id, publisher_id, payer, version, stream, outcome, requests,
            input_tokens, output_tokens, cost_micros, estimated, cached_input_tokens, reasoning_tokens, first_byte_ms, total_ms, flagged)
        SELECT pg_temp.org(n), pg_temp.id(n), now(), pg_temp.id(n % 1000 + 1), pg_temp.id(n % 1000 + 1), pg_temp.org(n), 'publisher', 1,
            false, 'completed', 1, 1, 1, 1, false, 0, 0, 1, 1, '{}' FROM generate_series(1, 20000) AS n;
    ANALYZE";

/// The uuid of one of the twenty.
fn org(number: u8) -> Uuid {
    format!("0198c0de-0000-7000-8000-{number:012}").parse().unwrap()
}

/// What the first release sees of the rows that were there: a digest of each table, by the columns that it knew.
async fn digests(db: &mut PgConnection, tables: &[(String, String)]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (table, columns) in tables {
        let org = if table == "orgs" { "id" } else { "org_id" };
        let sql = format!(
            "SELECT coalesce(md5(string_agg(line, ',' ORDER BY line)), '') FROM (
                SELECT (row({columns}))::text AS line FROM {table} WHERE {org}::text LIKE '0198c0de-0000-7000-8000-%'
             ) AS lines"
        );
        let (digest,): (String,) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *db).await.unwrap();
        all.push((table.clone(), digest));
    }
    all
}

/// Every table with its columns.
async fn tables(db: &mut PgConnection) -> Vec<(String, String)> {
    let sql = "SELECT c.table_name::text, string_agg(c.column_name, ', ' ORDER BY ordinal_position)
        FROM information_schema.columns c JOIN pg_class ON relname = c.table_name AND relnamespace = 'public'::regnamespace
        WHERE table_schema = 'public' AND relkind IN ('r', 'p') AND NOT relispartition
            AND (relname = 'orgs' OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'org_id'))
        GROUP BY c.table_name ORDER BY c.table_name";
    sqlx::query_as(sql).fetch_all(db).await.unwrap()
}

/// Replicas of the first release at work until they are stopped.
struct Replicas {
    stop: Arc<AtomicBool>,
    running: Vec<JoinHandle<Old>>,
}

impl Replicas {
    async fn start(database: &Database) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        for number in 0..REPLICAS {
            // Two of them work for the same org.
            let mut old = Old::start(database, replicas_org(number % 2)).await;
            let stop = stop.clone();
            running.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    old.round().await;
                }
                for _ in 0..ROUNDS {
                    old.round().await;
                }
                old
            }));
        }
        Self { stop, running }
    }

    /// Lets each go on for some rounds more; gives how they fared. Fails if one of their statements has.
    async fn end(self) -> Vec<Old> {
        self.stop.store(true, Ordering::Relaxed);
        let mut ended = Vec::new();
        for replica in self.running {
            ended.push(replica.await.expect("a replica of the first release has failed"));
        }
        ended
    }
}

/// An org that the replicas write for.
fn replicas_org(number: u8) -> Uuid {
    format!("0198c0de-0000-7000-9000-{number:012}").parse().unwrap()
}

/// Somebody reads a table for a long time; a migration that wants it waits, gives up, and comes back, at least twice.
async fn reads_for_long(database: &Database) -> JoinHandle<()> {
    let (mut reader, mut watch) = (database.superuser().await, database.superuser().await);
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM keys").execute(&mut reader).await.unwrap();
    tokio::spawn(async move {
        let mut tries: Vec<(DateTime<Utc>,)> = Vec::new();
        while tries.len() < 2 {
            let waiting: Vec<(DateTime<Utc>,)> = sqlx::query_as(
                "SELECT xact_start FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL
                    AND wait_event_type = 'Lock' AND application_name = $1",
            )
            .bind(store::MIGRATOR)
            .fetch_all(&mut watch)
            .await
            .unwrap();
            tries.extend(waiting.into_iter().filter(|one| !tries.contains(one)).collect::<Vec<_>>());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
        reader.close().await.unwrap();
    })
}

/// A key of `org` that the newest program takes.
async fn admin_of(db: &mut PgConnection, ring: &Ring, org: Uuid) -> Org {
    let id = KeyId::new(crate::edge::now_ms(), [7; 10]);
    let org = OrgId::from_uuid(org);
    let key = ApiKey::mint(ring, Mode::Live, org, id, [9; 24]);
    sqlx::query(
        "INSERT INTO keys (org_id, id, name, mode, scopes, digest) VALUES ($1, $2, 'admin', 'live', ARRAY['admin'], $3)",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(key.digest().bytes())
    .execute(db)
    .await
    .unwrap();
    Org { id: org.to_string(), admin: key.text().reveal().clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_releases_data_comes_to_the_newest_schema_while_both_releases_work() {
    let database = Database::empty().await;
    let mut db = database.superuser().await;
    let mut owner = PgConnection::connect(&database.owner_url()).await.unwrap();
    MIGRATIONS.run_to(FIRST_RELEASE, &mut owner).await.unwrap();
    owner.close().await.unwrap();
    sqlx::raw_sql(DATA).execute(&mut db).await.unwrap();
    for number in 0..2 {
        let org = replicas_org(number);
        sqlx::query("INSERT INTO orgs (id, name) VALUES ($1, 'old')")
            .bind(org)
            .execute(&mut db)
            .await
            .unwrap();
    }
    let known = tables(&mut db).await;
    assert!(known.len() > 12, "{known:?}");
    let before = digests(&mut db, &known).await;

    let replicas = Replicas::start(&database).await;
    let reader = reads_for_long(&database).await;
    store::migrate(&database.owner_url()).await.unwrap();
    reader.await.unwrap();
    assert_eq!(digests(&mut db, &known).await, before, "what was there is as it was");

    let secrets = secrets();
    let edge = FakeEdge::start(&secrets["AG_CONTROL_TO_EDGE_RING"]).await;
    let mut bed = newest(database, secrets, edge).await;
    let ring = Ring::parse(&bed.secrets["AG_KEY_RING"]).unwrap();
    let of_data = admin_of(&mut db, &ring, org(3)).await;
    let of_replicas = admin_of(&mut db, &ring, replicas_org(0)).await;
    works_on(&bed, &of_data).await;
    assert_eq!(bed.get(&of_data, "/v1/usage?limit=100").await.1["data"].as_array().unwrap().len(), 100);
    works_on(&bed, &of_replicas).await;
    let ended = replicas.end().await;
    for old in ended {
        let (longest, sql) = old.longest;
        assert!(old.rounds > ROUNDS, "{} rounds", old.rounds);
        assert!(longest < WAIT_MAX, "{longest:?}: {sql}");
    }
    // What the first release has published, the newest lists, and the other way round.
    let listed = bed.get(&of_replicas, "/v1/endpoints?limit=100").await.1;
    let names: Vec<&str> =
        listed["data"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"newest") && names.iter().any(|name| name.starts_with("old-")), "{names:?}");
    bed.control.stop().await;
}

/// The newest program, on this database.
pub async fn newest(database: Database, secrets: Secrets, edge: FakeEdge) -> Bed {
    let control = Control::start(settings(&environment(&secrets, &database, edge.url()), &[])).await;
    Bed { database, edge, secrets, control, http: reqwest::Client::new() }
}

/// Reads what an org has, makes something of every kind that the first release knew, and publishes it.
pub async fn works_on(bed: &Bed, org: &Org) {
    for list in [
        "endpoints",
        "keys",
        "installs",
        "credentials",
        "usage",
        "quotas",
        "catalog",
        "jobs",
        "audit",
        "members",
    ] {
        let (status, page) = bed.get(org, &format!("/v1/{list}")).await;
        assert_eq!(status, 200, "{list}: {page}");
    }
    let endpoint = bed.make(org, "/v1/endpoints", json!({"name": "newest"})).await;
    let endpoint = crate::bed::text(&endpoint["id"]);
    bed.version(org, &endpoint).await;
    bed.publish(org, &endpoint, 1, None).await;
    bed.make(org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    bed.job(org, crate::jobs_hosts::job()).await;
}
