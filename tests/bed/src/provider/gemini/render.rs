//! A script as a response, and as the responses of a stream: each has a part, the last one the reason to finish.
//!
//! Invariant: usage is cumulative, so the last count holds.

use serde_json::{Value, json};

use crate::provider::answer::{Answer, Event, id};
use crate::provider::fault::Fault;
use crate::provider::knobs::{Eol, Knobs, ScriptedCall, Terminal, Tokens};
use crate::provider::script::{Script, arguments_object, logprob};
use crate::provider::seal::seal;

/// Whose seal is on signatures.
pub(super) const SEAL: &str = "gemini";
/// The status of a model that is overloaded.
const UNAVAILABLE: u16 = 503;

/// The answer to a request with this body.
pub(in crate::provider) fn answer(body: &Value, model: &str, script: &Script, knobs: &Knobs) -> Answer {
    let form = Form { id: id(""), model, config: &body["generationConfig"] };
    let mut answer = match &knobs.block_reason {
        Some(reason) => {
            let blocked = form.blocked(reason, &script.usage);
            Answer::new(blocked.clone(), vec![Event::unnamed(blocked, false)])
        }
        None => Answer::new(form.whole(script), form.chunks(script)),
    };
    if script.terminal == Terminal::Failed {
        (answer.status, answer.whole) = (UNAVAILABLE, unavailable());
    }
    answer.eol = Eol::Crlf;
    answer
}

fn unavailable() -> Value {
    super::problem(&Fault::of(UNAVAILABLE, "The model is overloaded. Please try again later."))
}

/// What all responses of one answer share.
#[derive(Debug)]
struct Form<'a> {
    id: String,
    model: &'a str,
    config: &'a Value,
}

impl Form<'_> {
    fn response(&self, candidate: Value, usage: Value) -> Value {
        json!({
            "candidates": [candidate], "usageMetadata": usage, "modelVersion": self.model, "responseId": self.id,
        })
    }

    fn blocked(&self, reason: &str, tokens: &Tokens) -> Value {
        json!({
            "promptFeedback": {"blockReason": reason}, "usageMetadata": prompt_usage(tokens),
            "modelVersion": self.model, "responseId": self.id,
        })
    }

    fn whole(&self, script: &Script) -> Value {
        let mut parts = Vec::new();
        let thoughts = self.thoughts(script);
        if !thoughts.is_empty() {
            parts.push(json!({"text": thoughts.concat(), "thought": true}));
        }
        if let Some(text) = script.text() {
            let mut part = json!({"text": text});
            sign(&mut part, script);
            parts.push(part);
        }
        parts.extend(script.calls.iter().enumerate().map(call));
        let mut candidate = json!({"index": 0});
        if !parts.is_empty() {
            candidate["content"] = json!({"role": "model", "parts": parts});
        }
        let pieces: Vec<(usize, &String)> = script.text.iter().flatten().enumerate().collect();
        self.add_logprobs(&mut candidate, &pieces);
        finish(&mut candidate, script);
        self.response(candidate, usage(&script.usage))
    }

    fn chunks(&self, script: &Script) -> Vec<Event> {
        let chunk = |part: Value, pieces: &[(usize, &String)]| {
            let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}});
            self.add_logprobs(&mut candidate, pieces);
            Event::unnamed(self.response(candidate, prompt_usage(&script.usage)), true)
        };
        let thoughts =
            self.thoughts(script).iter().map(|text| chunk(json!({"text": text, "thought": true}), &[]));
        let mut chunks: Vec<Event> = thoughts.collect();
        let text = script.text.iter().flatten().enumerate();
        chunks.extend(text.map(|(index, piece)| chunk(json!({"text": piece}), &[(index, piece)])));
        chunks.extend(script.calls.iter().enumerate().map(|numbered| chunk(call(numbered), &[])));
        if script.terminal == Terminal::Failed {
            chunks.push(Event::unnamed(unavailable(), false));
            return chunks;
        }
        let mut candidate = json!({"index": 0});
        if script.text.is_some() || !script.calls.is_empty() {
            let mut part = json!({"text": ""});
            if script.text.is_some() {
                sign(&mut part, script);
            }
            candidate["content"] = json!({"role": "model", "parts": [part]});
        }
        finish(&mut candidate, script);
        chunks.push(Event::unnamed(self.response(candidate, usage(&script.usage)), false));
        chunks
    }

    /// Thoughts are shown only to who asks for them.
    fn thoughts<'s>(&self, script: &'s Script) -> &'s [String] {
        let shown = self.config["thinkingConfig"]["includeThoughts"] == true;
        if shown { &script.reasoning } else { &[] }
    }

    fn add_logprobs(&self, candidate: &mut Value, pieces: &[(usize, &String)]) {
        if self.config["responseLogprobs"] != true || pieces.is_empty() {
            return;
        }
        let chosen: Vec<Value> = pieces
            .iter()
            .map(|(index, piece)| json!({"token": piece, "logProbability": logprob(*index)}))
            .collect();
        let top = self.config["logprobs"].as_u64().unwrap_or_default();
        let ranked = chosen.iter().map(|first| {
            let others = (1..top).map(|rank| {
                let rank = f64::from(u32::try_from(rank).unwrap_or(1));
                let below = first["logProbability"].as_f64().unwrap_or_default() - rank;
                json!({"token": format!("other{rank}"), "logProbability": below})
            });
            let all: Vec<Value> = (top > 0).then(|| first.clone()).into_iter().chain(others).collect();
            json!({"candidates": all})
        });
        candidate["logprobsResult"] =
            json!({"topCandidates": ranked.collect::<Vec<_>>(), "chosenCandidates": chosen});
    }
}

/// A text that was thought about is signed.
fn sign(part: &mut Value, script: &Script) {
    if !script.reasoning.is_empty() {
        part["thoughtSignature"] = seal(SEAL, &script.reasoning.concat()).into();
    }
}

/// Of calls in parallel only the first is signed.
fn call((index, call): (usize, &ScriptedCall)) -> Value {
    let short = || id("").chars().take(8).collect();
    let id = call.id.clone().unwrap_or_else(short);
    let mut part = json!({"functionCall": {"id": id, "name": call.name, "args": arguments_object(call)}});
    if index == 0 {
        part["thoughtSignature"] = seal(SEAL, &call.name).into();
    }
    part
}

fn finish(candidate: &mut Value, script: &Script) {
    let refused = !script.refusal.is_empty();
    let reason = match script.terminal {
        _ if refused => "SAFETY",
        Terminal::Filtered => "SAFETY",
        Terminal::Incomplete => "MAX_TOKENS",
        Terminal::Completed | Terminal::Failed => "STOP",
    };
    candidate["finishReason"] = script.stop_reason.as_deref().unwrap_or(reason).into();
    if refused {
        candidate["finishMessage"] = script.refusal.concat().into();
    }
}

/// What is known before the end.
fn prompt_usage(tokens: &Tokens) -> Value {
    let mut usage = json!({
        "promptTokenCount": tokens.input_tokens, "totalTokenCount": tokens.input_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens.input_tokens}],
    });
    if tokens.cached_tokens > 0 {
        usage["cachedContentTokenCount"] = tokens.cached_tokens.into();
    }
    usage
}

/// Gemini counts thoughts beside the answer, not within it.
fn usage(tokens: &Tokens) -> Value {
    let mut usage = prompt_usage(tokens);
    usage["candidatesTokenCount"] = tokens.output_tokens.saturating_sub(tokens.reasoning_tokens).into();
    usage["totalTokenCount"] = tokens.total().into();
    if tokens.reasoning_tokens > 0 {
        usage["thoughtsTokenCount"] = tokens.reasoning_tokens.into();
    }
    usage
}
