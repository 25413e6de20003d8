//! Row-level security is on, and it is a wall of its own: a query that forgets the org sees nothing.

use crate::{
    bed::{Bed, version},
    jobs_hosts::{Host, chunk, job, passed},
    pg::{SYSTEM, TENANT, connect},
    play::{demand, eval},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

const TENANT_TABLES: [&str; 39] = [
    "users",
    "audit",
    "identities",
    "memberships",
    "invitations",
    "orgs",
    "keys",
    "records",
    "credentials",
    "data_keys",
    "names",
    "endpoints",
    "versions",
    "version_credentials",
    "policies",
    "policy_revisions",
    "version_policies",
    "publications",
    "installs",
    "quotas",
    "idempotency",
    "gates",
    "gate_evals",
    "gate_runs",
    "verdicts",
    "files",
    "file_chunks",
    "evals",
    "eval_runs",
    "eval_run_feeds",
    "eval_run_usage",
    "output_items",
    "jobs",
    "job_attempts",
    "job_output",
    "job_artefacts",
    "job_queues",
    "job_settings",
    "blobs",
];

/// What no tenant may do to the vault.
const OF_THE_VAULT: [&str; 3] = [
    "UPDATE data_keys SET number = 9",
    "UPDATE vault_move SET copies = false",
    "UPDATE credentials SET uses = 0",
];

/// Two orgs; the first has rows in every tenant's table.
pub async fn fill(bed: &Bed) -> (crate::bed::Org, crate::bed::Org) {
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-123"});
    let credential = bed.make(&a, "/v1/credentials", secret).await;
    let endpoint = bed.published(&a, "haiku").await;
    let mut with = version(credential["id"].as_str());
    bed.make(&a, "/v1/policies", json!({"name": "p", "preset": "pii"})).await;
    with["policies"] = json!([{"name": "p"}]);
    bed.make(&a, &format!("/v1/endpoints/{endpoint}/versions"), with).await;
    let poem = bed.published(&b, "poem").await;
    bed.make(&a, "/v1/installs", json!({"endpoint": poem, "name": "p", "payer": "publisher"})).await;
    let quotas = json!({"quotas": [{"subject": {"kind": "org"}, "limit": {"concurrency": 1}}]});
    assert_eq!(bed.call("PUT", &a.admin, "/v1/quotas", Some(&quotas)).await.0, 200);
    left_behind(bed, &a).await;
    with_members(bed, &a).await;
    let key = json!({"name": "k", "scopes": ["call"]});
    let once =
        bed.request(reqwest::Method::POST, "/v1/keys").bearer_auth(&a.admin).header("idempotency-key", "k1");
    assert_eq!(once.json(&key).send().await.unwrap().status(), 201);
    let eval = eval(bed, &a).await;
    let gate = json!({"evals": [demand(&eval, "haiku", json!({"pass_rate": 1}))]});
    let keeper = bed.gatekeeper(&a).await;
    let put = bed.call("PUT", &keeper, &format!("/v1/endpoints/{endpoint}/gate"), Some(&gate)).await;
    assert_eq!(put.0, 200, "{}", put.1);
    let publication = json!({"version": 2, "expected_live": 1});
    bed.make(&a, &format!("/v1/endpoints/{endpoint}/publications"), publication).await;
    crate::evals_scene::Evals::new(bed, &a).await;
    let mut db = bed.database.superuser().await;
    sqlx::query(
        "INSERT INTO eval_run_usage SELECT org_id, id, 'm', 1, 1, 1, 1, 1 FROM eval_runs ON CONFLICT DO NOTHING",
    )
    .execute(&mut db)
    .await
    .unwrap();
    (a, b)
}

/// A member, one who is invited, and somebody who is neither.
async fn with_members(bed: &Bed, org: &crate::bed::Org) {
    let member = bed.person("member").await;
    bed.person("nobody").await;
    bed.make(org, "/v1/invitations", json!({"email": member.email, "role": "viewer"})).await;
    let token = json!({"token": bed.mail(&member.email, 2).await.token()});
    assert_eq!(bed.call("POST", &member.token, "/v1/invitations/accept", Some(&token)).await.0, 200);
    bed.make(org, "/v1/invitations", json!({"email": "open@example.org", "role": "viewer"})).await;
}

/// A job with large output and an artefact, and settings of its org.
async fn left_behind(bed: &Bed, org: &crate::bed::Org) {
    let settings = json!({"sandbox_max": 3});
    assert_eq!(
        bed.operator("PUT", &format!("/operator/v1/orgs/{}/queue", org.id), Some(&settings)).await.0,
        200
    );
    let host = Host::new(bed).await;
    let mut large = job();
    large["limits"] = json!({"output_bytes": 3_000_000});
    bed.job(org, large).await;
    let claimed = host.claim_one().await;
    for number in 0..3 {
        host.output(&claimed, number, &[chunk("stdout", &[b'x'; 500_000])]).await;
    }
    host.output(&claimed, 3, &[chunk("stderr", b"x")]).await;
    let mut report = passed();
    report["artefacts"] = json!([{"path": "a", "content": ""}]);
    assert_eq!(host.finish(&claimed, report).await.0, 204);
}

async fn count(db: &mut PgConnection, table: &str) -> i64 {
    let (count,): (i64,) =
        sqlx::query_as(AssertSqlSafe(format!("SELECT count(*) FROM {table}"))).fetch_one(db).await.unwrap();
    count
}

pub fn uuid(id: &str) -> String {
    id.split_once('_').unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_an_org_or_with_another_one_the_tenant_role_sees_nothing() {
    let bed = Bed::start().await;
    let (a, _) = fill(&bed).await;
    let stranger = bed.org("stranger").await;
    let mut db = connect(&bed.database.name, Some(TENANT)).await;
    for table in TENANT_TABLES {
        assert_eq!(count(&mut db, table).await, 0, "{table} without an org");
    }
    let mut seen_by = async |org: &str, table: &str| {
        let mut tx = db.begin().await.unwrap();
        sqlx::query("SELECT set_config('app.org_id', $1, true)")
            .bind(uuid(org))
            .execute(&mut *tx)
            .await
            .unwrap();
        count(&mut tx, table).await
    };
    for table in TENANT_TABLES {
        assert!(seen_by(&a.id, table).await > 0, "{table} has rows of its own org");
        let own = if ["orgs", "keys"].contains(&table) {
            1
        } else if ["records", "audit"].contains(&table) {
            2
        } else {
            0
        };
        assert_eq!(seen_by(&stranger.id, table).await, own, "{table} as another org");
    }
    assert_eq!(count(&mut db, "endpoints").await, 0, "the setting ends with its transaction");
}

/// What the tenant role may not do to policies, its own org's or those of `other`, and to the vault.
fn of_policies_and_the_vault(other: &str) -> impl Iterator<Item = String> {
    let stolen = format!("'{other}', '{other}', 'stolen', '', 1");
    let of_policies = [
        "UPDATE versions SET resolved = '{}'".to_owned(),
        "UPDATE policy_revisions SET document = '{}'".to_owned(),
        "DELETE FROM policy_revisions".to_owned(),
        "UPDATE policies SET name = 'x'".to_owned(),
        "UPDATE version_policies SET revision = 1".to_owned(),
        format!("INSERT INTO policies (org_id, id, name, description, newest) VALUES ({stolen})"),
    ];
    of_policies.into_iter().chain(OF_THE_VAULT.map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_tenant_role_cannot_write_for_another_org_nor_change_what_is_immutable() {
    let bed = Bed::start().await;
    let (a, b) = fill(&bed).await;
    let mut db = connect(&bed.database.name, Some(TENANT)).await;
    let (a, b) = (uuid(&a.id), uuid(&b.id));
    let refused = [
        format!("INSERT INTO names (org_id, name) VALUES ('{b}', 'stolen')"),
        format!(
            "INSERT INTO outbox (org_id, record_key, revision, payload) VALUES ('{b}', 'v1/org/x', 1, '{{}}')"
        ),
        "UPDATE versions SET config = '{}'".to_owned(),
        "UPDATE keys SET digest = digest".to_owned(),
        "UPDATE orgs SET suspended = false".to_owned(),
        "UPDATE evals SET testing_criteria = testing_criteria".to_owned(),
        "UPDATE eval_runs SET data_source = data_source".to_owned(),
        "UPDATE output_items SET item = item".to_owned(),
        "UPDATE file_chunks SET data = data".to_owned(),
        format!(
            "INSERT INTO evals (org_id, id, name, data_source_config, testing_criteria) VALUES ('{b}', '{b}', 'x', '{{}}', '[]')"
        ),
        "SELECT * FROM passwords".to_owned(),
        "SELECT * FROM sessions".to_owned(),
        "SELECT * FROM sign_ups".to_owned(),
        "SELECT * FROM password_resets".to_owned(),
        "SELECT * FROM device_logins".to_owned(),
        "SELECT * FROM throttles".to_owned(),
        "SELECT * FROM mails".to_owned(),
        "UPDATE users SET name = 'x'".to_owned(),
        "UPDATE memberships SET personal = true".to_owned(),
        "UPDATE invitations SET role = 'owner'".to_owned(),
        "UPDATE invitations SET email = 'x@example.org'".to_owned(),
        format!("INSERT INTO memberships (org_id, user_id, role) SELECT '{b}', id, 'owner' FROM users"),
        "INSERT INTO mails (id, kind, subject) SELECT id, 'reset', id FROM users".to_owned(),
        "INSERT INTO mails (id, kind, subject) SELECT id, 'invitation', id FROM users".to_owned(),
        "DELETE FROM keys".to_owned(),
        "DELETE FROM publications".to_owned(),
        "UPDATE publications SET version = 1".to_owned(),
        "UPDATE publications SET forced_by = NULL".to_owned(),
        "UPDATE gate_runs SET version = 1".to_owned(),
        "DELETE FROM gate_runs".to_owned(),
        "UPDATE verdicts SET verdict = 'passed'".to_owned(),
        "DELETE FROM gates".to_owned(),
        "UPDATE gate_evals SET thresholds = '{}'".to_owned(),
        "SELECT * FROM outbox".to_owned(),
        "DELETE FROM usage_events".to_owned(),
        "SELECT * FROM catalog".to_owned(),
        "SELECT usage_events_partitions(1)".to_owned(),
        "ALTER TABLE keys DISABLE ROW LEVEL SECURITY".to_owned(),
        "UPDATE jobs SET spec = spec".to_owned(),
        "UPDATE jobs SET owner = 'caller'".to_owned(),
        "INSERT INTO job_attempts SELECT * FROM job_attempts".to_owned(),
        "UPDATE job_output SET data = ''".to_owned(),
        "UPDATE job_settings SET sandbox_max = 1".to_owned(),
        "SELECT * FROM runners".to_owned(),
        "SELECT * FROM runner_tokens".to_owned(),
        "SELECT * FROM job_pulse".to_owned(),
        format!("INSERT INTO blobs (org_id, id, bytes) VALUES ('{b}', '{b}', 0)"),
        "SET ROLE alphagate_system".to_owned(),
    ];
    for sql in refused.into_iter().chain(of_policies_and_the_vault(&b)) {
        let mut tx = db.begin().await.unwrap();
        sqlx::query("SELECT set_config('app.org_id', $1, true)").bind(&a).execute(&mut *tx).await.unwrap();
        let error = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut *tx).await.expect_err(&sql);
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{sql}: {error}");
    }
    let mut tx = db.begin().await.unwrap();
    sqlx::query("SELECT set_config('app.org_id', $1, true)").bind(&a).execute(&mut *tx).await.unwrap();
    let sql = AssertSqlSafe(format!("UPDATE endpoints SET description = 'x' WHERE org_id = '{b}'"));
    assert_eq!(sqlx::query(sql).execute(&mut *tx).await.unwrap().rows_affected(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_tenant_role_reads_nothing_that_is_of_all_orgs() {
    let bed = Bed::start().await;
    let mut db = connect(&bed.database.name, Some(TENANT)).await;
    for sql in [
        "SELECT * FROM catalog_publishers",
        "SELECT * FROM install_updates",
        "SELECT * FROM caller_idempotency",
        "DELETE FROM caller_idempotency",
    ] {
        let error = sqlx::query(sql).execute(&mut db).await.expect_err(sql);
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_system_role_reads_no_secret_and_changes_no_tenants_configuration() {
    let bed = Bed::start().await;
    fill(&bed).await;
    let mut db = connect(&bed.database.name, Some(SYSTEM)).await;
    for sql in [
        "SELECT secret FROM credentials",
        "SELECT sealed FROM credentials",
        "SELECT wrapped FROM data_keys",
        "UPDATE data_keys SET wrapped = wrapped",
        "DELETE FROM data_keys",
        "UPDATE vault_move SET copies = true",
        "SELECT item FROM output_items",
        "SELECT data FROM file_chunks",
        "SELECT * FROM evals",
        "SELECT config FROM versions",
        "SELECT resolved FROM versions",
        "SELECT * FROM policies",
        "SELECT * FROM policy_revisions",
        "SELECT * FROM version_policies",
        "UPDATE endpoints SET live_version = NULL",
        "UPDATE publications SET state = 'live'",
        "DELETE FROM verdicts",
        "SELECT thresholds FROM verdicts",
        "SELECT passed FROM gate_runs",
        "SELECT * FROM gates",
        "SELECT data_source FROM gate_evals",
        "UPDATE keys SET revoked_at = NULL",
        "UPDATE memberships SET role = 'owner'",
        "DELETE FROM memberships",
        "INSERT INTO memberships (org_id, user_id, role) SELECT o.id, u.id, 'admin' FROM orgs o, users u",
        "UPDATE invitations SET role = 'owner'",
        "UPDATE invitations SET accepted_at = now()",
        "DELETE FROM users",
        "UPDATE identities SET user_id = user_id",
        "DELETE FROM records",
        "INSERT INTO installs SELECT * FROM installs",
        "SELECT credential_id FROM installs",
        "SELECT * FROM usage_events",
        "SELECT spec FROM jobs",
        "SELECT result FROM jobs",
        "UPDATE jobs SET outcome = 'passed'",
        "DELETE FROM jobs",
        "SELECT data FROM job_output",
        "SELECT path FROM job_artefacts",
        "SELECT ending FROM job_attempts",
        "UPDATE blobs SET doomed_at = now()",
        "ALTER TABLE keys DISABLE ROW LEVEL SECURITY",
    ] {
        let error = sqlx::query(sql).execute(&mut db).await.expect_err(sql);
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{sql}: {error}");
    }
    assert_eq!(count(&mut db, "blobs").await, 0, "only doomed blobs are its business");
    assert_eq!(count(&mut db, "idempotency").await, 0, "only expired answers are its business");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_table_forces_row_level_security_and_the_groups_own_nothing() {
    let bed = Bed::start().await;
    let mut db = bed.database.superuser().await;
    let open: Vec<(String,)> = sqlx::query_as(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> '_sqlx_migrations'
            AND NOT (relrowsecurity AND (relforcerowsecurity OR relispartition))",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(open, []);
    let owned: Vec<(String,)> = sqlx::query_as(
        "SELECT relname::text FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner
         WHERE relnamespace = 'public'::regnamespace
            AND (rolname LIKE 'alphagate_tenant%' OR rolname LIKE 'alphagate_system%' OR rolsuper)",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(owned, []);
    let direct: Vec<(String,)> = sqlx::query_as(
        "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r'
            AND (has_table_privilege('alphagate_tenant', oid, 'SELECT')
                OR has_table_privilege('alphagate_system', oid, 'SELECT, INSERT'))",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(direct, [], "partitions are reached through their parent only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_tenant_table_has_its_org_in_its_primary_key() {
    let bed = Bed::start().await;
    let mut db = bed.database.superuser().await;
    let loose: Vec<(String,)> = sqlx::query_as(
        "SELECT c.relname::text FROM pg_class c
         JOIN pg_attribute o ON o.attrelid = c.oid AND o.attname = 'org_id'
         LEFT JOIN pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p' AND o.attnum = ANY(p.conkey)
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND p.oid IS NULL
            AND NOT c.relispartition",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(loose, []);
}
