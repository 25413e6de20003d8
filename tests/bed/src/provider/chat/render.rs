//! A script as a chat completion, and as the chunks that lead there.
//!
//! Invariant: every chunk has the same id, and only the last with a choice has a reason to finish.

use serde_json::{Map, Value, json};

use crate::provider::answer::{Answer, Event, id, now_s};
use crate::provider::fault::Fault;
use crate::provider::knobs::{Knobs, ScriptedCall, Terminal, Tokens};
use crate::provider::protocol::openai_problem;
use crate::provider::script::{Script, arguments_pieces, openai_logprob};

/// The answer to a request with this body.
pub(in crate::provider) fn answer(body: &Value, script: &Script, knobs: &Knobs) -> Answer {
    let mut script = script.clone();
    for call in &mut script.calls {
        call.id.get_or_insert_with(|| id("call_"));
    }
    let form = Form {
        id: id("chatcmpl-"),
        created: now_s(),
        body,
        reasoning: knobs.reasoning_field.as_deref().unwrap_or("reasoning_content"),
        interleave: Knobs::on(knobs.interleave),
    };
    let mut answer = Answer::new(form.whole(&script), form.chunks(&script));
    answer.done_marker = script.terminal != Terminal::Failed;
    if script.terminal == Terminal::Failed {
        (answer.status, answer.whole) = (500, failure());
    }
    answer
}

fn failure() -> Value {
    openai_problem(&Fault::of(500, "The provider failed on purpose."))
}

/// What all objects of one answer share.
#[derive(Debug)]
struct Form<'a> {
    id: String,
    created: u64,
    body: &'a Value,
    reasoning: &'a str,
    interleave: bool,
}

impl Form<'_> {
    fn object(&self, kind: &str, choices: Value) -> Value {
        json!({
            "id": self.id, "object": kind, "created": self.created, "model": self.body["model"],
            "choices": choices, "service_tier": "default", "system_fingerprint": "fp_fake",
        })
    }

    fn logprobs(&self, part: &str, pieces: &[(usize, &String)]) -> Value {
        if self.body["logprobs"] != true {
            return Value::Null;
        }
        let top = self.body["top_logprobs"].as_u64().unwrap_or_default();
        let tokens: Vec<Value> =
            pieces.iter().map(|(index, piece)| openai_logprob(*index, piece, top)).collect();
        let mut both = json!({"content": null, "refusal": null});
        both[part] = tokens.into();
        both
    }

    fn whole(&self, script: &Script) -> Value {
        let refusal = (!script.refusal.is_empty()).then(|| script.refusal.concat());
        let mut message = json!({
            "role": "assistant", "content": script.text(), "refusal": refusal, "annotations": [],
        });
        if !script.reasoning.is_empty() {
            message[self.reasoning] = script.reasoning.concat().into();
        }
        if !script.calls.is_empty() {
            message["tool_calls"] =
                script.calls.iter().map(|call| tool_call(call, &call.arguments)).collect();
        }
        let pieces: Vec<(usize, &String)> = script.text.iter().flatten().enumerate().collect();
        let choice = json!({
            "index": 0, "message": message, "logprobs": self.logprobs("content", &pieces),
            "finish_reason": finish_reason(script),
        });
        let mut whole = self.object("chat.completion", json!([choice]));
        whole["usage"] = usage(&script.usage);
        whole
    }

    fn chunks(&self, script: &Script) -> Vec<Event> {
        let content = if script.text.is_some() { json!("") } else { Value::Null };
        let mut chunks = vec![self.chunk(json!({"role": "assistant", "content": content, "refusal": null}))];
        chunks.extend(script.reasoning.iter().map(|piece| {
            let delta = Map::from_iter([(self.reasoning.to_owned(), json!(piece))]);
            self.delta(delta.into(), Value::Null)
        }));
        chunks.extend(script.text.iter().flatten().enumerate().map(|(index, piece)| {
            self.delta(json!({"content": piece}), self.logprobs("content", &[(index, piece)]))
        }));
        chunks.extend(script.refusal.iter().enumerate().map(|(index, piece)| {
            self.delta(json!({"refusal": piece}), self.logprobs("refusal", &[(index, piece)]))
        }));
        chunks.extend(self.calls(&script.calls));
        if script.terminal == Terminal::Failed {
            chunks.push(Event::unnamed(failure(), false));
            return chunks;
        }
        let mut last = self.chunk(json!({}));
        last.data["choices"][0]["finish_reason"] = finish_reason(script).into();
        chunks.push(last);
        if self.includes_usage() {
            let mut counted = self.object("chat.completion.chunk", json!([]));
            counted["usage"] = usage(&script.usage);
            chunks.push(Event::unnamed(counted, false));
        }
        chunks
    }

    /// Calls begin one after another; their arguments come one call after another, or by turns.
    fn calls(&self, calls: &[ScriptedCall]) -> Vec<Event> {
        let begin = |index: usize, call: &ScriptedCall| {
            let mut begun = tool_call(call, "");
            begun["index"] = index.into();
            self.chunk(json!({"tool_calls": [begun]}))
        };
        let more = |index: usize, piece: &String| {
            let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]});
            self.delta(delta, Value::Null)
        };
        let pieces: Vec<Vec<String>> = calls.iter().map(arguments_pieces).collect();
        let mut events = Vec::new();
        if self.interleave {
            events.extend(calls.iter().enumerate().map(|(index, call)| begin(index, call)));
            let longest = pieces.iter().map(Vec::len).max().unwrap_or_default();
            for turn in 0..longest {
                let now = pieces.iter().enumerate().filter_map(|(index, all)| Some((index, all.get(turn)?)));
                events.extend(now.map(|(index, piece)| more(index, piece)));
            }
        } else {
            for (index, (call, pieces)) in calls.iter().zip(&pieces).enumerate() {
                events.push(begin(index, call));
                events.extend(pieces.iter().map(|piece| more(index, piece)));
            }
        }
        events
    }

    fn includes_usage(&self) -> bool {
        self.body["stream_options"]["include_usage"] == true
    }

    fn chunk(&self, delta: Value) -> Event {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": null});
        let mut chunk = self.object("chat.completion.chunk", json!([choice]));
        if self.includes_usage() {
            chunk["usage"] = Value::Null;
        }
        Event::unnamed(chunk, false)
    }

    fn delta(&self, delta: Value, logprobs: Value) -> Event {
        let mut event = self.chunk(delta);
        event.data["choices"][0]["logprobs"] = logprobs;
        event.is_delta = true;
        event
    }
}

fn tool_call(call: &ScriptedCall, arguments: &str) -> Value {
    json!({
        "id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments},
    })
}

fn finish_reason(script: &Script) -> String {
    let reason = match script.terminal {
        Terminal::Incomplete => "length",
        Terminal::Filtered => "content_filter",
        Terminal::Completed | Terminal::Failed if script.calls.is_empty() => "stop",
        Terminal::Completed | Terminal::Failed => "tool_calls",
    };
    script.stop_reason.clone().unwrap_or_else(|| reason.to_owned())
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "prompt_tokens": tokens.input_tokens, "completion_tokens": tokens.output_tokens,
        "total_tokens": tokens.total(),
        "prompt_tokens_details": {"cached_tokens": tokens.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning_tokens, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}
