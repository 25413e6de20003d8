//! The whole way by HTTP alone: A signs up and publishes an endpoint with a schema and a policy; B signs up, installs it,
//! makes a key, and calls it through the edge with the unmodified SDK. Nobody has anything that their own answers and mails
//! did not give them.
//!
//! The same by the command line alone is in cli/tests/cli/people.rs.

#[path = "sdks/client.rs"]
#[expect(dead_code, reason = "one of three SDKs, and no word of errors")]
mod client;

use std::{fs, time::Duration};

use alphagate_bed::Bed;
use alphagate_tests::until;
use anyhow::{Context, Result, ensure};
use client::Client;
use reqwest::Method;
use serde_json::{Value, json};

const PASSWORD: &str = "correct otter lantern 1851";
/// What the provider calls its model.
const MODEL: &str = "gpt-haiku";
/// The publisher's rules, which their version refers to.
const POLICY: &str = "private";
/// From a request to its mail, on a loaded machine.
const MAIL_MAX: Duration = Duration::from_secs(60);

/// Somebody who knows the address of control, and what it has told them.
struct Person {
    bed: &'static Bed,
    http: reqwest::Client,
    email: String,
    token: Option<String>,
}

impl Person {
    /// Signs up, reads the mail, and confirms.
    async fn new(bed: &'static Bed, name: &str) -> Result<Self> {
        let email = format!("{name}-{}@example.org", std::process::id());
        let mut person =
            Self { bed, http: alphagate_bed::http_client(None)?, email: email.clone(), token: None };
        let account = json!({"email": email, "password": PASSWORD, "name": name});
        person.says(Method::POST, "/v1/auth/sign-up", Some(account), 202).await?;
        let confirm = json!({"token": person.mail().await?, "password": PASSWORD, "carrier": "bearer"});
        let session = person.says(Method::POST, "/v1/auth/verify", Some(confirm), 200).await?;
        person.token = Some(session["token"].as_str().context("no session")?.to_owned());
        Ok(person)
    }

    /// The token of the mail to this address.
    async fn mail(&self) -> Result<String> {
        until(&format!("a mail to {}", self.email), MAIL_MAX, async || {
            let Ok(folder) = fs::read_dir(self.bed.mails_dir()) else { return Ok(None) };
            for file in folder {
                let mail = fs::read_to_string(file?.path()).unwrap_or_default();
                let token = mail.lines().map(str::trim).find(|line| line.starts_with("agm_"));
                if let Some(token) = token.filter(|_| mail.contains(&format!("To: {}\r\n", self.email))) {
                    return Ok(Some(token.to_owned()));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Says something to control, and expects this status.
    async fn says(&self, method: Method, path: &str, body: Option<Value>, status: u16) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.bed.control_url()));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (told, text) = (response.status().as_u16(), response.text().await?);
        ensure!(told == status, "{path}: {told} {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn makes(&self, path: &str, body: Value) -> Result<Value> {
        self.says(Method::POST, path, Some(body), 201).await
    }

    async fn reads(&self, path: &str) -> Result<Value> {
        self.says(Method::GET, path, None, 200).await
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    value[field].as_str().with_context(|| format!("no {field} in {value}"))
}

/// A version that answers with lines, and nothing else.
fn version(bed: &Bed, credential: &str) -> Value {
    let schema = json!({
        "type": "object",
        "properties": {"lines": {"type": "array", "items": {"type": "string"}}},
        "required": ["lines"],
        "additionalProperties": false,
    });
    json!({
        "targets": [{"base_url": bed.provider().base_url(), "model": MODEL, "credential": credential}],
        "instructions": "Three lines.",
        "policies": [{"name": POLICY}],
        "output_schema": {"name": "haiku", "strict": true, "schema": schema},
    })
}

/// A publishes an endpoint that others may install at A's cost; gives its name.
async fn publishes(ada: &Person) -> Result<String> {
    let orgs = ada.reads("/v1/orgs").await?;
    let personal = &orgs["data"][0];
    ensure!((&personal["personal"], &personal["role"]) == (&json!(true), &json!("owner")), "{orgs}");
    let credential = json!({"name": "provider", "origin": ada.bed.provider().url(), "secret": "sk-ada"});
    let credential = ada.makes("/v1/credentials", credential).await?;
    let limits = json!([{"unit": "requests", "window": "hour", "cap": 100}]);
    let name = format!("haiku-{}", std::process::id());
    let endpoint = json!({
        "name": name,
        "visibility": "public",
        "tags": ["acceptance"],
        "installs": {"payer": "publisher", "limits": limits},
    });
    let endpoint = ada.makes("/v1/endpoints", endpoint).await?;
    let path = format!("/v1/endpoints/{}", text(&endpoint, "id")?);
    ada.makes("/v1/policies", json!({"name": POLICY, "preset": "pii"})).await?;
    let version = version(ada.bed, text(&credential, "id")?);
    ada.makes(&format!("{path}/versions"), version).await?;
    let publication = json!({"version": 1, "expected_live": null});
    let publication = ada.makes(&format!("{path}/publications"), publication).await?;
    ensure!(
        publication["state"] == "live" && publication["visible"]["edge_accepted"] == true,
        "{publication}"
    );
    Ok(name)
}

#[tokio::test]
async fn two_people_sign_up_and_one_calls_what_the_other_published() -> Result<()> {
    let bed = Bed::shared().await?;
    let ada = Person::new(bed, "ada").await?;
    let name = publishes(&ada).await?;

    let grace = Person::new(bed, "grace").await?;
    let found = grace.reads(&format!("/v1/catalog?tag=acceptance&q={name}")).await?;
    ensure!(found["data"].as_array().is_some_and(|found| found.len() == 1), "{found}");
    let install = json!({"endpoint": found["data"][0]["endpoint"], "name": "poet", "payer": "publisher"});
    grace.makes("/v1/installs", install).await?;
    let key = grace.makes("/v1/keys", json!({"name": "app", "scopes": ["call"]})).await?;

    let poem = json!({"lines": ["rain", "on the roof", "all night"]}).to_string();
    let call = |how: &str, text: &str| {
        json!({
            "case": "acceptance", "how": how, "base_url": format!("{}/v1", bed.edge_url()), "api_key": key["secret"],
            "model": "poet", "input": "rain, for joe@example.com", "extra": {"x_fake": {"text": text}}, "max_retries": 0,
        })
    };
    let mut sdk = Client::python()?.start().await?;
    for how in ["create", "raw", "helper"] {
        let seen = sdk.tell(&call(how, &poem)).await?;
        assert_eq!(
            (&seen["status"], &seen["model"]),
            (&json!("completed"), &json!("poet")),
            "{how}: {seen:#}"
        );
        let answer: Value = serde_json::from_str(text(&seen, "text")?)?;
        assert_eq!(answer["lines"].as_array().map(Vec::len), Some(3), "{how}");
        assert!(how == "create" || seen["deltas"] == poem.as_str(), "{how} was no stream: {seen:#}");
    }
    // The publisher's policy holds for whoever installed it.
    for request in bed.provider().calls_of(MODEL).requests() {
        let sent = String::from_utf8(request.body)?;
        assert!(sent.contains("rain, for [EMAIL]") && !sent.contains("joe@"), "{sent}");
    }
    // What violates the schema is no answer.
    let seen = sdk.tell(&call("create", "{\"lines\": 3}")).await?;
    assert_eq!(
        (&seen["error"]["status"], &seen["error"]["code"]),
        (&json!(502), &json!("output_schema_mismatch"))
    );
    Ok(())
}
