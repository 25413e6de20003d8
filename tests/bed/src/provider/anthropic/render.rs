//! A script as a message, and as the events that lead there.
//!
//! Invariant: blocks come one after another, each between its start and its stop, and are numbered from 0.

use serde_json::{Value, json};

use crate::provider::answer::{Answer, Event, id};
use crate::provider::fault::Fault;
use crate::provider::knobs::{ScriptedCall, Terminal, Tokens};
use crate::provider::script::{Script, arguments_object, arguments_pieces};
use crate::provider::seal::seal;

/// Whose seal is on signatures.
pub(super) const SEAL: &str = "anthropic";
/// The status of a provider that is overloaded.
const OVERLOADED: u16 = 529;

/// The answer to a request with this body.
pub(in crate::provider) fn answer(body: &Value, script: &Script) -> Answer {
    let blocks = blocks(body, script);
    let content: Vec<Value> = blocks.iter().map(|block| block.whole.clone()).collect();
    let mut message = json!({
        "id": id("msg_"), "type": "message", "role": "assistant", "model": body["model"], "content": [],
        "stop_reason": null, "stop_sequence": null, "stop_details": null,
        "usage": usage(&script.usage, 1),
    });
    message["usage"]["output_tokens_details"] = Value::Null;
    let events = events(&message, body, script, &blocks);
    let mut whole = message;
    whole["content"] = content.into();
    for (name, value) in stop(body, script).as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    whole["usage"] = usage(&script.usage, script.usage.output_tokens);
    let mut answer = Answer::new(whole, events);
    if script.terminal == Terminal::Failed {
        (answer.status, answer.whole) = (OVERLOADED, overloaded());
    }
    answer
}

/// A block, how it starts, and the deltas that fill it.
#[derive(Debug)]
struct Block {
    whole: Value,
    start: Value,
    deltas: Vec<Value>,
}

fn blocks(body: &Value, script: &Script) -> Vec<Block> {
    let mut blocks = Vec::new();
    let thinks = !matches!(body["thinking"]["type"].as_str(), None | Some("disabled"));
    if thinks && !script.reasoning.is_empty() {
        blocks.push(thinking(&script.reasoning, body["thinking"]["display"] == "omitted"));
    }
    if let Some(pieces) = script.text.as_ref().filter(|pieces| !pieces.is_empty()) {
        let deltas = pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece}));
        blocks.push(Block {
            whole: json!({"type": "text", "text": pieces.concat()}),
            start: json!({"type": "text", "text": ""}),
            deltas: deltas.collect(),
        });
    }
    blocks.extend(script.calls.iter().map(tool_use));
    blocks
}

fn thinking(pieces: &[String], omitted: bool) -> Block {
    let text = pieces.concat();
    let signature = seal(SEAL, &text);
    let shown = if omitted { &[] } else { pieces };
    let mut deltas: Vec<Value> =
        shown.iter().map(|piece| json!({"type": "thinking_delta", "thinking": piece})).collect();
    deltas.push(json!({"type": "signature_delta", "signature": signature}));
    Block {
        whole: json!({"type": "thinking", "thinking": shown.concat(), "signature": signature}),
        start: json!({"type": "thinking", "thinking": "", "signature": ""}),
        deltas,
    }
}

fn tool_use(call: &ScriptedCall) -> Block {
    let id = call.id.clone().unwrap_or_else(|| id("toolu_"));
    let with = |input: Value| json!({"type": "tool_use", "id": id, "name": call.name, "input": input});
    let input = arguments_object(call);
    // The first delta is empty, and of a call without arguments it is the only one.
    let bare = input.as_object().is_some_and(serde_json::Map::is_empty);
    let pieces = if bare { Vec::new() } else { arguments_pieces(call) };
    let pieces = std::iter::once(String::new()).chain(pieces);
    let deltas = pieces.map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
    Block { whole: with(input), start: with(json!({})), deltas: deltas.collect() }
}

fn events(message: &Value, body: &Value, script: &Script, blocks: &[Block]) -> Vec<Event> {
    let mut events = vec![event("message_start", json!({"message": message}))];
    let failed = script.terminal == Terminal::Failed;
    for (index, block) in blocks.iter().enumerate() {
        let start = json!({"index": index, "content_block": block.start});
        events.push(event("content_block_start", start));
        if index == 0 {
            events.push(event("ping", json!({})));
        }
        let deltas = block.deltas.iter();
        events.extend(deltas.map(|delta| {
            let delta = event("content_block_delta", json!({"index": index, "delta": delta}));
            Event { is_delta: true, ..delta }
        }));
        if !(failed && index + 1 == blocks.len()) {
            events.push(event("content_block_stop", json!({"index": index})));
        }
    }
    if failed {
        events.push(event("error", overloaded()));
        return events;
    }
    let delta =
        json!({"delta": stop(body, script), "usage": usage(&script.usage, script.usage.output_tokens)});
    events.push(event("message_delta", delta));
    events.push(event("message_stop", json!({})));
    events
}

fn event(name: &'static str, mut data: Value) -> Event {
    data["type"] = name.into();
    Event { name: Some(name), data, is_delta: false }
}

fn overloaded() -> Value {
    super::problem(&Fault::of(OVERLOADED, "Overloaded"), "req_fake_overloaded")
}

/// Why the answer ended.
fn stop(body: &Value, script: &Script) -> Value {
    let refused = !script.refusal.is_empty() || script.terminal == Terminal::Filtered;
    let reason = match script.terminal {
        _ if refused => "refusal",
        Terminal::Incomplete => "max_tokens",
        _ if script.calls.is_empty() => "end_turn",
        _ => "tool_use",
    };
    let reason = script.stop_reason.as_deref().unwrap_or(reason);
    let sequence = if reason == "stop_sequence" { body["stop_sequences"][0].clone() } else { Value::Null };
    let explanation = Some(script.refusal.concat()).filter(|text| !text.is_empty());
    let details = json!({"type": "refusal", "category": null, "explanation": explanation});
    let details = if refused { details } else { Value::Null };
    json!({"stop_reason": reason, "stop_sequence": sequence, "stop_details": details})
}

/// What Anthropic calls input is what neither came from the cache nor went into it.
fn usage(tokens: &Tokens, output: u64) -> Value {
    let cached = tokens.cached_tokens.saturating_add(tokens.cache_write_tokens);
    json!({
        "input_tokens": tokens.input_tokens.saturating_sub(cached),
        "cache_creation_input_tokens": tokens.cache_write_tokens,
        "cache_read_input_tokens": tokens.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_tokens, "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output, "service_tier": "standard",
        "output_tokens_details": {"thinking_tokens": tokens.reasoning_tokens},
    })
}
