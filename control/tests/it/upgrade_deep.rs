//! The first release itself, built from git, beside the newest program on one database: the long form of `upgrade.rs`
//! (`AG_DEEP=1`), because building it takes minutes.

use crate::{
    bed::{Bed, Org, text},
    edge::FakeEdge,
    pg::Database,
    process::Process,
    upgrade::{newest, works_on},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The newest commit of the first release.
const FIRST_RELEASE: &str = "0bc8a0b9b6fc70c8303e41dc93037802fa2b3060";
/// Rounds of calls after the newest program has done its part.
const ROUNDS: usize = 5;

/// The program of the first release: built once, in a worktree and a folder of its own below cargo's.
fn first_release() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (sources, target) =
        (root.join("target/first-release/sources"), root.join("target/first-release/target"));
    if !sources.exists() {
        let mut git = Command::new("git");
        git.current_dir(root)
            .args(["worktree", "add", "--force", "--detach"])
            .arg(&sources)
            .arg(FIRST_RELEASE);
        assert!(git.status().unwrap().success(), "git has no commit {FIRST_RELEASE}: a shallow clone?");
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&sources).args(["build", "--locked", "--quiet", "--package", "alphagate-control"]);
    cargo.arg("--target-dir").arg(&target).stdin(Stdio::null());
    assert!(cargo.status().unwrap().success(), "the first release does not build");
    target.join("debug/alphagate-control")
}

/// A caller of one program.
#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Caller {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url));
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.bearer_auth(&self.token).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn round(&self, number: usize) {
        let key = self.call("POST", "/v1/keys", Some(json!({"name": "k", "scopes": ["call"]}))).await;
        let endpoint =
            self.call("POST", "/v1/endpoints", Some(json!({"name": format!("old-{number}")}))).await;
        let endpoint = format!("/v1/endpoints/{}", text(&endpoint["id"]));
        for version in [1, 2] {
            self.call("POST", &format!("{endpoint}/versions"), Some(crate::bed::version(None))).await;
            let before = (version > 1).then_some(version - 1);
            let publication = json!({"version": version, "expected_live": before});
            self.call("POST", &format!("{endpoint}/publications"), Some(publication)).await;
        }
        let quotas = json!({"quotas": [{"subject": {"kind": "org"}, "limit": {"concurrency": 7}}]});
        self.call("PUT", "/v1/quotas", Some(quotas)).await;
        for list in ["keys", "endpoints", "installs", "credentials", "usage", "quotas", "catalog"] {
            self.call("GET", &format!("/v1/{list}"), None).await;
        }
        self.call("DELETE", &format!("/v1/keys/{}", text(&key["id"])), None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_release_itself_works_through_the_migrations_and_beside_the_newest() {
    if std::env::var_os("AG_DEEP").is_none() {
        return;
    }
    let program = tokio::task::block_in_place(first_release);
    let database = Database::empty().await;
    let migrate =
        Command::new(&program).args(["migrate", "--database-url", &database.owner_url()]).output().unwrap();
    assert!(migrate.status.success(), "{}", String::from_utf8_lossy(&migrate.stderr));
    let secrets = crate::bed::secrets();
    let edge = FakeEdge::start(&secrets["AG_CONTROL_TO_EDGE_RING"]).await;
    let old = Process::of(&program, &secrets, &database, &edge, &[]).await;
    let http = reqwest::Client::new();
    let operator = Caller { http, url: old.url.clone(), token: secrets["AG_OPERATOR_TOKEN"].clone() };
    let made = operator.call("POST", "/operator/v1/orgs", Some(json!({"name": "a"}))).await;
    let org = Org { id: text(&made["org"]["id"]), admin: text(&made["admin_key"]["secret"]) };
    let caller = Caller { token: org.admin.clone(), ..operator };
    let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-1"});
    let credential = text(&caller.call("POST", "/v1/credentials", Some(secret)).await["id"]);

    let stop = Arc::new(AtomicBool::new(false));
    let (asking, stopped) = (caller.clone(), stop.clone());
    let traffic = tokio::spawn(async move {
        let (mut number, mut last) = (0, 0);
        while last < ROUNDS {
            asking.round(number).await;
            number += 1;
            last += usize::from(stopped.load(Ordering::Relaxed));
        }
        number
    });
    alphagate_control::store::migrate(&database.owner_url()).await.unwrap();
    let mut bed: Bed = newest(database, secrets, edge).await;
    works_on(&bed, &org).await;
    let path = format!("/v1/credentials/{credential}/secret");
    assert_eq!(bed.call("PUT", &org.admin, &path, Some(&json!({"secret": "sk-2"}))).await.0, 200);
    stop.store(true, Ordering::Relaxed);
    let rounds = traffic.await.expect("the first release has failed");
    let listed = caller.call("GET", "/v1/endpoints?limit=100", None).await["data"].as_array().unwrap().len();
    let newest = bed.get(&org, "/v1/endpoints?limit=100").await.1["data"].as_array().unwrap().len();
    assert_eq!((listed, newest), ((rounds + 1).min(100), (rounds + 1).min(100)));
    assert!(old.end().await.iter().all(|line| line["level"] != "ERROR"));
    bed.control.stop().await;
}
