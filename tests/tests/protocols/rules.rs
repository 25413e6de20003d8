//! What a caller may ask (E04, E24), in which words it is refused, and what a version's fail-over makes of several kinds.

use alphagate_bed::Bed;
use alphagate_tests::Stage;
use anyhow::Result;
use serde_json::{Value, json};

use super::read::says;
use crate::{HIDDEN, MANNERS, Manner, PROTOCOLS, ask, post, set, stage};

#[tokio::test]
async fn e24_what_reaches_into_the_publishers_account_is_refused_on_every_kind_of_target() -> Result<()> {
    let responses = [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "p"})),
        ("background", json!(true)),
        ("tools", json!([{"type": "web_search"}])),
        ("input", json!([{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}])),
    ];
    let chat = [
        ("previous_response_id", json!("resp_1")),
        ("tools", json!([{"type": "web_search"}])),
        ("web_search_options", json!({})),
        ("messages", json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]}])),
    ];
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for manner in MANNERS {
            let rows: &[(&str, Value)] = if manner.chat { &chat } else { &responses };
            for (member, value) in rows {
                let mut body = says(manner, "x");
                body[*member] = value.clone();
                let answer = post(&stage, manner, body).await?;
                assert_eq!(answer.status().as_u16(), 400, "{protocol} {manner:?} {member}");
                let error = answer.json::<Value>().await?["error"].clone();
                assert_eq!(error["code"], "unsupported_parameter", "{protocol} {manner:?} {member}: {error}");
                let param = error["param"].as_str().unwrap_or_default();
                assert!(param.starts_with(member), "{protocol} {manner:?} {member}: {error}");
            }
        }
        assert_eq!(stage.calls().counts().started, 0, "{protocol}: nothing reaches the provider");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_target_cannot_do_is_refused_by_the_callers_name() -> Result<()> {
    let rows = [
        ("anthropic", false, "top_logprobs", json!(2), "top_logprobs"),
        ("anthropic", true, "seed", json!(1), "seed"),
        ("responses", true, "stop", json!(["x"]), "stop"),
        ("gemini", false, "x_unknown", json!(1), "x_unknown"),
        ("chat", true, "n", json!(2), "n"),
    ];
    for (protocol, chat, member, value, param) in rows {
        let stage = stage(protocol).await?;
        let manner = Manner { chat, stream: false };
        let mut body = says(manner, "x");
        body[member] = value;
        let answer = post(&stage, manner, body).await?;
        assert_eq!(answer.status().as_u16(), 400, "{protocol} {member}");
        let error = answer.json::<Value>().await?["error"].clone();
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("unsupported_parameter"), &json!(param)),
            "{protocol}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn e04_bodies_that_are_not_json_are_refused_alike() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for path in ["/v1/responses", "/v1/chat/completions"] {
            for (body, code) in [
                ("{", "body_malformed"),
                ("{\"a\":}", "body_malformed"),
                ("[]", "invalid_parameter"),
                ("", "body_malformed"),
            ] {
                let answer = stage.caller.post_to(path, body.as_bytes().to_vec()).await?;
                assert_eq!(answer.status().as_u16(), 400, "{protocol} {path} {body}");
                assert_eq!(answer.json::<Value>().await?["error"]["code"], code, "{protocol} {path} {body}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn embeddings_are_asked_only_of_targets_that_have_them() -> Result<()> {
    for (protocol, status) in [("responses", 200), ("chat", 200), ("anthropic", 400), ("gemini", 400)] {
        let stage = stage(protocol).await?;
        let body = json!({"model": stage.caller.name, "input": "x"});
        let answer = stage.caller.post_to("/v1/embeddings", body.to_string().into_bytes()).await?;
        assert_eq!(answer.status().as_u16(), status, "{protocol}");
        if status == 400 {
            assert_eq!(answer.json::<Value>().await?["error"]["code"], "unsupported_parameter", "{protocol}");
        }
    }
    Ok(())
}

/// An endpoint whose first target speaks one protocol, and whose second another; its instructions are hidden.
async fn pair(first: &str, second: &'static str) -> Result<(Stage, String)> {
    let bed = Bed::shared().await?;
    let stage = Stage::speaking(bed, second, json!({})).await?;
    let broken = format!("{}-first", stage.model);
    let target = |model: &str, protocol: &str, order: u8| json!({"base_url": bed.provider().base_url(), "model": model, "protocol": protocol, "credential": stage.credential, "order": order});
    let targets = json!([target(&broken, first, 0), target(&stage.model, second, 1)]);
    let version = stage.add_version(json!({"targets": targets, "instructions": HIDDEN})).await?;
    stage.org.admin.publish(&stage.endpoint, version, Some(1)).await?;
    Ok((stage, broken))
}

#[tokio::test]
async fn a_target_of_one_kind_takes_over_from_one_of_another() -> Result<()> {
    for (first, second) in
        [("responses", "anthropic"), ("chat", "responses"), ("anthropic", "gemini"), ("gemini", "chat")]
    {
        // Gemini's first event brings content.
        let preamble = if first == "gemini" { 0 } else { 1 };
        for fault in [json!({"status": 500}), json!({"words": 9, "truncate_after_events": preamble})] {
            let (stage, broken) = pair(first, second).await?;
            stage.bed.provider().set_model(&broken, serde_json::from_value(fault.clone())?);
            set(&stage, json!({"text": "from the second"}))?;
            let streams = fault["status"].is_null();
            for manner in MANNERS.into_iter().filter(|manner| manner.stream || !streams) {
                let answer = ask(&stage, manner, says(manner, "x")).await?;
                assert_eq!(answer.text, "from the second", "{first} {second} {manner:?} {fault}");
            }
        }
    }
    Ok(())
}
