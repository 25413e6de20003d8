//! What a consumer finds at the edge besides the answer: names, browsers, errors, and ids that lead to logs.

use std::time::{Duration, Instant};

use alphagate_bed::{Bed, Options};
use alphagate_tests::{Caller, Stage};
use anyhow::{Context, Result};
use reqwest::{Method, header};
use serde_json::{Value, json};

#[tokio::test]
async fn a_header_names_the_endpoint_when_the_model_cannot() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    for body in [json!({"input": "x", "model": "gpt-4o"}), json!({"input": "x"})] {
        let request = stage.caller.http.post(format!("{}/v1/responses", stage.caller.edge_url));
        let request =
            request.bearer_auth(&stage.caller.key.secret).header("X-AG-Endpoint", &stage.caller.name);
        let answer: Value = request.json(&body).send().await?.error_for_status()?.json().await?;
        assert_eq!(answer["model"], stage.caller.name.as_str());
    }
    assert_eq!(stage.calls().counts().completed, 2);
    Ok(())
}

#[tokio::test]
async fn models_are_the_names_that_the_key_can_call() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let draft = json!({"name": "draft", "visibility": "private"});
    stage.org.admin.create_endpoint(&draft).await?;
    let (org, consumer) = stage.consumer("theirs", None).await?;
    org.admin.install(&stage.endpoint, "again", None).await?;
    let get = async |caller: &Caller, path: &str| {
        let request = caller.http.get(format!("{}/v1/models{path}", caller.edge_url));
        let answer = request.bearer_auth(&caller.key.secret).send().await?;
        anyhow::Ok((answer.status().as_u16(), answer.json::<Value>().await?))
    };
    let names = |body: &Value| -> Vec<String> {
        let data = body["data"].as_array().into_iter().flatten();
        data.filter_map(|model| Some(model["id"].as_str()?.to_owned())).collect()
    };
    let (status, own) = get(&stage.caller, "").await?;
    assert_eq!((status, names(&own)), (200, vec![stage.caller.name.clone()]), "a draft cannot be called");
    let (_, theirs) = get(&consumer, "").await?;
    assert_eq!(names(&theirs), ["again", "theirs"]);
    let (status, one) = get(&consumer, "/theirs").await?;
    assert_eq!((status, &one["object"], &one["id"]), (200, &json!("model"), &json!("theirs")));
    assert_eq!(get(&consumer, "/nothing").await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn browsers_may_call_from_the_origins_that_are_set_and_from_no_other() -> Result<()> {
    let options = Options::default().edge_var("AG_CORS_ORIGINS", "https://app.example.com");
    let bed: &'static Bed = Box::leak(Box::new(Bed::start(options).await?));
    let stage = Stage::new(bed, json!({})).await?;
    let url = format!("{}/v1/responses", bed.edge_url());
    for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example.com", false)] {
        let preflight = stage.caller.http.request(Method::OPTIONS, &url).header("origin", origin);
        let preflight = preflight.header("access-control-request-headers", "authorization").send().await?;
        assert_eq!(preflight.status().as_u16(), 204);
        assert_eq!(preflight.headers().contains_key(header::ACCESS_CONTROL_ALLOW_HEADERS), allowed);
        let call =
            stage.caller.http.post(&url).header("origin", origin).bearer_auth(&stage.caller.key.secret);
        let answer = call.json(&json!({"model": stage.caller.name, "input": "x"})).send().await?;
        let allow = answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(allow.map(|value| value.as_bytes()), allowed.then_some(origin.as_bytes()));
    }
    Ok(())
}

#[tokio::test]
async fn unknown_routes_and_methods_answer_in_the_envelope() -> Result<()> {
    let bed = Bed::shared().await?;
    let http = alphagate_bed::http_client(None)?;
    for (method, path, status, code) in [
        (Method::GET, "/", 404, "route_not_found"),
        (Method::POST, "/v1/unknown", 404, "route_not_found"),
        (Method::GET, "/v1/responses", 405, "method_not_allowed"),
        (Method::DELETE, "/v1/models/x", 405, "method_not_allowed"),
        (Method::POST, "/internal/v1/records", 401, "signature_invalid"),
    ] {
        let answer = http.request(method.clone(), format!("{}{path}", bed.edge_url())).send().await?;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert!(answer.headers().contains_key("x-request-id"));
        let body: Value = answer.json().await?;
        assert_eq!(body["error"]["code"], code, "{method} {path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_id_leads_from_the_answer_to_the_provider_and_to_controls_log() -> Result<()> {
    let bed = Bed::shared().await?;
    let stage = Stage::new(bed, json!({})).await?;
    let unknown = Caller { name: "never-seen".into(), ..stage.caller.clone() };
    let missed = unknown.post(json!({})).await?;
    let missed = missed.headers()["x-request-id"].to_str()?.to_owned();
    let served = stage.caller.post(json!({})).await?;
    let served = served.headers()["x-request-id"].to_str()?.to_owned();
    let seen = stage.calls().requests().pop().context("no call")?;
    assert_eq!(seen.header("x-request-id"), Some(served.as_str()));
    let start = Instant::now();
    // A name that KV does not have is asked of control, under the same id.
    while !bed.log("control").lines().any(|line| line.contains(&missed)) {
        assert!(start.elapsed() < Duration::from_secs(5), "{missed} is not in control's log");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let line = bed.log("control").lines().find(|line| line.contains(&missed)).map(str::to_owned);
    let line: Value = serde_json::from_str(&line.context("no line")?)?;
    assert!(line.is_object());
    Ok(())
}
