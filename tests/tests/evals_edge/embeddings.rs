//! `POST /v1/embeddings`: the same admission, quota and disguise as a response that is not streamed.

use alphagate_bed::Bed;
use alphagate_tests::{Caller, Stage};
use anyhow::{Context, Result};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{RunKey, new_run};

async fn embed(caller: &Caller, extra: Value) -> Result<Response> {
    let mut body = json!({"model": caller.name});
    if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
        body.extend(extra);
    }
    let request = caller.http.post(format!("{}/v1/embeddings", caller.edge_url));
    Ok(request.bearer_auth(&caller.key.secret).json(&body).send().await?)
}

async fn vectors(caller: &Caller, input: Value) -> Result<Vec<Vec<f64>>> {
    let list: Value = embed(caller, json!({"input": input})).await?.error_for_status()?.json().await?;
    assert_eq!((&list["object"], &list["model"]), (&json!("list"), &json!(caller.name)), "{list}");
    list["data"].as_array().context("no list")?.iter().map(vector).collect()
}

fn vector(item: &Value) -> Result<Vec<f64>> {
    Ok(serde_json::from_value(item["embedding"].clone())?)
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn embeddings_are_served_disguised_and_counted() -> Result<()> {
    let hidden = json!({"instructions": "Hidden.", "defaults": {"temperature": 0.1}, "max_output_tokens": 5});
    let stage = Stage::new(Bed::shared().await?, hidden).await?;
    let texts = ["an old silent pond", "an old silent pond", "winter winds howl"];
    let found = vectors(&stage.caller, json!(texts)).await?;
    assert!((cosine(&found[0], &found[1]) - 1.0).abs() < 1e-4, "equal texts are one");
    assert!(cosine(&found[0], &found[2]) < 0.5);
    let seen = stage.calls().requests().pop().context("no call")?;
    assert_eq!(seen.path, "/v1/embeddings");
    let sent: Value = seen.json().context("no JSON")?;
    assert_eq!(sent, json!({"model": stage.model, "input": texts}), "nothing but the model is changed");

    let events = stage.usage(1).await?;
    let tokens: usize = texts.iter().map(|text| text.len().div_ceil(4)).sum();
    assert_eq!((&events[0]["outcome"], &events[0]["estimated"]), (&json!("completed"), &json!(false)));
    assert_eq!(events[0]["input_tokens"], tokens, "{}", events[0]);
    assert_eq!(events[0]["output_tokens"], 0);
    Ok(())
}

#[tokio::test]
async fn what_an_sdk_sends_by_default_passes_and_what_the_provider_refuses_is_told() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({"locked": ["dimensions"]})).await?;
    let packed = embed(&stage.caller, json!({"input": "a", "encoding_format": "base64"})).await?;
    let packed: Value = packed.error_for_status()?.json().await?;
    assert!(packed["data"][0]["embedding"].is_string());
    let cases = [
        (json!({}), 400, "missing_required_parameter"),
        (json!({"input": "a", "dimensions": 8}), 400, "unsupported_parameter"),
        (json!({"input": {"a": 1}}), 400, "upstream_rejected"),
        // A target that has no embeddings.
        (json!({"input": "a", "x_fake": {"status": 404}}), 400, "upstream_rejected"),
        (json!({"input": "a", "x_fake": {"status": 500}}), 502, "upstream_error"),
        (json!({"input": "a", "x_fake": {"invalid_json": true}}), 502, "upstream_incomplete"),
    ];
    for (extra, status, code) in cases {
        let answer = embed(&stage.caller, extra.clone()).await?;
        let (given, body) = (answer.status().as_u16(), answer.json::<Value>().await?);
        assert_eq!((given, &body["error"]["code"]), (status, &json!(code)), "{extra}: {body}");
        assert!(!body.to_string().contains(&stage.model));
    }
    let url = format!("{}/v1/embeddings", stage.caller.edge_url);
    let get =
        stage.caller.http.request(Method::GET, url).bearer_auth(&stage.caller.key.secret).send().await?;
    assert_eq!(get.status().as_u16(), 405);
    Ok(())
}

#[tokio::test]
async fn quotas_hold_for_embeddings_and_a_run_may_ask_for_them() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let name = stage.caller.name.clone();
    let key = RunKey::open(&stage, new_run(), 1, &[&name]).await?;
    assert_eq!(vectors(&key.caller(&stage, &name), json!("a")).await?.len(), 1);
    let other = embed(&key.caller(&stage, &format!("{name}@1")), json!({"input": "a"})).await?;
    assert_eq!(other.status().as_u16(), 404);
    let quota = json!([{"subject": {"kind": "org"}, "limit": {"unit": "input_tokens", "window": "hour", "cap": 100}}]);
    stage.org.admin.put_quotas(&quota).await?;
    assert_eq!(vectors(&stage.caller, json!("a")).await?.len(), 1);
    let over = embed(&stage.caller, json!({"input": "word ".repeat(200)})).await?;
    assert_eq!(over.status().as_u16(), 429);
    Ok(())
}
