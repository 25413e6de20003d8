//! The first release at work: its statements, to the letter, in the transactions that it made of them.
//!
//! They were taken from the sources of that release, which knew of migrations 1 to 6. Programs like it run beside newer ones
//! while a database is brought forward, so not one of them may fail, nor wait for long.

use crate::{
    edge::now_ms,
    pg::{Database, SYSTEM, TENANT, connect},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A replica of the first release, working for one org.
pub struct Old {
    tenant: PgConnection,
    system: PgConnection,
    pub org: Uuid,
    /// Its slowest statement.
    pub longest: (Duration, &'static str),
    pub rounds: usize,
}

/// Runs a statement on one of the two connections.
macro_rules! run {
    ($old:ident.$login:ident, $sql:expr $(, $value:expr)* $(,)?) => {{
        let begun = Instant::now();
        let done = sqlx::query($sql)$(.bind($value))*.fetch_all(&mut $old.$login).await;
        let rows = done.unwrap_or_else(|error| panic!("the first release fails: {error}: {}", $sql));
        if begun.elapsed() > $old.longest.0 {
            $old.longest = (begun.elapsed(), $sql);
        }
        rows
    }};
}

const LIST_KEYS: &str =
    "SELECT id, name, mode, scopes, created_at, expires_at, revoked_at, last_used_at, replaced_by
         FROM keys WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3";
const LIST_ENDPOINTS: &str = "SELECT id, name, description, visibility, payer, limits, live_version, withdrawn_at, created_at \
     FROM endpoints WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3";
const LIST_INSTALLS: &str =
    "SELECT id, name, endpoint_id, publisher_id, pinned, payer, credential_id, created_at
         FROM installs WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3";
const LIST_CREDENTIALS: &str = "SELECT id, name, origin, created_at, rotated_at FROM credentials
         WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3";
const LIST_PUBLICATIONS: &str = "SELECT id, endpoint_id, version, replaced, created_at FROM publications
         WHERE org_id = $1 AND endpoint_id = $2 AND ($3::uuid IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4";
const LIST_USAGE: &str = "SELECT org_id, id, at, key_id, endpoint_id, publisher_id, install_id, payer, version, stream, \
    outcome, requests, input_tokens, output_tokens, cost_micros, estimated, cached_input_tokens, reasoning_tokens, \
    first_byte_ms, total_ms, flagged FROM usage_events WHERE org_id = $1
                AND ($2::uuid IS NULL OR id < $2)
             ORDER BY id DESC LIMIT $3";
const LOCK_RECORD: &str = r#"INSERT INTO records (org_id, key, revision, value)
           VALUES ($1, $2, nextval('record_revision'), '{"kind":"gone"}')
           ON CONFLICT (org_id, key) DO UPDATE SET revision = nextval('record_revision')
           RETURNING revision"#;
const INGEST: &str = "INSERT INTO usage_events (org_id, id, at, key_id, endpoint_id, publisher_id, install_id, payer, version, \
    stream, outcome, requests, input_tokens, output_tokens, cost_micros, estimated, cached_input_tokens, reasoning_tokens, \
    first_byte_ms, total_ms, flagged)
             SELECT org_id, id, at, key_id, endpoint_id, publisher_id, install_id, payer, version, \
    stream, outcome, requests, input_tokens, output_tokens, cost_micros, estimated, cached_input_tokens, reasoning_tokens, \
    first_byte_ms, total_ms, flagged FROM json_populate_recordset(NULL::usage_events, $1::text::json)
             ON CONFLICT DO NOTHING";
const OLDEST: &str = "SELECT id, record_key, revision, payload::text AS payload
         FROM (
            SELECT id, record_key, revision, payload, sum(octet_length(payload::text)) OVER (ORDER BY id) AS bytes,
                row_number() OVER (ORDER BY id) AS number
            FROM (SELECT id, record_key, revision, payload FROM outbox WHERE org_id = $1 ORDER BY id LIMIT $2) AS oldest
         ) AS measured
         WHERE bytes <= $3 OR number = 1
         ORDER BY id";

/// The time.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(now_ms().cast_signed()).unwrap()
}

impl Old {
    /// Logs in; the org is there.
    pub async fn start(database: &Database, org: Uuid) -> Self {
        let tenant = connect(&database.name, Some(TENANT)).await;
        let system = connect(&database.name, Some(SYSTEM)).await;
        let mut old = Self { tenant, system, org, longest: (Duration::ZERO, ""), rounds: 0 };
        run!(old.tenant, "SET lock_timeout = '10s'");
        run!(old.system, "SET lock_timeout = '10s'");
        old
    }

    /// Everything once.
    pub async fn round(&mut self) {
        let key = self.make_key().await;
        self.authenticate(key).await;
        let endpoint = self.make_endpoint().await;
        self.publish(endpoint).await;
        self.ingest(key, endpoint).await;
        self.read(endpoint).await;
        self.revoke(key).await;
        self.push().await;
        self.keep_house().await;
        self.rounds += 1;
    }

    /// A UUIDv7 of now, of no other replica either.
    fn id(&self) -> Uuid {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut random = [0; 10];
        random[..4].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        random[4..].copy_from_slice(&self.org.as_bytes()[10..]);
        uuid::Builder::from_unix_timestamp_millis(now_ms(), &random).into_uuid()
    }

    async fn begin(&mut self) {
        run!(self.tenant, "BEGIN");
        run!(self.tenant, "SELECT set_config('app.org_id', $1, true)", self.org.to_string());
    }

    async fn commit(&mut self) {
        run!(self.tenant, "COMMIT");
    }

    async fn write_record(&mut self, key: String) {
        let value = r#"{"kind":"gone"}"#;
        let rows = run!(self.tenant, LOCK_RECORD, self.org, &key);
        let revision: i64 = rows[0].get(0);
        run!(
            self.tenant,
            "UPDATE records SET value = $3::text::json WHERE org_id = $1 AND key = $2",
            self.org,
            &key,
            value
        );
        run!(
            self.tenant,
            "INSERT INTO outbox (org_id, record_key, revision, payload) VALUES ($1, $2, $3, $4::text::json)",
            self.org,
            &key,
            revision,
            value
        );
        run!(self.tenant, "SELECT pg_notify($1, $2)", "outbox", self.org.to_string());
    }

    async fn make_key(&mut self) -> Uuid {
        let id = self.id();
        self.begin().await;
        run!(
            self.tenant,
            "INSERT INTO idempotency (org_id, key, digest) VALUES ($1, $2, $3)
         ON CONFLICT (org_id, key) DO UPDATE
            SET digest = excluded.digest, answer = NULL, expires_at = excluded.expires_at
            WHERE idempotency.expires_at < now()",
            self.org,
            id.to_string(),
            vec![0_u8; 32]
        );
        run!(
            self.tenant,
            "INSERT INTO keys (org_id, id, name, mode, scopes, digest, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         RETURNING id, name, mode, scopes, created_at, expires_at, revoked_at, last_used_at, replaced_by",
            self.org,
            id,
            "old",
            "live",
            vec!["call", "admin"],
            vec![1_u8; 32],
            None::<DateTime<Utc>>
        );
        run!(
            self.tenant,
            "SELECT gone, digest, 'call' = ANY(scopes), expires_at FROM keys WHERE org_id = $1 AND id = $2",
            self.org,
            id
        );
        self.write_record(format!("v1/key/key_{}", id.simple())).await;
        let answer = vec![2_u8; 40];
        run!(
            self.tenant,
            "UPDATE idempotency SET answer = $3 WHERE org_id = $1 AND key = $2",
            self.org,
            id.to_string(),
            answer
        );
        self.commit().await;
        id
    }

    async fn authenticate(&mut self, key: Uuid) {
        let rows = run!(
            self.system,
            "SELECT digest, scopes FROM keys
         WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL AND coalesce(expires_at > now(), true)",
            self.org,
            key
        );
        assert_eq!(rows.len(), 1);
        run!(self.system, "SELECT id, name, suspended, created_at FROM orgs WHERE id = $1", self.org);
    }

    async fn make_endpoint(&mut self) -> Uuid {
        let id = self.id();
        let name = format!("old-{}", id.simple());
        self.begin().await;
        run!(self.tenant, "INSERT INTO names (org_id, name) VALUES ($1, $2)", self.org, &name);
        run!(
            self.tenant,
            "INSERT INTO endpoints (org_id, id, name, description, visibility, payer, limits, publisher_paid)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING id, name, description, visibility, payer, limits, live_version, withdrawn_at, created_at",
            self.org,
            id,
            &name,
            "",
            "public",
            "installer",
            json!([]),
            false
        );
        run!(
            self.tenant,
            "INSERT INTO versions (org_id, endpoint_id, number, config, origins)
         SELECT $1, $2, coalesce(max(number), 0) + 1, $3::text::json, $4
         FROM versions WHERE org_id = $1 AND endpoint_id = $2
         RETURNING number, created_at, first_live_at, config::text",
            self.org,
            id,
            r#"{"targets":[{"base_url":"http://127.0.0.1:9/v1","model":"m"}]}"#,
            vec!["http://127.0.0.1:9"]
        );
        run!(
            self.tenant,
            "INSERT INTO version_credentials (org_id, endpoint_id, number, credential_id)
         SELECT $1, $2, $3, credential_id FROM unnest($4::uuid[]) AS used (credential_id)",
            self.org,
            id,
            1,
            Vec::<Uuid>::new()
        );
        self.write_record(format!("v1/name/org_{}/{name}", self.org.simple())).await;
        self.commit().await;
        id
    }

    async fn publish(&mut self, endpoint: Uuid) {
        let id = self.id();
        self.begin().await;
        run!(
            self.tenant,
            "SELECT id, name, description, visibility, payer, limits, live_version, withdrawn_at, created_at \
             FROM endpoints WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE",
            self.org,
            endpoint
        );
        run!(
            self.tenant,
            "UPDATE versions SET first_live_at = coalesce(first_live_at, now())
         WHERE org_id = $1 AND endpoint_id = $2 AND number = $3",
            self.org,
            endpoint,
            1
        );
        run!(
            self.tenant,
            "INSERT INTO publications (org_id, id, endpoint_id, version, replaced)
         VALUES ($1, $2, $3, $4, $5)
         RETURNING id, endpoint_id, version, replaced, created_at",
            self.org,
            id,
            endpoint,
            1,
            None::<i32>
        );
        run!(
            self.tenant,
            "UPDATE endpoints SET live_version = $3 WHERE org_id = $1 AND id = $2",
            self.org,
            endpoint,
            1
        );
        self.write_record(format!("v1/live/ep_{}", endpoint.simple())).await;
        self.commit().await;
    }

    async fn ingest(&mut self, key: Uuid, endpoint: Uuid) {
        let event = json!([{
            "org_id": self.org, "id": self.id(), "at": now(), "key_id": key, "endpoint_id": endpoint,
            "publisher_id": self.org, "install_id": null, "payer": "publisher", "version": 1, "stream": true,
            "outcome": "completed", "requests": 1, "input_tokens": 1, "output_tokens": 1, "cost_micros": 1,
            "estimated": false, "cached_input_tokens": 0, "reasoning_tokens": 0, "first_byte_ms": 1, "total_ms": 2,
            "flagged": [],
        }]);
        run!(self.system, "BEGIN");
        run!(self.system, INGEST, event.to_string());
        run!(
            self.system,
            "UPDATE keys SET last_used_at = greatest(keys.last_used_at, least(used.at, now()))
         FROM (SELECT id, max(at) AS at FROM unnest($2::uuid[], $3::timestamptz[]) AS use (id, at) GROUP BY id) AS used
         WHERE keys.org_id = $1 AND keys.id = used.id",
            self.org,
            vec![key],
            vec![now()]
        );
        run!(self.system, "COMMIT");
    }

    async fn read(&mut self, endpoint: Uuid) {
        self.begin().await;
        for list in [LIST_KEYS, LIST_ENDPOINTS, LIST_INSTALLS, LIST_CREDENTIALS, LIST_USAGE] {
            run!(self.tenant, list, self.org, None::<Uuid>, 21_i64);
        }
        let rows = run!(self.tenant, LIST_PUBLICATIONS, self.org, endpoint, None::<Uuid>, 21_i64);
        assert_eq!(rows.len(), 1);
        run!(self.tenant, "SELECT quota FROM quotas WHERE org_id = $1 ORDER BY position", self.org);
        self.commit().await;
        run!(
            self.system,
            "SELECT id, publisher_id, publisher_name, name, description, payer, limits, live_version, origins, created_at
         FROM catalog
         WHERE ($1::uuid IS NULL OR id < $1)
            AND strpos(lower(name || ' ' || description || ' ' || publisher_name), lower($2)) > 0
         ORDER BY id DESC LIMIT $3",
            None::<Uuid>,
            "old",
            21_i64
        );
    }

    async fn revoke(&mut self, key: Uuid) {
        self.begin().await;
        run!(
            self.tenant,
            "UPDATE keys SET revoked_at = now(), gone = true WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL",
            self.org,
            key
        );
        self.write_record(format!("v1/key/key_{}", key.simple())).await;
        self.commit().await;
    }

    /// What the edge has taken is forgotten.
    async fn push(&mut self) {
        run!(self.system, "BEGIN");
        let locked = run!(
            self.system,
            "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))",
            format!("outbox {}", self.org)
        );
        if locked[0].get(0) {
            let rows = run!(self.system, OLDEST, self.org, 500_i64, 1_000_000_i64);
            let ids: Vec<i64> = rows.iter().map(|row: &PgRow| row.get(0)).collect();
            run!(self.system, "DELETE FROM outbox WHERE org_id = $1 AND id = ANY($2)", self.org, ids);
            run!(self.system, "DELETE FROM outbox_backoff WHERE org_id = $1", self.org);
        }
        run!(self.system, "COMMIT");
        run!(
            self.system,
            "SELECT DISTINCT outbox.org_id FROM outbox
         LEFT JOIN outbox_backoff USING (org_id)
         WHERE coalesce(outbox_backoff.retry_at <= now(), true)
         LIMIT $1",
            100_i64
        );
    }

    async fn keep_house(&mut self) {
        run!(self.system, "SELECT usage_events_partitions($1)", 3);
        run!(self.system, "DELETE FROM idempotency WHERE expires_at < now()");
        run!(
            self.system,
            "SELECT org_id, id FROM keys WHERE NOT gone AND expires_at < now() - interval '1 day'
         ORDER BY expires_at LIMIT $1",
            100_i64
        );
        run!(
            self.system,
            "SELECT org_id, id FROM credentials WHERE vault_kid <> $1 OR seal_kid <> $2 ORDER BY org_id, id LIMIT $3",
            "1",
            "1",
            100_i64
        );
    }
}
