//! Models that say how bad a text is: asked before a provider reads it, and before a caller reads an answer.
//!
//! They are asked as OpenAI's `POST /v1/moderations` is. Invariant: nothing is let through unless every moderation of the
//! version has said that it is not too bad. One that cannot be asked in time, or does not know a category, has not said so.
//! An answer that is looked at is never streamed, because what was shown cannot be taken back.

use crate::{
    api::Api,
    json_splice::{Members, Piece},
    pii::{self, TEXT_FIELDS},
    proxy::{self, Dial, Head},
    resolve::Route,
    texts::{self, Names, quoted},
    visit::Visit,
};
use alphagate_contract::{
    endpoint::VersionConfig,
    policy::Moderation,
    problem::{Code, Problem},
    secret::Secret,
};
use js_sys::Uint8Array;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use worker::web_sys::AbortSignal;

/// Longest time to the head of an answer, and then to its end, milliseconds. Real ones take some hundred.
const ANSWER_MAX_MS: u64 = 10_000;
/// What follows the base URL.
const PATH: &str = "/moderations";
/// The members of an answer in which what was generated stands: of responses, and of chat completions.
const GENERATED: [&str; 2] = ["output", "choices"];

/// An answer that is not shown.
#[derive(Debug)]
pub struct Refused {
    /// What the caller reads instead.
    pub problem: Problem,
    /// What is noted of it.
    pub flags: Vec<String>,
}

/// Whether answers are looked at.
#[must_use]
pub fn looks_at_output(config: &VersionConfig) -> bool {
    config.moderation.iter().any(|moderation| moderation.looks_at.output())
}

/// What the caller has written, as JSON; none: no text, or nobody looks at it.
///
/// # Errors
/// 400 for a stream of answers that are looked at, and for what cannot be looked at.
pub fn input_text(
    members: &Members<'_>,
    config: &VersionConfig,
    api: Api,
    stream: bool,
) -> Result<Option<String>, Problem> {
    if stream && looks_at_output(config) {
        let message = "This endpoint looks at an answer before it is shown, so that it cannot be streamed: ask without \
            `stream`, over HTTP.";
        return Err(Problem::new(Code::ParameterUnsupported).message(message).param("stream"));
    }
    if !config.moderation.iter().any(|moderation| moderation.looks_at.input()) {
        return Ok(None);
    }
    let mut text = String::new();
    for (field, names) in TEXT_FIELDS {
        let Some(value) = members.get(field) else { continue };
        let numbers = collect(value, names, &mut text).map_err(|_| pii::too_deep(field))?;
        if numbers && api == Api::Embeddings {
            return Err(pii::tokens(field));
        }
    }
    Ok((!text.is_empty()).then(|| quoted(&text)))
}

/// What was generated, as JSON; none: no text.
#[must_use]
pub fn output_text(answer: &[u8]) -> Option<String> {
    let mut text = String::new();
    if let Ok(members) = Members::read(answer) {
        for value in GENERATED.iter().filter_map(|field| members.get(field)) {
            // What is too deep to be walked is looked at as it is written.
            if collect(value, Names::Known, &mut text).is_err() {
                text.push_str(value);
            }
        }
    }
    (!text.is_empty()).then(|| quoted(&text))
}

/// Whether there were numbers, too.
fn collect(value: &str, names: Names, text: &mut String) -> Result<bool, texts::TooDeep> {
    let mut numbers = false;
    texts::each(value, names, |one| {
        numbers |= one.is_number;
        if !one.is_number {
            text.push_str(&one.text);
            text.push('\n');
        }
    })?;
    Ok(numbers)
}

/// Shows the caller's text to those who look at it.
///
/// # Errors
/// 400 with the categories that are over their thresholds, 503 when one cannot be asked, 502 for its credential.
pub async fn of_input(
    visit: &Visit,
    route: &Route,
    text: &Uint8Array,
    caller: &AbortSignal,
) -> Result<(), Problem> {
    let over = ask_all(visit, route, text, caller, |moderation| moderation.looks_at.input()).await?;
    if over.is_empty() {
        return Ok(());
    }
    let message = format!("The input is not what this endpoint's policy lets through: {}.", listed(&over));
    Err(violation(message, "input", &over).param("input"))
}

/// Shows what was generated to those who look at it.
///
/// # Errors
/// As [`of_input`], with what is to be noted of it.
pub async fn of_output(
    visit: &Visit,
    route: &Route,
    text: &Uint8Array,
    caller: &AbortSignal,
) -> Result<(), Box<Refused>> {
    let asked = ask_all(visit, route, text, caller, |moderation| moderation.looks_at.output()).await;
    let unasked = vec!["moderation:output:unavailable".to_owned()];
    let over = asked.map_err(|problem| Box::new(Refused { problem, flags: unasked }))?;
    if over.is_empty() {
        return Ok(());
    }
    let message = format!("The answer is not what this endpoint's policy lets through: {}.", listed(&over));
    let flags = over.iter().map(|category| format!("moderation:output:{category}")).collect();
    Err(Box::new(Refused { problem: violation(message, "output", &over), flags }))
}

fn listed(categories: &BTreeSet<String>) -> String {
    categories.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn violation(message: String, side: &str, over: &BTreeSet<String>) -> Problem {
    let details = json!({"moderation": side, "categories": over});
    Problem::new(Code::ContentPolicyViolation).message(message).details(details)
}

fn unavailable() -> Problem {
    Problem::new(Code::ModerationUnavailable).retry_after_ms(1_000)
}

/// Asks everybody who looks at it, until the first who says no.
async fn ask_all(
    visit: &Visit,
    route: &Route,
    text: &Uint8Array,
    caller: &AbortSignal,
    looks: impl Fn(&Moderation) -> bool,
) -> Result<BTreeSet<String>, Problem> {
    for (at, moderation) in route.config()?.moderation.iter().enumerate() {
        if !looks(moderation) {
            continue;
        }
        let secret = route.moderation_secret(visit, at, &moderation.base_url)?;
        let answer = ask(visit, moderation, secret, text, caller).await;
        let over = answer.and_then(|answer| over(&answer, moderation)).ok_or_else(unavailable)?;
        if !over.is_empty() {
            return Ok(over);
        }
    }
    Ok(BTreeSet::new())
}

/// The answer of one; none: it gave none in time.
async fn ask(
    visit: &Visit,
    moderation: &Moderation,
    secret: Option<Secret<String>>,
    text: &Uint8Array,
    caller: &AbortSignal,
) -> Option<Vec<u8>> {
    let dial = Dial {
        url: &format!("{}{PATH}", moderation.base_url.trim_end_matches('/')),
        credential: secret
            .map(|secret| ("authorization", Secret::new(format!("Bearer {}", secret.reveal())))),
        protocol_headers: &[],
        request_id: &visit.id.to_string(),
        stream: false,
        headers: &BTreeMap::new(),
        caller,
        lease: None,
    };
    let pieces = [
        Piece::New(format!("{{\"model\":{},\"input\":", quoted(&moderation.model))),
        Piece::Kept(0..text.length() as usize),
        Piece::New("}".to_owned()),
    ];
    let call = proxy::dial(&dial, text, &pieces);
    let answer = match call.wait_head(ANSWER_MAX_MS).await {
        Head::Status(200) => call.short(&visit.settings, ANSWER_MAX_MS).await,
        _ => None,
    };
    if answer.is_none() {
        call.abort();
    }
    answer
}

/// The categories that are over their thresholds; none: it does not say so of every one.
fn over(answer: &[u8], moderation: &Moderation) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Answer {
        results: Vec<Scores>,
    }
    #[derive(Deserialize)]
    struct Scores {
        category_scores: BTreeMap<String, f64>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let mut over = BTreeSet::new();
    for (category, threshold) in &moderation.thresholds {
        let scores: Option<Vec<f64>> =
            answer.results.iter().map(|result| result.category_scores.get(category).copied()).collect();
        let worst = scores?.into_iter().reduce(f64::max)?;
        if worst > *threshold {
            over.insert(category.clone());
        }
    }
    Some(over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn config(looks_at: &str) -> VersionConfig {
        serde_json::from_value(json!({
            "targets": [{"base_url": "https://x/v1", "model": "m"}],
            "moderation": [{"base_url": "https://y/v1", "model": "omni", "looks_at": looks_at,
                "thresholds": {"hate": 0.5, "violence": 0.1}}],
        }))
        .unwrap()
    }

    #[test]
    fn a_text_is_too_bad_if_any_of_its_parts_is_and_what_is_not_said_is_not_let_through() {
        let moderation = &config("both").moderation[0];
        let results = |all: Value| over(json!({"results": all}).to_string().as_bytes(), moderation);
        let scores = |hate: f64, violence: f64| json!({"category_scores": {"hate": hate, "violence": violence, "x": 1}});
        let set = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(results(json!([scores(0.5, 0.1)])), set(&[]));
        assert_eq!(results(json!([scores(0.51, 0.0), scores(0.0, 0.11)])), set(&["hate", "violence"]));
        assert_eq!(results(json!([])), None);
        assert_eq!(results(json!([scores(0.0, 0.0), {"category_scores": {"hate": 0.9}}])), None);
        assert_eq!(results(json!([{"flagged": false}])), None);
        assert_eq!(over(b"<html>", moderation), None);
    }

    #[test]
    fn the_callers_texts_are_shown_and_nothing_of_machines() {
        let body = json!({"model": "m", "temperature": 1, "instructions": "i", "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a\"b"}, {"type": "input_image", "image_url": "u"}]},
        ]})
        .to_string();
        let members = Members::read(body.as_bytes()).unwrap();
        let shown = input_text(&members, &config("input"), Api::Responses, true).unwrap().unwrap();
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), "a\"b\ni\n");
        assert_eq!(input_text(&members, &config("output"), Api::Responses, false).unwrap(), None);
        let refused = input_text(&members, &config("both"), Api::Responses, true).unwrap_err();
        assert_eq!((refused.code, refused.param.as_deref()), (Code::ParameterUnsupported, Some("stream")));
        let tokens = Members::read(br#"{"input":[1,2]}"#).unwrap();
        let refused = input_text(&tokens, &config("input"), Api::Embeddings, false).unwrap_err();
        assert_eq!((refused.code, refused.param.as_deref()), (Code::ParameterUnsupported, Some("input")));
    }

    #[test]
    fn what_was_generated_is_shown_in_either_form() {
        let response = json!({"id": "resp_1", "status": "completed", "instructions": "hidden", "output": [
            {"type": "message", "id": "msg", "role": "assistant", "content": [{"type": "output_text", "text": "t"}]},
            {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{\"a\":\"b\"}"},
        ]});
        assert_eq!(output_text(response.to_string().as_bytes()), Some(quoted("t\n{\"a\":\"b\"}\n")));
        let chat = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "t"}, "finish_reason": "stop"}]});
        assert_eq!(output_text(chat.to_string().as_bytes()), Some(quoted("t\n")));
        assert_eq!(output_text(br#"{"output":[]}"#), None);
    }
}
