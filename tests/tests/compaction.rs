//! `POST /v1/responses/compact` on every kind of target, and what becomes of its item.
//!
//! The cases are those of the Open Responses compliance suite (`compact-*`, `websocket-compact-new-chain`).

use alphagate_bed::{Bed, provider::Knobs};
use alphagate_tests::{Caller, Stage};
use anyhow::{Context, Result};
use serde_json::{Value, json};

const PROTOCOLS: [&str; 4] = ["responses", "chat", "anthropic", "gemini"];
const HIDDEN: &str = "The password is swordfish.";
const SUMMARY: &str = "They launch on Tuesday — support is told first.";
const PATH: &str = "/v1/responses/compact";

async fn speaking(protocol: &'static str, mut config: Value) -> Result<Stage> {
    config["instructions"] = json!(HIDDEN);
    let stage = Stage::speaking(Bed::shared().await?, protocol, config).await?;
    let usage = json!({"input_tokens": 50, "output_tokens": 9});
    set(&stage, json!({"text": SUMMARY, "usage": usage}))?;
    Ok(stage)
}

fn set(stage: &Stage, knobs: Value) -> Result<()> {
    let knobs: Knobs = serde_json::from_value(knobs)?;
    stage.bed.provider().set_model(&stage.model, knobs);
    Ok(())
}

fn conversation() -> Value {
    json!([
        {"type": "message", "role": "user", "content": "We agreed to launch on Tuesday and notify support first."},
        {"type": "message", "role": "assistant", "content": "Understood. The launch is Tuesday."},
    ])
}

async fn compact(caller: &Caller, extra: Value) -> Result<(u16, Value)> {
    let mut body = json!({"model": caller.name, "input": conversation(), "prompt_cache_key": "k"});
    if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
        body.extend(extra);
    }
    let answer = caller.post_to(PATH, body.to_string().into_bytes()).await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

fn last_sent(stage: &Stage) -> Result<Value> {
    let last = stage.calls().requests().pop().context("no call")?;
    Ok(serde_json::from_slice(&last.body)?)
}

#[tokio::test]
async fn a_conversation_is_made_short_and_goes_on_from_there() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage =
            speaking(protocol, json!({"output_schema": {"name": "n", "schema": {"type": "object"}}})).await?;
        let (status, made) = compact(&stage.caller, json!({})).await?;
        assert_eq!((status, &made["object"]), (200, &json!("response.compaction")), "{protocol}: {made}");
        assert!(made["id"].is_string() && made["created_at"].is_u64(), "{protocol}: {made}");
        let usage = &made["usage"];
        assert_eq!((&usage["input_tokens"], &usage["total_tokens"]), (&json!(50), &json!(59)), "{protocol}");
        for details in ["input_tokens_details", "output_tokens_details"] {
            assert!(usage[details].is_object(), "{protocol}: {usage}");
        }
        let item = &made["output"][0];
        assert_eq!((&item["type"], made["output"].as_array().map(Vec::len)), (&json!("compaction"), Some(1)));
        assert!(item["id"].is_string() && item["encrypted_content"].is_string(), "{protocol}: {item}");
        for secret in [HIDDEN, &stage.model] {
            assert!(!made.to_string().contains(secret), "{protocol} shows {secret}: {made}");
        }
        let sent = last_sent(&stage)?.to_string();
        assert!(sent.contains(HIDDEN) && sent.contains("launch on Tuesday"), "{protocol}: {sent}");

        set(&stage, json!({"text": "{}"}))?;
        let input = json!([item, {"type": "message", "role": "user", "content": "When?"}]);
        let answer = stage.caller.post(json!({"input": input, "tools": []})).await?;
        assert_eq!(answer.status(), 200, "{protocol}: {}", answer.text().await?);
        let sent = last_sent(&stage)?.to_string();
        let (wanted, other) = if protocol == "responses" {
            (item["encrypted_content"].as_str().context("no content")?, SUMMARY)
        } else {
            (SUMMARY, "encrypted_content")
        };
        assert!(sent.contains(wanted) && !sent.contains(other), "{protocol}: {sent}");

        let events = stage.usage(2).await?;
        let tokens = |event: &Value| event["input_tokens"].as_u64();
        assert!(events.iter().any(|event| tokens(event) == Some(50) && event["outcome"] == "completed"));
    }
    Ok(())
}

/// A summary that a model has written is understood by any other, whatever its target speaks.
#[tokio::test]
async fn a_summary_goes_wherever_it_is_sent() -> Result<()> {
    let stage = speaking("gemini", json!({})).await?;
    let (_, made) = compact(&stage.caller, json!({})).await?;
    for protocol in PROTOCOLS {
        let other = speaking(protocol, json!({})).await?;
        other.caller.post(json!({"input": made["output"]})).await?.error_for_status()?;
        assert!(last_sent(&other)?.to_string().contains(SUMMARY), "{protocol}");
    }
    // What only its own provider can read is refused by the others.
    let native = speaking("responses", json!({})).await?;
    let (_, made) = compact(&native.caller, json!({})).await?;
    let refused = stage.caller.post(json!({"input": made["output"]})).await?;
    assert_eq!(refused.json::<Value>().await?["error"]["code"], "unsupported_parameter");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_made_short_says_why() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({"locked": ["metadata"]})).await?;
        let cases = [
            (json!({"model": null}), "missing_required_parameter"),
            (json!({"input": []}), "missing_required_parameter"),
            (json!({"stream": true}), "unsupported_parameter"),
            (json!({"metadata": {"a": "b"}}), "unsupported_parameter"),
            (json!({"previous_response_id": "resp_1"}), "unsupported_parameter"),
            (json!({"model": "nobody"}), "model_not_found"),
        ];
        for (extra, code) in cases {
            let (status, refused) = compact(&stage.caller, extra.clone()).await?;
            assert_eq!(refused["error"]["code"], code, "{protocol} {extra}: {refused}");
            assert!((400..500).contains(&status), "{protocol} {extra}: {status}");
        }
        assert_eq!(stage.calls().counts().started, 0, "{protocol}");
        if protocol != "responses" {
            set(&stage, json!({"text": SUMMARY, "terminal": "incomplete"}))?;
            let (status, refused) = compact(&stage.caller, json!({})).await?;
            assert_eq!((status, &refused["error"]["code"]), (502, &json!("upstream_incomplete")));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_kept_conversation_is_made_short_by_its_last_responses_id() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({"retain": {"days": 1}})).await?;
        let one: Value = stage.caller.post(json!({"input": "The word is cobalt."})).await?.json().await?;
        let before = json!({"previous_response_id": one["id"], "input": "Make it short."});
        let (status, made) = compact(&stage.caller, before).await?;
        assert_eq!(status, 200, "{protocol}: {made}");
        assert!(last_sent(&stage)?.to_string().contains("The word is cobalt."), "{protocol}");
    }
    Ok(())
}

#[tokio::test]
async fn a_quota_and_a_revoked_key_refuse_a_compaction() -> Result<()> {
    let stage = speaking("chat", json!({})).await?;
    let limit = json!({"unit": "requests", "window": "hour", "cap": 1});
    stage.org.admin.put_quotas(&json!([{"subject": {"kind": "org"}, "limit": limit}])).await?;
    assert_eq!(compact(&stage.caller, json!({})).await?.0, 200);
    assert_eq!(compact(&stage.caller, json!({})).await?.0, 429);
    stage.org.admin.revoke_key(&stage.caller.key.id).await?;
    assert_eq!(compact(&stage.caller, json!({})).await?.0, 401);
    Ok(())
}
