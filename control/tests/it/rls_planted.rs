//! The second wall holds against queries of our own that are wrong: whatever lies in the schema, a statement that forgets
//! its WHERE reads and writes nothing of another org.
//!
//! The tables come from the catalogue: one that a later migration makes is asked, too.

use crate::{
    bed::Bed,
    pg::{SYSTEM, TENANT, connect},
    rls::{fill, uuid},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// What a row of one's own has: the org, or the publisher whose endpoint was called or installed.
const OWNERS: [&str; 2] = ["org_id", "publisher_id"];
/// Refusals that are walls of their own: no such grant; and what is decided stays decided.
const REFUSALS: [&str; 2] = ["42501", "23514"];

/// Every table, partition and view, and a column of it that the tenant's role may change.
/// `vault_move` is left out: one row about the installation, nobody's.
async fn relations(db: &mut PgConnection) -> Vec<(String, Option<String>)> {
    let found: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT relname::text, (SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
                AND NOT attisdropped AND has_column_privilege('alphagate_tenant', c.oid, attnum, 'UPDATE') LIMIT 1)
         FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
            AND relname NOT IN ('_sqlx_migrations', 'vault_move') ORDER BY relname",
    )
    .fetch_all(db)
    .await
    .unwrap();
    assert!(found.len() > 50, "{found:?}");
    found
}

/// The rows of a statement in a transaction of this org, or of none; none if it is refused.
async fn rows(db: &mut PgConnection, org: Option<&str>, sql: &str) -> Option<Vec<Value>> {
    let mut tx = db.begin().await.unwrap();
    if let Some(org) = org {
        sqlx::query("SELECT set_config('app.org_id', $1, true)").bind(org).execute(&mut *tx).await.unwrap();
    }
    let found: Result<Vec<(Value,)>, _> =
        sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_all(&mut *tx).await;
    match found {
        Ok(found) => Some(found.into_iter().map(|(row,)| row).collect()),
        Err(error) => {
            let code =
                error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            assert!(REFUSALS.contains(&code.as_str()), "{sql}: {error}");
            None
        }
    }
}

/// Whether a row is this org's business; users are, if they are its members.
fn is_own(row: &Value, org: &str, members: &[Value]) -> bool {
    let is_org = |value: &Value| value.as_str().is_some_and(|text| text.replace('-', "") == org);
    let owned = OWNERS.iter().any(|owner| is_org(&row[*owner])) || is_org(&row["id"]);
    owned || members.iter().any(|member| row["id"] == *member || row["user_id"] == *member)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_planted_query_without_a_where_leaks_nothing() {
    let bed = Bed::start().await;
    let (a, b) = fill(&bed).await;
    let mut superuser = bed.database.superuser().await;
    let relations = relations(&mut superuser).await;
    let sql = "SELECT to_jsonb(user_id) FROM memberships WHERE org_id = $1::text::uuid";
    for org in [uuid(&a.id), uuid(&b.id)] {
        let members: Vec<(Value,)> = sqlx::query_as(sql).bind(&org).fetch_all(&mut superuser).await.unwrap();
        let members: Vec<Value> = members.into_iter().map(|(user,)| user).collect();
        let mut db = connect(&bed.database.name, Some(TENANT)).await;
        let mut seen = 0;
        for (relation, changed) in &relations {
            let select = format!("SELECT to_jsonb(r) FROM (SELECT * FROM {relation}) AS r");
            let without = rows(&mut db, None, &select).await.unwrap_or_default();
            assert_eq!(without, Vec::<Value>::new(), "{relation} without an org");
            let update = changed.as_ref().map(|column| {
                format!("WITH done AS (UPDATE {relation} SET {column} = {column} RETURNING *) SELECT to_jsonb(done) FROM done")
            });
            for sql in [Some(select), update].into_iter().flatten() {
                let found = rows(&mut db, Some(&org), &sql).await.unwrap_or_default();
                seen += found.len();
                let foreign: Vec<&Value> = found.iter().filter(|row| !is_own(row, &org, &members)).collect();
                assert!(foreign.is_empty(), "{sql} as {org}: {foreign:?}");
            }
        }
        assert!(seen > 10, "only {seen} rows were there to leak");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_applications_roles_own_nothing_and_make_nothing() {
    let bed = Bed::start().await;
    let mut db = bed.database.superuser().await;
    for role in [TENANT, SYSTEM, "alphagate_tenant", "alphagate_system"] {
        // Of every kind, in every database of the cluster.
        let owned: Vec<(String,)> = sqlx::query_as(
            "SELECT pg_describe_object(classid, objid, objsubid) FROM pg_shdepend
             WHERE deptype = 'o' AND refclassid = 'pg_authid'::regclass AND refobjid = $1::regrole
                AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))",
        )
        .bind(role)
        .fetch_all(&mut db)
        .await
        .unwrap();
        assert_eq!(owned, [], "{role}");
        let (makes,): (bool,) = sqlx::query_as(
            "SELECT has_schema_privilege($1, 'public', 'CREATE') OR has_database_privilege($1, current_database(), 'CREATE')
                OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = $1",
        )
        .bind(role)
        .fetch_one(&mut db)
        .await
        .unwrap();
        assert!(!makes, "{role}");
    }
}
