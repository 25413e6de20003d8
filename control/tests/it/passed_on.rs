//! Requests that the edge passes on: whom control takes them for, and what nobody else can make it believe.

use crate::{
    bed::{Bed, Org, text},
    edge::now_ms,
    run_keys::replica,
};
use alphagate_contract::{
    key::ApiKey,
    ring::Ring,
    sign::{Audience, PRINCIPAL_HEADER, SIGNATURE_AGE_MAX_MS, SIGNATURE_HEADER, Signed, sign},
};
use alphagate_control::{app::App, doors};
use axum::http::Request;
use serde_json::json;

const PATH: &str = "/v1/evals?limit=2";

/// The signing side: the edge, or someone who would like to be it.
struct Signer {
    ring: Ring,
    audience: Audience,
    method: &'static str,
    path: &'static str,
    time_ms: u64,
}

impl Signer {
    fn edge(bed: &Bed) -> Self {
        let ring = Ring::parse(&bed.secrets["AG_EDGE_TO_CONTROL_RING"]).unwrap();
        Self { ring, audience: Audience::PassedOn, method: "GET", path: PATH, time_ms: now_ms() }
    }

    fn sign(&self, principal: &str) -> String {
        let Self { ring, audience, method, path, time_ms } = self;
        let body = principal.as_bytes();
        sign(ring, &Signed { audience: *audience, method, path_and_query: path, body }, *time_ms)
    }
}

/// Asks as `GET` [`PATH`] with these headers.
async fn ask(app: &App, headers: &[(&str, &str)]) -> Result<String, String> {
    let request =
        headers.iter().fold(Request::get(PATH), |request, (name, value)| request.header(*name, *value));
    let parts = request.body(()).unwrap().into_parts().0;
    doors::evaluator(app, parts).await.map(|org| org.to_string())
}

async fn mint(bed: &Bed, org: &Org, scope: &str) -> (String, String) {
    let key = bed.make(org, "/v1/keys", json!({"name": "k", "scopes": [scope]})).await;
    (format!("{}/{}", org.id, text(&key["id"])), text(&key["secret"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_edge_signs_is_believed_as_far_as_the_key_goes_now() {
    let bed = Bed::start().await;
    let (app, org, edge) = (replica(&bed, None), bed.org("a").await, Signer::edge(&bed));
    let passed_on = async |principal: &str| {
        ask(&app, &[(PRINCIPAL_HEADER, principal), (SIGNATURE_HEADER, &edge.sign(principal))]).await
    };
    for (scope, expected) in [
        ("evals", Ok(org.id.clone())),
        ("admin", Ok(org.id.clone())),
        ("call", Err("scope_missing".to_owned())),
    ] {
        let (principal, _) = mint(&bed, &org, scope).await;
        assert_eq!(passed_on(&principal).await, expected, "{scope}");
    }
    let (revoked, secret) = mint(&bed, &org, "evals").await;
    let id = revoked.split_once('/').unwrap().1;
    assert_eq!(bed.call("DELETE", &org.admin, &format!("/v1/keys/{id}"), None).await.0, 200);
    assert_eq!(passed_on(&revoked).await, Err("invalid_api_key".to_owned()));
    let missing = format!("{}/key_{}", org.id, "0".repeat(32));
    assert_eq!(passed_on(&missing).await, Err("invalid_api_key".to_owned()));
    let bearer = format!("Bearer {secret}");
    assert_eq!(ask(&app, &[("authorization", &bearer)]).await, Err("invalid_api_key".to_owned()));
    // A key of one org in the name of another.
    let (own, _) = mint(&bed, &org, "evals").await;
    let other = bed.org("b").await;
    let crossed = format!("{}/{}", other.id, own.split_once('/').unwrap().1);
    assert_eq!(passed_on(&crossed).await, Err("invalid_api_key".to_owned()));
    let suspend = json!({"suspended": true});
    assert_eq!(bed.operator("PATCH", &format!("/operator/v1/orgs/{}", org.id), Some(&suspend)).await.0, 200);
    assert_eq!(passed_on(&own).await, Err("org_suspended".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_principal_that_the_edge_has_not_signed_for_is_401() {
    let bed = Bed::start().await;
    let (app, org) = (replica(&bed, None), bed.org("a").await);
    let (principal, _) = mint(&bed, &org, "evals").await;
    let (other_principal, _) = mint(&bed, &org, "evals").await;
    let edge = || Signer::edge(&bed);
    let forger = Ring::parse(&format!("a:{}", "99".repeat(32))).unwrap();
    let to_edge = Ring::parse(&bed.secrets["AG_CONTROL_TO_EDGE_RING"]).unwrap();
    let signatures = [
        ("none", String::new()),
        ("rubbish", "kid=a,t=1,v1=00".to_owned()),
        ("another secret", Signer { ring: forger, ..edge() }.sign(&principal)),
        ("the secret of the other direction", Signer { ring: to_edge, ..edge() }.sign(&principal)),
        ("an internal call", Signer { audience: Audience::Control, ..edge() }.sign(&principal)),
        ("another method", Signer { method: "POST", ..edge() }.sign(&principal)),
        ("another path", Signer { path: "/v1/evals?limit=3", ..edge() }.sign(&principal)),
        ("another principal", edge().sign(&other_principal)),
        ("too old", Signer { time_ms: now_ms() - SIGNATURE_AGE_MAX_MS - 60_000, ..edge() }.sign(&principal)),
    ];
    for (what, signature) in signatures {
        let answer = ask(&app, &[(PRINCIPAL_HEADER, &principal), (SIGNATURE_HEADER, &signature)]).await;
        assert_eq!(answer, Err("signature_invalid".to_owned()), "{what}");
    }
    assert_eq!(ask(&app, &[(PRINCIPAL_HEADER, &principal)]).await, Err("signature_invalid".to_owned()));
    for malformed in ["", "/", "org/key", &org.id, &format!("{principal}/"), &format!(" {principal}")] {
        let signature = edge().sign(malformed);
        let answer = ask(&app, &[(PRINCIPAL_HEADER, malformed), (SIGNATURE_HEADER, &signature)]).await;
        assert_eq!(answer, Err("signature_invalid".to_owned()), "{malformed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_and_a_principal_together_are_never_one_in_the_name_of_the_other() {
    let bed = Bed::start().await;
    let (app, own, foreign) = (replica(&bed, None), bed.org("own").await, bed.org("foreign").await);
    let (foreign_principal, _) = mint(&bed, &foreign, "evals").await;
    let (own_principal, own_secret) = mint(&bed, &own, "evals").await;
    let bearer = format!("Bearer {own_secret}");
    let signature = Signer::edge(&bed).sign(&own_principal);
    let both = async |principal: &str, signature: &str| {
        let headers = [
            ("authorization", bearer.as_str()),
            (PRINCIPAL_HEADER, principal),
            (SIGNATURE_HEADER, signature),
        ];
        ask(&app, &headers).await
    };
    // A good key of one's own does not make up for a principal that nobody has signed for.
    assert_eq!(both(&foreign_principal, "").await, Err("signature_invalid".to_owned()));
    assert_eq!(both(&foreign_principal, &signature).await, Err("signature_invalid".to_owned()));
    assert_eq!(both(&own_principal, &signature).await, Ok(own.id.clone()));
    let doubled = [
        (PRINCIPAL_HEADER, own_principal.as_str()),
        (PRINCIPAL_HEADER, foreign_principal.as_str()),
        (SIGNATURE_HEADER, signature.as_str()),
    ];
    assert_ne!(ask(&app, &doubled).await, Ok(foreign.id.clone()));
    // A run's key is no key here, whoever shows it.
    let run = alphagate_contract::id::RunId::new(1, [7; 10]);
    let org = own.id.parse().unwrap();
    doors::open_run_key(&app, org, run, &["poet"]).await.unwrap();
    let key = doors::run_key(&app, org, run).await.unwrap();
    let ring = Ring::parse(&bed.secrets["AG_KEY_RING"]).unwrap();
    let id = ApiKey::verify(&ring, key.reveal()).unwrap().id;
    let of_run = format!("{}/{id}", own.id);
    let signature = Signer::edge(&bed).sign(&of_run);
    let answer = ask(&app, &[(PRINCIPAL_HEADER, &of_run), (SIGNATURE_HEADER, &signature)]).await;
    assert_eq!(answer, Err("invalid_api_key".to_owned()));
    // Where only admins may go, a principal is nothing.
    let admin = bed.request("GET".parse().unwrap(), "/v1/org").header(PRINCIPAL_HEADER, &own_principal);
    assert_eq!(admin.header(SIGNATURE_HEADER, &signature).send().await.unwrap().status(), 401);
}
