//! Rate limits: each caller's own, told by the standard headers, and nobody's but the caller's.

use crate::{
    bed::{Bed, code, read, text},
    edge::now_ms,
};
use alphagate_contract::{
    ring::Ring,
    sign::{Audience, PRINCIPAL_HEADER, SIGNATURE_HEADER, Signed, sign},
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;

/// Three requests in ten minutes, for everybody.
const THREE: [(&str, &str); 4] = [
    ("AG_KEY_REQUESTS_MAX", "3"),
    ("AG_SESSION_REQUESTS_MAX", "3"),
    ("AG_ADDRESS_REQUESTS_MAX", "3"),
    ("AG_RATE_WINDOW_MS", "600000"),
];

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap().to_owned()
}

/// Asks three times in vain or not, and then once too often.
async fn exhaust(class: &str, request: impl Fn() -> RequestBuilder) {
    for left in [2, 1, 0] {
        let response = request().send().await.unwrap();
        assert_ne!(response.status(), 429, "{class}");
        assert_eq!(header(&response, "ratelimit-policy"), format!("\"{class}\";q=3;w=600"));
        let whole_s = 200 * (3 - left);
        assert_eq!(header(&response, "ratelimit"), format!("\"{class}\";r={left};t={whole_s}"));
    }
    let refused = request().send().await.unwrap();
    assert_eq!(refused.status(), 429, "{class}");
    let wait_s: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((190..=200).contains(&wait_s), "{class}: {wait_s} s");
    assert_eq!(header(&refused, "ratelimit"), format!("\"{class}\";r=0;t=600"));
    assert_eq!(code(&read(request()).await), (429, "rate_limit_exceeded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_caller_has_a_limit_of_their_own() {
    let bed = Bed::start().await;
    let person = bed.person("ada").await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let key = bed.key(&org, &["admin"]).await;
    let second = bed.sign_in(&person.email, crate::people::PASSWORD).await.1;
    let limited = bed.replica(&THREE).await;
    let ask = |token: String, path: &str| {
        let url = format!("{}{path}", limited.url);
        let http = bed.http.clone();
        move || http.get(&url).bearer_auth(&token)
    };
    // Two keys of one org, and a key of another: each by itself, and none by the address.
    exhaust("key", ask(org.admin.clone(), "/v1/keys")).await;
    exhaust("key", ask(key, "/v1/org")).await;
    assert_eq!(ask(other.admin.clone(), "/v1/keys")().send().await.unwrap().status(), 200);
    // A session counts as its address until it was right once, then by itself.
    assert_eq!(
        header(&ask(person.token.clone(), "/v1/me")().send().await.unwrap(), "ratelimit"),
        "\"address\";r=2;t=200"
    );
    exhaust("session", ask(person.token.clone(), "/v1/me")).await;
    assert_eq!(ask(text(&second["token"]), "/v1/me")().send().await.unwrap().status(), 200);
    // Made-up credentials are no callers: the address has one request left.
    let made_up = |number: usize| ask(format!("ags_{number:064x}"), "/v1/me")();
    assert_eq!(made_up(1).send().await.unwrap().status(), 401);
    for number in 2..5 {
        assert_eq!(code(&read(made_up(number)).await), (429, "rate_limit_exceeded"));
    }
    assert_eq!(code(&read(ask(format!("{}0", org.admin), "/v1/keys")()).await), (429, "rate_limit_exceeded"));
    let sign_up = bed.http.post(format!("{}/v1/auth/sign-up", limited.url)).json(&json!({}));
    assert_eq!(code(&read(sign_up).await), (429, "rate_limit_exceeded"));
    // The operator is one caller, too.
    exhaust("key", ask(bed.secrets["AG_OPERATOR_TOKEN"].clone(), "/operator/v1/orgs")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn probes_runners_and_the_edge_are_not_limited() {
    let bed = Bed::with(&THREE).await;
    for path in ["/healthz", "/readyz"] {
        for _ in 0..5 {
            let response = bed.request(Method::GET, path).send().await.unwrap();
            assert!(response.status() == 200 && !response.headers().contains_key("ratelimit"), "{path}");
        }
    }
    for _ in 0..5 {
        let path = "/internal/v1/records/v1/org/org_00000000000000000000000000000001";
        assert_eq!(code(&read(bed.signed("GET", path, b"")).await), (404, "not_found"));
    }
    let token = bed.runner_token().await;
    for _ in 0..5 {
        let path = "/runner/v1/runners/run_00000000000000000000000000000001/renew";
        let response =
            bed.request(Method::POST, path).bearer_auth(&token).json(&json!({})).send().await.unwrap();
        assert!(response.status() != 429 && !response.headers().contains_key("ratelimit"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_limit_fills_again_and_its_wait_is_told() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let changes = [("AG_KEY_REQUESTS_MAX", "1"), ("AG_RATE_WINDOW_MS", "1500")];
    let limited = bed.replica(&changes).await;
    let ask = || bed.http.get(format!("{}/v1/org", limited.url)).bearer_auth(&org.admin);
    assert_eq!(ask().send().await.unwrap().status(), 200);
    let mut refused = ask().send().await.unwrap();
    let begun = std::time::Instant::now();
    while refused.status() == 429 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60));
        let wait_ms: u64 = header(&refused, "retry-after-ms").parse().unwrap();
        assert!(wait_ms <= 1_501, "{wait_ms}");
        tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
        refused = ask().send().await.unwrap();
    }
    assert_eq!(refused.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_edge_passes_on_counts_by_its_key() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let key = bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["evals"]})).await;
    let limited = bed.replica(&THREE).await;
    let principal = format!("{}/{}", org.id, text(&key["id"]));
    let passed_on = |ring: &str| {
        let ring = Ring::parse(&bed.secrets[ring]).unwrap();
        let (path, body) = ("/v1/evals", principal.as_bytes());
        let signed = Signed { audience: Audience::PassedOn, method: "GET", path_and_query: path, body };
        let request = bed.http.get(format!("{}{path}", limited.url)).header(PRINCIPAL_HEADER, &principal);
        request.header(SIGNATURE_HEADER, sign(&ring, &signed, now_ms()))
    };
    exhaust("key", || passed_on("AG_EDGE_TO_CONTROL_RING")).await;
    // Who says so without being the edge is an address, and takes nothing from the key.
    let forged = passed_on("AG_CONTROL_TO_EDGE_RING").send().await.unwrap();
    assert_eq!(
        (forged.status().as_u16(), header(&forged, "ratelimit")),
        (401, "\"address\";r=2;t=200".into())
    );
}
