//! A thin client of control's HTTP API: what a publisher, a consumer and an operator do by hand.
//!
//! Invariant: it adds nothing to what it is told; a test that wants to see a refusal uses [`Control::call`].

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Bed, http};

/// An HTTP client with one bearer.
#[derive(Debug, Clone)]
pub struct Control {
    url: String,
    bearer: String,
    http: reqwest::Client,
}

/// An answer of control, whatever its status.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body; a string when it is no JSON.
    pub body: Value,
}

/// An org, with a client that acts as its administrator.
#[derive(Debug, Clone)]
pub struct Org {
    /// `org_…`.
    pub id: String,
    /// The secret of its first key, scope `admin`.
    pub admin_key: String,
    /// Acts with that key.
    pub admin: Control,
}

/// Something that was created, by its id.
#[derive(Debug, Clone, Deserialize)]
struct Created {
    id: String,
}

/// A minted key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Key {
    /// `key_…`.
    pub id: String,
    /// `ag_live_…`, shown once.
    pub secret: String,
}

impl Bed {
    /// Control, as the operator.
    pub fn operator(&self) -> Result<Control> {
        Control::new(&self.control_url(), self.operator_token())
    }

    /// Control, with any bearer.
    pub fn control_as(&self, bearer: &str) -> Result<Control> {
        Control::new(&self.control_url(), bearer)
    }

    /// Makes an org.
    pub async fn org(&self, name: &str) -> Result<Org> {
        self.operator()?.create_org(name).await
    }
}

impl Control {
    /// A client of the control plane at `url`.
    pub fn new(url: &str, bearer: &str) -> Result<Self> {
        Ok(Self { url: url.to_owned(), bearer: bearer.to_owned(), http: http::client(None)? })
    }

    /// Sends anything and returns what comes, refusals too.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        request = request.bearer_auth(&self.bearer);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Reply { status, body })
    }

    /// Sends a body and wants success.
    pub async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T> {
        let what = format!("{method} {path}");
        let reply = self.call(method, path, Some(body)).await?;
        reply.success().with_context(|| what)
    }

    /// Gets something that must be there.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let reply = self.call(Method::GET, path, None).await?;
        reply.success().with_context(|| format!("GET {path}"))
    }

    async fn create(&self, path: &str, body: &Value) -> Result<String> {
        let created: Created = self.send(Method::POST, path, body).await?;
        Ok(created.id)
    }

    /// As the operator: makes an org.
    pub async fn create_org(&self, name: &str) -> Result<Org> {
        #[derive(Deserialize)]
        struct Made {
            org: Created,
            admin_key: Key,
        }
        let made: Made = self.send(Method::POST, "/operator/v1/orgs", &json!({"name": name})).await?;
        let admin = Self { bearer: made.admin_key.secret.clone(), ..self.clone() };
        Ok(Org { id: made.org.id, admin_key: made.admin_key.secret, admin })
    }

    /// Mints a key with these scopes.
    pub async fn mint_key(&self, name: &str, scopes: &[&str]) -> Result<Key> {
        self.send(Method::POST, "/v1/keys", &json!({"name": name, "scopes": scopes})).await
    }

    /// Revokes a key.
    pub async fn revoke_key(&self, id: &str) -> Result<Value> {
        let reply = self.call(Method::DELETE, &format!("/v1/keys/{id}"), None).await?;
        reply.success().context("revoke")
    }

    /// Stores a provider's secret for an origin, and returns the credential's id.
    pub async fn create_credential(&self, name: &str, origin: &str, secret: &str) -> Result<String> {
        let body = json!({"name": name, "origin": origin, "secret": secret});
        self.create("/v1/credentials", &body).await
    }

    /// Makes an endpoint and returns its id. `body` is the request's: name, visibility, ….
    pub async fn create_endpoint(&self, body: &Value) -> Result<String> {
        self.create("/v1/endpoints", body).await
    }

    /// Adds a version and returns its number.
    pub async fn create_version(&self, endpoint: &str, config: &Value) -> Result<u64> {
        #[derive(Deserialize)]
        struct Made {
            version: u64,
        }
        let path = format!("/v1/endpoints/{endpoint}/versions");
        let made: Made = self.send(Method::POST, &path, config).await?;
        Ok(made.version)
    }

    /// Makes a version live where `expected_live` is live now, and returns the publication.
    pub async fn publish(&self, endpoint: &str, version: u64, expected_live: Option<u64>) -> Result<Value> {
        let body = json!({"version": version, "expected_live": expected_live});
        self.send(Method::POST, &format!("/v1/endpoints/{endpoint}/publications"), &body).await
    }

    /// Installs another org's endpoint under a name of one's own. `version`: pinned; `None`: following.
    pub async fn install(&self, endpoint: &str, name: &str, version: Option<u64>) -> Result<String> {
        let body = json!({"endpoint": endpoint, "name": name, "version": version, "payer": "publisher"});
        self.create("/v1/installs", &body).await
    }

    /// Sets the org's quotas.
    pub async fn put_quotas(&self, quotas: &Value) -> Result<Value> {
        self.send(Method::PUT, "/v1/quotas", &json!({"quotas": quotas})).await
    }

    /// The usage events that control has, oldest page first as control orders them.
    pub async fn usage(&self) -> Result<Vec<Value>> {
        #[derive(Deserialize)]
        struct Page {
            data: Vec<Value>,
            next_cursor: Option<String>,
        }
        let mut events = Vec::new();
        let mut path = "/v1/usage".to_owned();
        loop {
            let page: Page = self.get(&path).await?;
            events.extend(page.data);
            match page.next_cursor {
                Some(cursor) => path = format!("/v1/usage?cursor={cursor}"),
                None => return Ok(events),
            }
        }
    }
}

impl Reply {
    /// The body, if the status is a success.
    pub fn success<T: DeserializeOwned>(self) -> Result<T> {
        if !self.status.is_success() {
            bail!("{}: {}", self.status, self.body);
        }
        serde_json::from_value(self.body.clone()).with_context(|| self.body.to_string())
    }
}
