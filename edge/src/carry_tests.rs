//! One request, for every kind of target and caller: what is asked, what is refused, and in whose words.

use super::*;
use serde_json::json;

const PROTOCOLS: [&str; 4] = ["responses", "chat", "anthropic", "gemini"];

fn config(protocol: &str, extra: Value) -> VersionConfig {
    let target = json!({"base_url": "https://api.example.com/v1", "model": "m-secret", "protocol": protocol});
    let mut config =
        json!({"targets": [target], "instructions": "Hidden.", "defaults": {"temperature": 0.5}});
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn composed(chat: bool, body: &Value, config: &VersionConfig) -> Result<(Value, Outgoing), Problem> {
    let text = body.to_string();
    let members = Members::read(text.as_bytes()).unwrap();
    let compose = if chat { super::chat } else { responses };
    let outgoing = compose(&members, config, &config.targets[0], "poet", None)?;
    let sent = join(text.as_bytes(), &outgoing.pieces);
    Ok((serde_json::from_slice(&sent).unwrap(), outgoing))
}

fn asked(chat: bool) -> Value {
    if chat {
        json!({"model": "poet", "messages": [{"role": "user", "content": "hi"}]})
    } else {
        json!({"model": "poet", "input": "hi", "instructions": "Be kind."})
    }
}

#[test]
fn every_target_gets_the_versions_instructions_and_defaults_from_every_caller() {
    for protocol in PROTOCOLS {
        for chat in [false, true] {
            let (sent, outgoing) = composed(chat, &asked(chat), &config(protocol, json!({}))).unwrap();
            let text = sent.to_string();
            assert!(text.contains("Hidden.") && text.contains("0.5") && text.contains("hi"), "{text}");
            assert_eq!(outgoing.carry.is_native(), protocol == "responses" && !chat);
            assert_eq!(outgoing.carry.adapted.is_some(), protocol != "responses");
            let path = outgoing.carry.adapted.as_ref().map(|adapted| adapted.path.as_str());
            let expected = match protocol {
                "chat" => Some("/chat/completions"),
                "anthropic" => Some("/messages"),
                "gemini" => Some("/models/m-secret:generateContent"),
                _ => None,
            };
            assert_eq!(path, expected, "{protocol}");
        }
    }
}

#[test]
fn a_response_shows_the_callers_view_of_the_request() {
    for protocol in ["chat", "anthropic", "gemini"] {
        let (_, outgoing) = composed(false, &asked(false), &config(protocol, json!({}))).unwrap();
        let parties = outgoing.carry.parties("poet", "resp_1", 1).unwrap();
        let conceal: alphagate_translate::pipeline::Concealer = Box::new(str::to_owned);
        let mut pipeline = alphagate_translate::pipeline::Pipeline::new(&parties, conceal);
        let failed = alphagate_translate::response::Failure::new("server_error", "x", "x");
        let text = pipeline.abort(failed);
        assert!(!text.contains("Hidden") && !text.contains("m-secret") && !text.contains("0.5"), "{text}");
        assert!(text.contains("Be kind.") && text.contains("poet"), "{text}");
    }
}

#[test]
fn what_is_asked_of_a_provider_that_wants_a_limit_is_what_is_reserved() {
    let (sent, outgoing) = composed(false, &asked(false), &config("anthropic", json!({}))).unwrap();
    assert_eq!(sent["max_tokens"], outgoing.estimate.output_tokens);
    let capped = config("anthropic", json!({"max_output_tokens": 50}));
    let (sent, outgoing) = composed(false, &asked(false), &capped).unwrap();
    assert_eq!((&sent["max_tokens"], outgoing.estimate.output_tokens), (&json!(50), 50));
}

#[test]
fn refusals_name_the_callers_member_and_never_the_publishers() {
    let with = |chat: bool, member: &str, value: Value| {
        let mut body = asked(chat);
        body[member] = value;
        body
    };
    let cases = [
        (
            false,
            "anthropic",
            with(false, "top_logprobs", json!(3)),
            Code::ParameterUnsupported,
            "top_logprobs",
        ),
        (false, "chat", with(false, "x_new", json!(1)), Code::ParameterUnsupported, "x_new"),
        (false, "gemini", with(false, "temperature", json!("hot")), Code::ParameterInvalid, "temperature"),
        (
            false,
            "chat",
            with(false, "previous_response_id", json!("resp_1")),
            Code::ParameterUnsupported,
            "previous_response_id",
        ),
        (true, "responses", with(true, "stop", json!(["x"])), Code::ParameterUnsupported, "stop"),
        (true, "responses", with(true, "n", json!(2)), Code::ParameterUnsupported, "n"),
        (true, "chat", with(true, "max_tokens", json!("many")), Code::ParameterInvalid, "max_tokens"),
        (
            true,
            "anthropic",
            with(true, "previous_response_id", json!("r")),
            Code::ParameterUnsupported,
            "previous_response_id",
        ),
        (true, "gemini", with(true, "messages", json!([])), Code::ParameterInvalid, "messages"),
    ];
    for (chat, protocol, body, code, param) in cases {
        let problem = composed(chat, &body, &config(protocol, json!({}))).unwrap_err();
        assert_eq!(
            (problem.code, problem.param.as_deref()),
            (code, Some(param)),
            "{protocol} {body}: {problem:?}"
        );
    }
    let wrong = config("anthropic", json!({"defaults": {"top_logprobs": 3}}));
    assert_eq!(composed(false, &asked(false), &wrong).unwrap_err().code, Code::EndpointMisconfigured);
}

#[test]
fn what_cannot_be_represented_is_the_callers_mistake() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for value in ["1e999", r#""\ud800""#, deep.as_str()] {
        let body = format!(r#"{{"model":"poet","input":"x","metadata":{{"a":{value}}}}}"#);
        let Ok(members) = Members::read(body.as_bytes()) else { continue };
        let config = config("chat", json!({}));
        let problem = responses(&members, &config, &config.targets[0], "poet", None).unwrap_err();
        assert_eq!(problem.code, Code::ParameterInvalid, "{value}");
    }
}

#[test]
fn a_locked_store_is_not_held_against_chats_own_default() {
    let config = config("responses", json!({"locked": ["store"]}));
    assert_eq!(composed(true, &asked(true), &config).unwrap().0["store"], false);
    let mut body = asked(true);
    body["store"] = json!(true);
    assert_eq!(composed(true, &body, &config).unwrap_err().param.as_deref(), Some("store"));
}
