//! The program itself: what it refuses to start with, how it ends, and what it leaves behind when it is killed.

use crate::{
    bed::{Bed, Secrets, environment, secrets, text},
    edge::FakeEdge,
    pg::{Database, SYSTEM, TENANT, connect, url},
};
use alphagate_contract::record::RecordValue;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

/// The program of this tree.
const NEWEST: &str = env!("CARGO_BIN_EXE_alphagate-control");

fn program() -> Command {
    command(Path::new(NEWEST))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub struct Process {
    pub child: Child,
    /// Read as it comes: a program whose log nobody reads stops at a full pipe.
    log: UnboundedReceiver<String>,
    pub url: String,
}

impl Process {
    pub async fn start(
        secrets: &Secrets,
        database: &Database,
        edge: &FakeEdge,
        more: &[(&str, &str)],
    ) -> Self {
        Self::of(Path::new(NEWEST), secrets, database, edge, more).await
    }

    /// Of another program than that of this tree.
    pub async fn of(
        program: &Path,
        secrets: &Secrets,
        database: &Database,
        edge: &FakeEdge,
        more: &[(&str, &str)],
    ) -> Self {
        let mut command = command(program);
        command.arg("serve").envs(environment(secrets, database, edge.url())).envs(more.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        while let Some(line) = log.next_line().await.unwrap() {
            let line: Value = serde_json::from_str(&line).expect("every line of the log is JSON");
            if line["message"] == "listening" {
                let url = format!("http://{}", text(&line["address"]));
                return Self { child, log: read_on(log), url };
            }
        }
        panic!("the program did not start");
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends it as an operator would; gives what it has logged since it listens.
    pub async fn end(mut self) -> Vec<Value> {
        self.signal("-TERM");
        assert!(self.child.wait().await.unwrap().success());
        let mut lines = Vec::new();
        while let Some(line) = self.log.recv().await {
            lines.push(serde_json::from_str(&line).expect("every line of the log is JSON"));
        }
        lines
    }
}

/// The rest of a log.
fn read_on(mut log: Lines<BufReader<ChildStderr>>) -> UnboundedReceiver<String> {
    let (send, lines) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(line)) = log.next_line().await {
            // A test that has dropped the process does not read its last words.
            let _ = send.send(line);
        }
    });
    lines
}

async fn refused(changes: &[(&str, String)]) -> String {
    let (secrets, database) = (secrets(), Database::new().await);
    let mut command = program();
    command.arg("serve").envs(environment(&secrets, &database, "http://127.0.0.1:9"));
    for (name, value) in changes {
        command.env(name, value.replace("DATABASE", &database.name));
    }
    let output: Output =
        tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_does_not_start_with_a_login_that_row_level_security_does_not_bind() {
    drop(Database::new().await);
    let mut db = connect("postgres", None).await;
    for (name, options) in [("alphagate_test_bypass", "BYPASSRLS"), ("alphagate_test_both", "")] {
        let sql = format!(
            "DO $$ BEGIN CREATE ROLE {name} LOGIN PASSWORD 'test' {options} IN ROLE alphagate_tenant, alphagate_system;
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
    }
    let login = |name: Option<&str>| url("DATABASE", name);
    let cases = [
        ("AG_DATABASE_URL", login(None), "superuser"),
        ("AG_SYSTEM_DATABASE_URL", login(None), "superuser"),
        ("AG_DATABASE_URL", login(Some("alphagate_test_bypass")), "BYPASSRLS"),
        ("AG_DATABASE_URL", login(Some("alphagate_test_owner")), "owns tables"),
        ("AG_DATABASE_URL", login(Some("alphagate_test_both")), "not of alphagate_system"),
        ("AG_DATABASE_URL", login(Some(SYSTEM)), "must be a member of alphagate_tenant"),
        ("AG_SYSTEM_DATABASE_URL", login(Some(TENANT)), "must be a member of alphagate_system"),
    ];
    for (name, value, reason) in cases {
        let log = refused(&[(name, value.clone())]).await;
        assert!(log.contains(reason), "{name} {value}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_does_not_start_on_a_database_that_is_not_migrated() {
    let empty = Database::empty().await;
    let log =
        refused(&[("AG_DATABASE_URL", empty.tenant_url()), ("AG_SYSTEM_DATABASE_URL", empty.system_url())])
            .await;
    assert!(log.contains("alphagate-control migrate"), "{log}");
    let migrate = || program().args(["migrate", "--database-url", &empty.owner_url()]).output();
    for _ in 0..2 {
        let output = migrate().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut db = empty.superuser().await;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(&mut db)
        .await
        .unwrap();
    let log =
        refused(&[("AG_DATABASE_URL", empty.tenant_url()), ("AG_SYSTEM_DATABASE_URL", empty.system_url())])
            .await;
    assert!(log.contains("is missing"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn several_databases_of_one_cluster_migrate_at_once() {
    let databases =
        [Database::empty().await, Database::empty().await, Database::empty().await, Database::empty().await];
    let migrations = databases.iter().map(|database| {
        program()
            .args(["migrate", "--database-url", &database.owner_url()])
            .spawn()
            .unwrap()
            .wait_with_output()
    });
    let migrations: Vec<_> = migrations.map(tokio::spawn).collect();
    for migration in migrations {
        let output = migration.await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn keygen_prints_what_serve_takes_and_help_is_everywhere() {
    let output = program().arg("keygen").output().await.unwrap();
    assert!(output.status.success());
    let names: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split('=').next().unwrap().into())
        .collect();
    assert_eq!(
        names,
        [
            "AG_OPERATOR_TOKEN",
            "AG_KEY_RING",
            "AG_CONTROL_TO_EDGE_RING",
            "AG_EDGE_TO_CONTROL_RING",
            "AG_VAULT_RING",
            "AG_MASTER_RING",
            "AG_AUDIT_RING",
            "AG_SEAL_PUBLIC_KEYS",
            "AG_SEAL_PRIVATE_KEYS"
        ]
    );
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["migrate", "--help"],
        &["keygen", "--help"],
        &["vault", "--help"],
        &["vault", "renew", "--help"],
    ] {
        assert!(program().args(command).output().await.unwrap().status.success());
    }
    let output =
        program().args(["serve", "--help"]).env("AG_OPERATOR_TOKEN", "do-not-show-this-one").output().await;
    assert!(!String::from_utf8(output.unwrap().stdout).unwrap().contains("do-not-show"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c07_killed_between_commit_and_push_the_next_process_pushes() {
    let bed = Bed::start().await;
    let mut process =
        Process::start(&bed.secrets, &bed.database, &bed.edge, &[("AG_PUSH_WAIT_MS", "100")]).await;
    let org = bed.org("a").await;
    let mut bed = bed;
    bed.control.stop().await;
    // The edge hangs, so the push is on its way when the process is killed.
    bed.edge.delay(Duration::from_secs(60));
    let made = bed.http.post(format!("{}/v1/keys", process.url)).bearer_auth(&org.admin);
    let made: Value =
        made.json(&json!({"name": "k", "scopes": ["call"]})).send().await.unwrap().json().await.unwrap();
    assert_eq!(made["edge"], "pending");
    process.signal("-KILL");
    process.child.wait().await.unwrap();
    bed.edge.delay(Duration::ZERO);
    let key = format!("v1/key/{}", text(&made["id"]));
    assert!(bed.edge.record(&key).is_none());
    let _next = Process::start(&bed.secrets, &bed.database, &bed.edge, &[]).await;
    for _ in 0..100 {
        if let Some(record) = bed.edge.record(&key) {
            assert!(matches!(record.value, RecordValue::Key(_)));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never pushed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sigterm_finishes_what_has_begun_and_every_line_of_the_log_is_json_with_the_request_id() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    for signal in ["-TERM", "-INT"] {
        let mut process =
            Process::start(&bed.secrets, &bed.database, &bed.edge, &[("AG_LOG", "debug")]).await;
        bed.edge.delay(Duration::from_millis(700));
        let request = bed.http.post(format!("{}/v1/keys", process.url)).bearer_auth(&org.admin);
        let request = request
            .header("x-request-id", "req-of-the-edge")
            .json(&json!({"name": "k\n\"", "scopes": ["call"]}));
        let running = tokio::spawn(request.send());
        tokio::time::sleep(Duration::from_millis(300)).await;
        process.signal(signal);
        let response = running.await.unwrap().unwrap();
        assert_eq!(response.status().as_u16(), 201);
        assert_eq!(response.json::<Value>().await.unwrap()["edge"], "accepted");
        assert!(process.child.wait().await.unwrap().success());
        let mut answered = Vec::new();
        while let Some(line) = process.log.recv().await {
            let line: Value = serde_json::from_str(&line).expect("every line of the log is JSON");
            assert!(!line.to_string().contains(&org.admin));
            if line["message"] == "answered" {
                answered.push(line);
            }
        }
        assert_eq!(answered.len(), 1);
        assert_eq!(answered[0]["span"]["request_id"], "req-of-the-edge");
        assert_eq!((&answered[0]["status"], &answered[0]["span"]["org"]), (&json!(201), &json!(org.id)));
        bed.edge.delay(Duration::ZERO);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_log_that_nobody_reads_stops_no_request() {
    let bed = Bed::start().await;
    let mut command = program();
    command.arg("serve").envs(environment(&bed.secrets, &bed.database, bed.edge.url()));
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = loop {
        let line: Value = serde_json::from_str(&log.next_line().await.unwrap().unwrap()).unwrap();
        if line["message"] == "listening" {
            break format!("http://{}", text(&line["address"]));
        }
    };
    // From here on nobody reads: a pipe holds 64 KiB, and each request writes a line of more than 200 bytes.
    for number in 0..600 {
        let request = bed.http.get(format!("{url}/healthz")).timeout(Duration::from_secs(20));
        let id = format!("unread-{number}-{}", "x".repeat(40));
        let answer = request.header("x-request-id", id).send().await;
        assert_eq!(answer.unwrap_or_else(|error| panic!("request {number}: {error}")).status(), 200);
    }
    let reading = tokio::spawn(async move {
        let mut unread = 0;
        while let Some(line) = log.next_line().await.unwrap() {
            unread += usize::from(line.contains("unread-"));
        }
        unread
    });
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().await.unwrap().success());
    assert_eq!(reading.await.unwrap(), 600, "what waited is written once somebody reads");
}
