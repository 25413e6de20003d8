//! What a version lets through, what it refuses, and what the provider is asked in the end.

use super::*;
use crate::json_splice::join;
use serde_json::json;

fn config(extra: Value) -> VersionConfig {
    let mut body = json!({"targets": [{"base_url": "https://api.example.com/v1", "model": "gpt-x"}]});
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

fn outgoing(body: &str, config: &VersionConfig) -> Result<(Value, Outgoing), Problem> {
    let read = members(body.as_bytes())?;
    let outgoing = compose(&read, config, &config.targets[0], "poet", None)?;
    let sent = join(body.as_bytes(), &outgoing.pieces);
    Ok((serde_json::from_slice(&sent).unwrap(), outgoing))
}

#[test]
fn instructions_and_defaults_are_merged() {
    let config = config(json!({
        "instructions": "Answer in verse.",
        "defaults": {"temperature": 0.2, "top_p": 0.9},
        "max_output_tokens": 100,
    }));
    let body = r#"{"model":"poet","input":"hi","instructions":"Be kind.","top_p":0.5,"x_new":{"a":[1]},"max_output_tokens":500}"#;
    let (sent, outgoing) = outgoing(body, &config).unwrap();
    assert_eq!(
        sent,
        json!({
            "model": "gpt-x", "input": "hi", "instructions": "Answer in verse.\n\nBe kind.", "top_p": 0.5,
            "x_new": {"a": [1]}, "max_output_tokens": 100, "temperature": 0.2, "store": false,
        })
    );
    assert_eq!(outgoing.disguise.instructions, json!("Be kind."));
    assert_eq!(outgoing.disguise.defaults, ["temperature"]);
    assert_eq!(outgoing.estimate.output_tokens, 100);
}

#[test]
fn provider_side_state_is_refused_unless_allowed() {
    let cases = [
        (r#""previous_response_id":"resp_1""#, "previous_response_id", json!({"previous_response_id": true})),
        (r#""conversation":{"id":"conv_1"}"#, "conversation", json!({"conversation": true})),
        (r#""prompt":{"id":"pmpt_1"}"#, "prompt", json!({"prompt": true})),
        (r#""background":true"#, "background", json!({"background": true})),
        (
            r#""tools":[{"type":"function","name":"f"},{"type":"web_search"}]"#,
            "tools[1].type",
            json!({"tools": ["web_search"]}),
        ),
        (r#""tools":[{"type":"mcp","server_url":"https://x"}]"#, "tools[0].type", json!({"tools": ["mcp"]})),
        (
            r#""input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]"#,
            "input.file_id",
            json!({"file_ids": true}),
        ),
        (r#""input":[{"id":"msg_1"}]"#, "input.item_reference", json!({"previous_response_id": true})),
    ];
    for (member, param, allow) in cases {
        let body = format!(r#"{{"model":"poet",{member}}}"#);
        let problem = outgoing(&body, &config(json!({}))).unwrap_err();
        assert_eq!((problem.code, problem.param.as_deref()), (Code::ParameterUnsupported, Some(param)));
        assert!(outgoing(&body, &config(json!({"allow": allow}))).is_ok(), "{member}");
    }
    for harmless in [r#""previous_response_id":null"#, r#""background":false"#, r#""tools":null"#] {
        assert!(outgoing(&format!(r#"{{"model":"poet",{harmless}}}"#), &config(json!({}))).is_ok());
    }
}

#[test]
fn store_is_forced_off_unless_allowed() {
    let (sent, _) = outgoing(r#"{"model":"poet","store":true}"#, &config(json!({}))).unwrap();
    assert_eq!(sent["store"], json!(false));
    let (sent, _) = outgoing(r#"{"model":"poet"}"#, &config(json!({"allow": {"store": true}}))).unwrap();
    assert_eq!(sent.get("store"), None);
}

#[test]
fn locked_fields_cannot_be_set() {
    let config = config(json!({"locked": ["instructions", "temperature"], "defaults": {"temperature": 0.0}}));
    for member in [r#""instructions":"x""#, r#""temperature":1"#] {
        let problem = outgoing(&format!(r#"{{"model":"poet",{member}}}"#), &config).unwrap_err();
        assert_eq!(problem.code, Code::ParameterUnsupported);
    }
    assert!(outgoing(r#"{"model":"poet"}"#, &config).is_ok());
}

#[test]
fn impossible_values_name_their_field() {
    for (member, param) in [
        (r#""stream":"yes""#, "stream"),
        (r#""instructions":7"#, "instructions"),
        (r#""max_output_tokens":-1"#, "max_output_tokens"),
        (r#""max_output_tokens":1e999"#, "max_output_tokens"),
        (r#""tools":{}"#, "tools"),
        (r#""store":true,"store":false"#, "store"),
    ] {
        let problem =
            outgoing(&format!(r#"{{"model":"poet",{member}}}"#), &config(json!({"instructions": "x"})))
                .unwrap_err();
        assert_eq!(problem.param.as_deref(), Some(param));
        assert_eq!(problem.code, Code::ParameterInvalid);
    }
}

#[test]
fn the_estimate_counts_text_by_bytes_and_attachments_by_number() {
    let image = "A".repeat(300_000);
    let body = format!(
        r#"{{"model":"poet","input":[{{"role":"user","content":[{{"type":"input_image","image_url":"data:image/png;base64,{image}"}}]}}]}}"#
    );
    let (_, outgoing) = outgoing(&body, &config(json!({}))).unwrap();
    assert!((2_000..2_200).contains(&outgoing.estimate.input_tokens), "{:?}", outgoing.estimate);
    assert_eq!(outgoing.estimate.output_tokens, OUTPUT_TOKENS_ASSUMED);
}

#[test]
fn the_endpoint_is_named_by_header_or_model() {
    let read = |body: &'static str| members(body.as_bytes()).unwrap();
    assert_eq!(asked_model(&read(r#"{"model":"a"}"#), Some("b".into())), Ok("b".into()));
    assert_eq!(asked_model(&read(r#"{"model":"a"}"#), None), Ok("a".into()));
    assert_eq!(asked_model(&read("{}"), None).unwrap_err().code, Code::ParameterMissing);
    assert_eq!(asked_model(&read(r#"{"model":1}"#), None).unwrap_err().code, Code::ParameterInvalid);
}
