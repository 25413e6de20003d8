//! The chain of the audit trail: one for each org however many replicas link it, and whatever is done to it is named.

use crate::{
    audit::linked,
    bed::{Bed, Org, bytes, read},
    jobs_hosts::job,
    pg,
    play::uuid,
};
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::{collections::HashMap, process::Stdio};
use tokio::process::Command;

/// Calls that are under way at once.
const CALLS_AT_ONCE: usize = 4;

/// `alphagate-control audit …`: whether it succeeded, and what it printed.
async fn audit(environment: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alphagate-control"));
    command.env_clear().envs(environment.iter().copied()).arg("audit").args(arguments).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

async fn verify(bed: &Bed, arguments: &[&str]) -> (bool, String) {
    let url = bed.database.system_url();
    let environment =
        [("AG_AUDIT_RING", bed.secrets["AG_AUDIT_RING"].as_str()), ("AG_SYSTEM_DATABASE_URL", &url)];
    audit(&environment, &[&["verify"][..], arguments].concat()).await
}

/// The head that a check of one org prints.
fn head(text: &str) -> String {
    text.lines().next().unwrap().split_once("head ").unwrap().1.to_owned()
}

/// Entries besides the two that an org begins with.
async fn jobs(bed: &Bed, org: &Org, count: usize) {
    for _ in 0..count {
        bed.job(org, job()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_replicas_link_each_org_into_one_chain() {
    let bed = Bed::start().await;
    let mut replica = bed.replica(&[]).await;
    let orgs = [bed.org("a").await, bed.org("b").await, bed.org("c").await, bed.org("d").await];
    let calls = (0..200).map(|number| {
        let url = [&bed.control.url, &replica.url][number % 2];
        let request =
            bed.http.post(format!("{url}/v1/jobs")).bearer_auth(&orgs[number / 2 % 4].admin).json(&job());
        async move { assert_eq!(read(request).await.0, 201) }
    });
    // A few at once: what is asked for here is the order, not the load.
    stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).collect::<Vec<_>>().await;
    linked(&bed).await;
    let mut db = bed.database.superuser().await;
    let counts: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT count(*), max(number) FROM audit_links JOIN audit ON audit.org_id = audit_links.org_id AND id = entry_id
         GROUP BY audit.org_id",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(counts, [(52, 52); 4]);
    let (holds, text) = verify(&bed, &[]).await;
    assert!(holds && text.matches("52 links, 0 to come").count() == 4, "{text}");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_older_entry_that_commits_late_is_linked_later_and_not_skipped() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let mut db = bed.database.superuser().await;
    let mut late = db.begin().await.unwrap();
    let id = uuid(&org.id);
    sqlx::query(
        "WITH made AS (
            INSERT INTO audit (org_id, id, at, actor_kind, action, verb, subject_kind, subject_id)
            VALUES ($1, uuid_floor(now() - interval '1 hour'), now() - interval '1 hour', 'system', 'x', 'x', 'x', 'late')
            RETURNING org_id, id)
         INSERT INTO audit_pending (org_id, entry_id) SELECT org_id, id FROM made",
    )
    .bind(id)
    .execute(&mut *late)
    .await
    .unwrap();
    jobs(&bed, &org, 3).await;
    linked(&bed).await;
    late.commit().await.unwrap();
    linked(&bed).await;
    let (number,): (i64,) = sqlx::query_as(
        "SELECT number FROM audit_links l JOIN audit a ON a.org_id = l.org_id AND a.id = l.entry_id
         WHERE subject_id = 'late'",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(number, 6);
    assert!(verify(&bed, &["--org", &org.id]).await.0);
}

/// Takes the trail back to what it was.
async fn restore(db: &mut PgConnection) {
    db.execute(
        "TRUNCATE audit, audit_links, audit_pending;
         INSERT INTO audit SELECT * FROM kept_audit; INSERT INTO audit_links SELECT * FROM kept_links;",
    )
    .await
    .unwrap();
}

const OF_LINK: &str = "(SELECT entry_id FROM audit_links WHERE number =";

/// What a superuser does to a trail of ten links, and what the check says without any head from elsewhere.
fn tamperings() -> Vec<(String, &'static str)> {
    vec![
        (format!("UPDATE audit SET verb = 'x' WHERE id = {OF_LINK} 5)"), "link 5: its entry aud_"),
        (format!("UPDATE audit SET actor_id = 'key_x' WHERE id = {OF_LINK} 9)"), "link 9: its entry aud_"),
        (
            format!("UPDATE audit SET after = replace(after::text, ':', ': ')::json WHERE id = {OF_LINK} 4)"),
            "link 4: its entry aud_",
        ),
        (format!("DELETE FROM audit WHERE id = {OF_LINK} 6)"), "link 6: its entry aud_"),
        (
            format!("DELETE FROM audit WHERE id = {OF_LINK} 6); DELETE FROM audit_links WHERE number = 6"),
            "link 6: it is missing; the next that is there is 7",
        ),
        (
            format!(
                "DELETE FROM audit WHERE id = {OF_LINK} 6); DELETE FROM audit_links WHERE number = 6;
                 UPDATE audit_links SET number = number - 1 WHERE number > 6"
            ),
            "link 6: it does not follow from the link before",
        ),
        (
            "UPDATE audit_links SET entry_id = (SELECT entry_id FROM kept_links k WHERE k.number = 7 - audit_links.number)
             WHERE number IN (3, 4)"
                .to_owned(),
            "link 3: its entry aud_",
        ),
        ("UPDATE audit_links SET number = 20 - number WHERE number IN (9, 10)".to_owned(), "link 9: it is missing"),
        (
            "UPDATE audit_links SET signature = decode(repeat('00', 64), 'hex') WHERE number = 10".to_owned(),
            "link 10: its signature does not fit",
        ),
        (
            "UPDATE audit_links SET digest = sha256('x') WHERE number = 2".to_owned(),
            "link 2: its head is not that of its number",
        ),
        (
            "INSERT INTO audit_links (org_id, number, entry_id, digest, previous, head, kid, signature)
             SELECT org_id, 11, gen_random_uuid(), digest, head, digest, kid, signature FROM audit_links WHERE number = 10"
                .to_owned(),
            "link 11: its head is not",
        ),
        ("DELETE FROM audit_links WHERE number > 7".to_owned(), "is in no link"),
        (
            "INSERT INTO audit SELECT org_id, gen_random_uuid(), at, 'system', NULL, NULL, NULL, action, verb, subject_kind,
             subject_id FROM audit LIMIT 1"
                .to_owned(),
            "is in no link",
        ),
        (
            "INSERT INTO audit_pending (org_id, entry_id) SELECT org_id, gen_random_uuid() FROM audit LIMIT 1".to_owned(),
            "was announced, and is missing",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whatever_a_superuser_does_to_the_trail_is_named_by_its_link() {
    let mut bed = Bed::start().await;
    let org = bed.org("a").await;
    jobs(&bed, &org, 8).await;
    linked(&bed).await;
    bed.control.stop().await;
    let mut db = bed.database.superuser().await;
    db.execute(
        "CREATE TABLE kept_audit AS SELECT * FROM audit; CREATE TABLE kept_links AS SELECT * FROM audit_links;
         ALTER TABLE audit_links DROP CONSTRAINT audit_links_once;",
    )
    .await
    .unwrap();
    let (holds, text) = verify(&bed, &[]).await;
    assert!(holds && text.contains(": 10 links, 0 to come"), "{text}");
    let kept = head(&text);
    for (sql, named) in tamperings() {
        db.execute(AssertSqlSafe(sql.clone())).await.unwrap();
        let (holds, text) = verify(&bed, &[]).await;
        assert!(
            !holds && text.contains(&format!("{} BROKEN: ", org.id)) && text.contains(named),
            "{sql}: {text}"
        );
        restore(&mut db).await;
    }
    // A cut tail holds by itself: only a head that was kept elsewhere shows that there was more.
    db.execute(
        "DELETE FROM audit WHERE id IN (SELECT entry_id FROM audit_links WHERE number > 7);
         DELETE FROM audit_links WHERE number > 7",
    )
    .await
    .unwrap();
    assert!(verify(&bed, &[]).await.0);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{kept}\n")).unwrap();
    for head in [kept.as_str(), file.path().to_str().unwrap()] {
        let (holds, text) = verify(&bed, &["--head", head]).await;
        assert!(!holds && text.contains("link 8: it is missing, and so is everything up to 10"), "{text}");
    }
    db.execute("TRUNCATE audit, audit_links").await.unwrap();
    let (holds, text) = verify(&bed, &["--head", &kept]).await;
    assert!(!holds && text.contains("link 1: it is missing, and so is everything up to 10"), "{text}");
    restore(&mut db).await;
    assert!(verify(&bed, &["--head", &kept]).await.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_does_not_go_on_with_a_chain_that_has_lost_its_head() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    linked(&bed).await;
    let mut db = bed.database.superuser().await;
    db.execute("DELETE FROM audit_links WHERE number = 2").await.unwrap();
    let other = bed.org("b").await;
    jobs(&bed, &org, 1).await;
    jobs(&bed, &other, 1).await;
    let begun = std::time::Instant::now();
    let counts: HashMap<uuid::Uuid, i64> = loop {
        let rows: Vec<(uuid::Uuid, i64)> =
            sqlx::query_as("SELECT org_id, count(*) FROM audit_links GROUP BY org_id")
                .fetch_all(&mut db)
                .await
                .unwrap();
        let counts: HashMap<_, _> = rows.into_iter().collect();
        if counts.get(&uuid(&other.id)) == Some(&3) {
            break counts;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{counts:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(counts[&uuid(&org.id)], 1, "the cut chain was signed on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_export_is_checked_by_whoever_has_the_public_key() {
    let bed = Bed::start().await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    // More than one page of the export.
    jobs(&bed, &org, 3).await;
    let mut db = bed.database.superuser().await;
    sqlx::query(
        "WITH made AS (
            INSERT INTO audit (org_id, id, at, actor_kind, action, verb, subject_kind, subject_id, after)
            SELECT $1, gen_random_uuid(), now(), 'system', 'x', 'x', 'x', n::text, '{\"z\": 1.50, \"a\": 1e2}'::json
            FROM generate_series(1, 250) AS n RETURNING org_id, id)
         INSERT INTO audit_pending (org_id, entry_id) SELECT org_id, id FROM made",
    )
    .bind(uuid(&org.id))
    .execute(&mut db)
    .await
    .unwrap();
    linked(&bed).await;
    let request = bed.request(Method::GET, "/v1/audit/export").bearer_auth(&org.admin);
    let (status, export) = bytes(request).await;
    assert_eq!((status.as_u16(), export.lines().count()), (200, 256));
    assert!(!export.contains(&other.id));

    let (_, line) = audit(&[("AG_AUDIT_RING", &bed.secrets["AG_AUDIT_RING"])], &["keys"]).await;
    let (name, keys) = line.trim().split_once('=').unwrap();
    assert_eq!(name, "AG_AUDIT_PUBLIC_KEYS");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let check = async |text: &str, more: &[&str]| {
        std::fs::write(path, text).unwrap();
        audit(&[(name, keys)], &[&["verify", "--export", path][..], more].concat()).await
    };
    let (holds, text) = check(&export, &[]).await;
    assert!(holds && text.contains("255 links"), "{text}");
    let kept = head(&text);
    assert!(check(&export, &["--head", &kept]).await.0);

    let lines: Vec<&str> = export.lines().collect();
    let (holds, text) = check(&lines[..200].join("\n"), &[]).await;
    assert!(!holds && text.contains("cut short"), "{text}");
    let without = [&lines[..99], &lines[100..]].concat().join("\n");
    let (holds, text) = check(&without, &[]).await;
    assert!(!holds && text.contains("link 100: it is missing; the next that is there is 101"), "{text}");
    let (holds, text) = check(&export.replacen("1.50", "1.5", 1), &[]).await;
    assert!(!holds && text.contains("was changed"), "{text}");
    let (_, theirs) = bytes(bed.request(Method::GET, "/v1/audit/export").bearer_auth(&other.admin)).await;
    assert_eq!(theirs.lines().count(), 3);
    assert!(!check(&theirs, &["--head", &kept]).await.0, "another org's head");
    let thief = format!("{}:{}", keys.split_once(':').unwrap().0, "33".repeat(32));
    let (holds, text) = audit(&[(name, &thief)], &["verify", "--export", path]).await;
    assert!(!holds && text.contains("its signature does not fit"), "{text}");
    let (holds, text) = audit(&[], &["verify", "--database-url", &pg::url(&bed.database.name, None)]).await;
    assert!(!holds && text.contains("no keys"), "{text}");
}
