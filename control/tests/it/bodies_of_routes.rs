//! C01, C04 on every route that takes JSON: the rows come from the OpenAPI document, so a new route is walked without
//! anybody's doing. Its own example is spoiled, text by text.

use crate::{
    bed::{Bed, Org, code, read, text},
    people::Person,
};
use alphagate_control::openapi;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Texts of each kind that have broken programs; the whole list goes through the routes of `bodies.rs`.
const NAUGHTY: [&str; 8] = [
    "'; DROP TABLE keys; --",
    "\u{202e}\u{feff}",
    "\u{10FFFF}",
    "\0",
    "{{7*7}}${x}",
    "",
    "\u{1b}[31m",
    "../%00",
];

/// A route with a JSON body.
struct Row {
    method: Method,
    path: String,
    caller: String,
    example: Value,
    statuses: Vec<u16>,
}

/// Every route with a JSON body, but those of programs that have a body of their own kind, and OpenAI's graders, which run.
fn rows() -> Vec<Row> {
    let document = openapi::document().json;
    let mut rows = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let caller = text(&operation["x-caller"]);
            let body = operation.pointer("/requestBody/content/application~1json");
            let Some(body) = body.filter(|_| !["runner", "edge"].contains(&caller.as_str())) else {
                continue;
            };
            if path.ends_with("graders/run") {
                continue;
            }
            let statuses = operation["responses"].as_object().unwrap().keys().map(|key| key.parse().unwrap());
            rows.push(Row {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                caller,
                example: body["example"].clone(),
                statuses: statuses.collect(),
            });
        }
    }
    assert!(rows.len() > 30, "only {} routes take a body", rows.len());
    rows
}

struct Scene {
    bed: Bed,
    org: Org,
    keeper: String,
    owner: Person,
    endpoint: String,
}

impl Scene {
    async fn new() -> Self {
        let bed = Bed::start().await;
        let owner = bed.person("owner").await;
        let org = bed.org_of(&owner, "own").await;
        let endpoint = bed.published(&org, "haiku").await;
        let keeper = bed.gatekeeper(&org).await;
        Self { bed, org, keeper, owner, endpoint }
    }

    fn request(&self, row: &Row) -> RequestBuilder {
        // Ids of what is there where texts are kept; elsewhere ids that are none, which is 404 and stands before the body.
        let path = row.path.replace("/v1/endpoints/{id}", &format!("/v1/endpoints/{}", self.endpoint));
        let path = path.replace("/operator/v1/orgs/{id}", &format!("/operator/v1/orgs/{}", self.org.id));
        let path = path.replace("{name}", "text-classifier").replace("{id}", "x");
        let path = path.replace("{run}", "x").replace("{item}", "x");
        let request = self.bed.request(row.method.clone(), &path).header("content-type", "application/json");
        match row.caller.as_str() {
            "operator" => request.bearer_auth(&self.bed.secrets["AG_OPERATOR_TOKEN"]),
            "user" => request.bearer_auth(&self.owner.token),
            "member" => request.bearer_auth(&self.keeper),
            _ => request,
        }
    }
}

/// The example with each of its texts, in turn, replaced.
fn spoiled(value: &Value, naughty: &str) -> Vec<Value> {
    match value {
        Value::String(_) => vec![json!(naughty)],
        Value::Object(fields) => {
            let of = |(name, field): (&String, &Value)| {
                let put = |part| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), part);
                    Value::Object(fields)
                };
                spoiled(field, naughty).into_iter().map(put).collect::<Vec<_>>()
            };
            fields.iter().flat_map(of).collect()
        }
        Value::Array(items) => {
            let of = |(index, item): (usize, &Value)| {
                let put = |part| {
                    let mut items = items.clone();
                    items[index] = part;
                    Value::Array(items)
                };
                spoiled(item, naughty).into_iter().map(put).collect::<Vec<_>>()
            };
            items.iter().enumerate().flat_map(of).collect()
        }
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c01_no_text_in_any_body_is_more_than_text() {
    let mut scene = Scene::new().await;
    // Hashing a password takes its time: two of the texts are enough there.
    let slow = |row: &Row| row.path.starts_with("/v1/auth/") || row.path == "/v1/me/password";
    let mut asked = 0;
    for (number, row) in rows().into_iter().enumerate() {
        // Some bodies end a person's sessions, as they should: each route has a person of its own.
        if row.caller == "user" {
            scene.owner = scene.bed.person(&format!("walker-{number}")).await;
        }
        for naughty in NAUGHTY.iter().take(if slow(&row) { 2 } else { NAUGHTY.len() }) {
            for body in spoiled(&row.example, naughty) {
                let (status, answer) = read(scene.request(&row).json(&body)).await;
                let at = format!("{} {} {body}: {status} {answer}", row.method, row.path);
                assert!(status < 500 && row.statuses.contains(&status), "{at}");
                if *naughty == "\0" && !row.path.contains("{id}") && !slow(&row) {
                    assert_eq!(status, 422, "{at}");
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 300, "only {asked} bodies were sent");
    // The tables are all there, and what was not asked for is as it was.
    let found = scene.bed.get(&scene.org, &format!("/v1/endpoints/{}", scene.endpoint)).await.1;
    assert_eq!((&found["name"], &found["live"]), (&json!("haiku"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c04_bombs_are_refused_by_every_route() {
    let scene = Scene::new().await;
    let deep = format!("{{\"name\":{}", "[".repeat(100_000));
    let bombs =
        [deep.as_str(), "{\"name\":1e999}", "{\"name\":\"a\",\"name\":\"b\"}", "", "[]", "\"x\"", "{\"a\":"];
    let mut walked = 0;
    for row in rows()
        .into_iter()
        .filter(|row| !row.path.contains("{id}") || row.path.starts_with("/v1/endpoints/{id}"))
    {
        let at = format!("{} {}", row.method, row.path);
        for bomb in bombs {
            let begun = Instant::now();
            let reply = read(scene.request(&row).body(bomb.to_owned())).await;
            assert_eq!(
                code(&reply),
                (400, "body_malformed"),
                "{at}: {}",
                bomb.chars().take(40).collect::<String>()
            );
            assert!(begun.elapsed() < Duration::from_secs(10), "{at}");
        }
        walked += 1;
    }
    assert!(walked > 20, "only {walked} routes were walked");
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
    let large = [
        "/v1/endpoints",
        "/v1/endpoints/{id}/fork",
        "/v1/templates/{name}/endpoints",
        "/v1/orgs",
        "/v1/auth/sign-up",
    ];
    for row in
        rows().into_iter().filter(|row| row.method == Method::POST && large.contains(&row.path.as_str()))
    {
        let reply = read(scene.request(&row).body(huge.clone())).await;
        assert_eq!(code(&reply), (413, "body_too_large"), "{}", row.path);
    }
}
