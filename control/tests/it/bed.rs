//! A running control with a database and an edge of its own, and the calls that tests make.

use crate::{
    edge::{FakeEdge, now_ms},
    pg::Database,
};
use alphagate_contract::{
    ring::Ring,
    sign::{Audience, SIGNATURE_HEADER, Signed, sign},
};
use alphagate_control::{app::App, keygen, platform::Host, serve, settings::Settings};
use clap::Parser;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::{collections::HashMap, sync::Arc};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

/// What `keygen` printed, by name.
pub type Secrets = HashMap<String, String>;

pub struct Bed {
    pub database: Database,
    pub edge: FakeEdge,
    pub secrets: Secrets,
    pub control: Control,
    pub http: Client,
}

/// One running replica.
pub struct Control {
    pub url: String,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<anyhow::Result<()>>>,
}

/// An org and the key of its first admin.
pub struct Org {
    pub id: String,
    pub admin: String,
}

/// An answer: status and body.
pub type Reply = (u16, Value);

pub fn secrets() -> Secrets {
    keygen::lines(&Host)
        .iter()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Environment of a control process, and so the flags of one in this process.
pub fn environment(secrets: &Secrets, database: &Database, edge_url: &str) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = secrets
        .iter()
        .filter(|(name, _)| *name != "AG_SEAL_PRIVATE_KEYS")
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let more = [
        ("AG_LISTEN", "127.0.0.1:0".to_owned()),
        ("AG_EDGE_URL", edge_url.to_owned()),
        ("AG_DATABASE_URL", database.tenant_url()),
        ("AG_SYSTEM_DATABASE_URL", database.system_url()),
        ("AG_ALLOW_PRIVATE_UPSTREAMS", "true".into()),
        ("AG_OUTBOX_POLL_MS", "50".into()),
        ("AG_OUTBOX_BACKOFF_BASE_MS", "20".into()),
        ("AG_OUTBOX_BACKOFF_MAX_MS", "200".into()),
        ("AG_GATE_POLL_MS", "50".into()),
        ("AG_AUDIT_POLL_MS", "100".into()),
        ("AG_PUSH_TIMEOUT_MS", "5000".into()),
        ("AG_PUSH_WAIT_MS", "8000".into()),
        ("AG_BODY_DEADLINE_MS", "3000".into()),
        ("AG_RUNNER_POLL_MS", "400".into()),
        ("AG_BLOB_DIR", database.blobs().display().to_string()),
        ("AG_MAIL_FOLDER", database.mails().display().to_string()),
        ("AG_MAIL_POLL_MS", "100".into()),
        // A loaded machine is not an outage.
        ("AG_DATABASE_WAIT_MS", "15000".into()),
    ];
    environment.extend(more.map(|(name, value)| (name.to_owned(), value)));
    environment
}

pub fn settings(environment: &[(String, String)], changes: &[(&str, &str)]) -> Settings {
    let mut flags = vec!["control".to_owned()];
    let changed = |name: &String| changes.iter().any(|(other, _)| other == name);
    let kept = environment.iter().filter(|(name, _)| !changed(name)).map(|(n, v)| (n.as_str(), v.as_str()));
    for (name, value) in kept.chain(changes.iter().copied()) {
        let flag = name.trim_start_matches("AG_").trim_end_matches("_MS").to_lowercase().replace('_', "-");
        flags.push(format!("--{flag}={value}"));
    }
    Flags::parse_from(flags).settings
}

/// A round of housekeeping comes no further than to this table, which nobody else needs, as long as the connection is open.
async fn hold_housekeeping(database: &Database) -> PgConnection {
    let mut db = database.superuser().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE device_logins").execute(&mut db).await.unwrap();
    db
}

impl Control {
    pub async fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (app, inbox) = App::new(settings, Arc::new(Host)).unwrap();
        serve::check(&app).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _ = stopped.await;
        };
        let running = tokio::spawn(serve::until(app, inbox, listener, stopped));
        Self { url, stop: Some(stop), running: Some(running) }
    }

    /// Stops as on SIGTERM, and waits for the end.
    pub async fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(running) = self.running.take() {
            running.await.unwrap().unwrap();
        }
    }
}

impl Bed {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With some settings changed.
    pub async fn with(changes: &[(&str, &str)]) -> Self {
        Self::on(Database::new().await, changes).await
    }

    /// Housekeeping waits, also that of other replicas, until the connection is closed.
    pub async fn without_housekeeping() -> (Self, PgConnection) {
        let database = Database::new().await;
        let held = hold_housekeeping(&database).await;
        (Self::on(database, &[]).await, held)
    }

    async fn on(database: Database, changes: &[(&str, &str)]) -> Self {
        let secrets = secrets();
        let edge = FakeEdge::start(&secrets["AG_CONTROL_TO_EDGE_RING"]).await;
        let settings = settings(&environment(&secrets, &database, edge.url()), changes);
        let control = Control::start(settings).await;
        Self { database, edge, secrets, control, http: Client::new() }
    }

    /// One more replica on the same database.
    pub async fn replica(&self, changes: &[(&str, &str)]) -> Control {
        Control::start(settings(&environment(&self.secrets, &self.database, self.edge.url()), changes)).await
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.control.url))
    }

    pub async fn call(&self, method: &str, token: &str, path: &str, body: Option<&Value>) -> Reply {
        let mut request = self.request(method.parse().unwrap(), path).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request).await
    }

    pub async fn get(&self, org: &Org, path: &str) -> Reply {
        self.call("GET", &org.admin, path, None).await
    }

    pub async fn post(&self, org: &Org, path: &str, body: Value) -> Reply {
        self.call("POST", &org.admin, path, Some(&body)).await
    }

    /// A POST that must make something.
    pub async fn make(&self, org: &Org, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(org, path, body).await;
        assert_eq!(status, 201, "{path}: {answer}");
        answer
    }

    pub async fn operator(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.call(method, &self.secrets["AG_OPERATOR_TOKEN"], path, body).await
    }

    pub async fn org(&self, name: &str) -> Org {
        let (status, answer) = self.operator("POST", "/operator/v1/orgs", Some(&json!({"name": name}))).await;
        assert_eq!(status, 201, "{answer}");
        Org { id: text(&answer["org"]["id"]), admin: text(&answer["admin_key"]["secret"]) }
    }

    /// A request as the edge signs it.
    pub fn signed(&self, method: &str, path: &str, body: &[u8]) -> RequestBuilder {
        let ring = Ring::parse(&self.secrets["AG_EDGE_TO_CONTROL_RING"]).unwrap();
        let signed = Signed { audience: Audience::Control, method, path_and_query: path, body };
        let signature = sign(&ring, &signed, now_ms());
        self.request(method.parse().unwrap(), path).header(SIGNATURE_HEADER, signature).body(body.to_vec())
    }

    /// A runner token.
    pub async fn runner_token(&self) -> String {
        let (status, answer) =
            self.operator("POST", "/operator/v1/runner-tokens", Some(&json!({"name": "hosts"}))).await;
        assert_eq!(status, 201, "{answer}");
        text(&answer["secret"])
    }

    /// A key with these scopes; gives its secret.
    pub async fn key(&self, org: &Org, scopes: &[&str]) -> String {
        text(&self.make(org, "/v1/keys", json!({"name": scopes.join(" "), "scopes": scopes})).await["secret"])
    }

    /// A key that may say what a gate demands; gives its secret.
    pub async fn gatekeeper(&self, org: &Org) -> String {
        self.key(org, &["admin", "gate"]).await
    }

    /// A published public endpoint with its publisher paying; gives its id.
    pub async fn published(&self, org: &Org, name: &str) -> String {
        let terms =
            json!({"payer": "publisher", "limits": [{"unit": "requests", "window": "minute", "cap": 10}]});
        let body = json!({"name": name, "visibility": "public", "description": "d", "installs": terms});
        let endpoint = text(&self.make(org, "/v1/endpoints", body).await["id"]);
        self.version(org, &endpoint).await;
        self.publish(org, &endpoint, 1, None).await;
        endpoint
    }

    /// A version without credentials; gives its number.
    pub async fn version(&self, org: &Org, endpoint: &str) -> u64 {
        let path = format!("/v1/endpoints/{endpoint}/versions");
        self.make(org, &path, version(None)).await["version"].as_u64().unwrap()
    }

    pub async fn publish(&self, org: &Org, endpoint: &str, version: u64, expected: Option<u64>) -> Value {
        let path = format!("/v1/endpoints/{endpoint}/publications");
        self.make(org, &path, json!({"version": version, "expected_live": expected})).await
    }
}

/// The configuration of a version.
pub fn version(credential: Option<&str>) -> Value {
    let mut target = json!({"base_url": "http://127.0.0.1:9/v1", "model": "m"});
    if let Some(credential) = credential {
        target["credential"] = credential.into();
    }
    json!({"targets": [target], "instructions": "Write a haiku.", "defaults": {"temperature": 0.2}})
}

/// Sends a request, and reads status and JSON body.
pub async fn read(request: RequestBuilder) -> Reply {
    let response = request.send().await.expect("control answers");
    let status = response.status().as_u16();
    assert!(response.headers().contains_key("x-request-id"));
    let body = response.text().await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// The bytes of an answer, for comparisons to the letter.
pub async fn bytes(request: RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.expect("control answers");
    (response.status(), response.text().await.unwrap())
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

pub fn code(reply: &Reply) -> (u16, &str) {
    (reply.0, reply.1["error"]["code"].as_str().unwrap_or_default())
}
