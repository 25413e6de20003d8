//! What the provider says, and the words by which it is asked: in the Responses protocol and in chat completions.
//!
//! Invariant: a stream has so many deltas, whatever the protocol; a stamped delta carries the moment at which it was
//! made, in the process's own time, so that whoever reads it in this process knows how long it was on its way.

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};
use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

/// Deltas of a short stream: a sentence.
const SHORT_EVENTS: usize = 20;
/// Deltas of a stream that is written as fast as it is read.
const BULK_EVENTS: usize = 10_000;
/// Deltas of a stream in even time.
pub const PACED_EVENTS: usize = 100;
/// Time between two of them.
pub const PACE: Duration = Duration::from_millis(10);
/// Stands before the word in a request's text.
const MARK: &[u8] = b"bench:";
/// Stands at both ends of a stamp.
pub const STAMP: u8 = b'@';
/// Digits of a stamp: microseconds of eleven days.
pub const STAMP_DIGITS: usize = 12;
/// A piece of an answer.
const WORD: &str = "pond ";
const MODEL: &str = "fake-1";
const ITEM: &str = "msg_67ccd3acc8d48190a77525dc6de64b4104becb25c45c1d42";

/// When the process began to count.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `POST /responses`.
    Responses,
    /// `POST /chat/completions`.
    Chat,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// One JSON document.
    Plain,
    /// A short stream.
    Short,
    /// A long stream at once.
    Bulk,
    /// A stream in even time.
    Paced,
}

impl Asked {
    const ALL: [Self; 4] = [Self::Plain, Self::Short, Self::Bulk, Self::Paced];

    const fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Short => "short",
            Self::Bulk => "bulk",
            Self::Paced => "paced",
        }
    }

    /// The body of a request of about so many bytes.
    pub fn body(self, model: &str, bytes: usize) -> Bytes {
        let words = format!("{}{} ", String::from_utf8_lossy(MARK), self.word());
        let frame = json!({"model": model, "input": words, "stream": self != Self::Plain}).to_string();
        let padding = "An old silent pond. ".repeat(bytes.saturating_sub(frame.len()) / 20);
        let body = json!({"model": model, "input": words + &padding, "stream": self != Self::Plain});
        Bytes::from(body.to_string())
    }
}

/// What this request asks for.
pub fn asked(body: &[u8]) -> Option<Asked> {
    let word = body.get(memmem::find(body, MARK)? + MARK.len()..)?;
    Asked::ALL.into_iter().find(|asked| word.starts_with(asked.word().as_bytes()))
}

/// Everything that can be written down beforehand.
#[derive(Debug)]
pub struct Script {
    plain: [Bytes; 2],
    short: [Vec<Bytes>; 2],
    bulk: [Vec<Bytes>; 2],
    around: [(Vec<Bytes>, Vec<Bytes>); 2],
}

impl Script {
    pub fn new() -> Self {
        let both = [Protocol::Responses, Protocol::Chat];
        LazyLock::force(&BEGUN);
        Self {
            plain: both.map(|protocol| Bytes::from(plain(protocol).to_string())),
            short: both.map(|protocol| whole_stream(protocol, SHORT_EVENTS)),
            bulk: both.map(|protocol| whole_stream(protocol, BULK_EVENTS)),
            around: both.map(|protocol| (first(protocol), last(protocol, PACED_EVENTS))),
        }
    }

    pub fn plain(&self, protocol: Protocol) -> Bytes {
        let [responses, chat] = &self.plain;
        pick(protocol, responses, chat).clone()
    }

    pub fn short(&self, protocol: Protocol) -> Vec<Bytes> {
        let [responses, chat] = &self.short;
        pick(protocol, responses, chat).clone()
    }

    pub fn bulk(&self, protocol: Protocol) -> Vec<Bytes> {
        let [responses, chat] = &self.bulk;
        pick(protocol, responses, chat).clone()
    }

    /// What comes before the deltas, and what after them.
    pub fn around(&self, protocol: Protocol) -> (Vec<Bytes>, Vec<Bytes>) {
        let [responses, chat] = &self.around;
        pick(protocol, responses, chat).clone()
    }
}

const fn pick<T>(protocol: Protocol, responses: T, chat: T) -> T
where
    T: Copy,
{
    match protocol {
        Protocol::Responses => responses,
        Protocol::Chat => chat,
    }
}

/// A delta with the present moment in its text.
pub fn stamped_delta(protocol: Protocol, number: usize) -> Bytes {
    let stamp = char::from(STAMP);
    delta(protocol, number, &format!("{stamp}{:0STAMP_DIGITS$}{stamp}", BEGUN.elapsed().as_micros()))
}

/// How long ago a stamp of so many microseconds was made.
pub fn since(stamp_us: u64) -> Duration {
    BEGUN.elapsed().saturating_sub(Duration::from_micros(stamp_us))
}

fn whole_stream(protocol: Protocol, deltas: usize) -> Vec<Bytes> {
    let mut events = first(protocol);
    events.extend((1..=deltas).map(|number| delta(protocol, number, WORD)));
    events.extend(last(protocol, deltas));
    events
}

fn delta(protocol: Protocol, number: usize, text: &str) -> Bytes {
    match protocol {
        Protocol::Responses => {
            let place = json!({"item_id": ITEM, "output_index": 0, "content_index": 0});
            let delta = json!({"delta": text, "logprobs": [], "obfuscation": "Xq3fZ81kdP"});
            event("response.output_text.delta", number + 3, &[place, delta])
        }
        Protocol::Chat => chunk(json!([{
            "index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": null,
        }])),
    }
}

fn first(protocol: Protocol) -> Vec<Bytes> {
    if protocol == Protocol::Chat {
        let delta = json!({"role": "assistant", "content": "", "refusal": null});
        return vec![chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]))];
    }
    let begun = json!({"response": response("in_progress", &[], &Value::Null)});
    let part = json!({"part": text_part(""), "item_id": ITEM, "output_index": 0, "content_index": 0});
    let item = json!({"item": message("in_progress", &[]), "output_index": 0});
    vec![
        event("response.created", 0, std::slice::from_ref(&begun)),
        event("response.in_progress", 1, &[begun]),
        event("response.output_item.added", 2, &[item]),
        event("response.content_part.added", 3, &[part]),
    ]
}

fn last(protocol: Protocol, deltas: usize) -> Vec<Bytes> {
    if protocol == Protocol::Chat {
        let end = json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"}]);
        let mut usage = chat_chunk(json!([]));
        usage["usage"] = chat_usage();
        return vec![chunk(end), data(&usage), Bytes::from_static(b"data: [DONE]\n\n")];
    }
    let text = WORD.repeat(deltas);
    let place = json!({"item_id": ITEM, "output_index": 0, "content_index": 0});
    let item = message("completed", &[text_part(&text)]);
    let response = response("completed", std::slice::from_ref(&item), &usage());
    vec![
        event(
            "response.output_text.done",
            deltas + 4,
            &[place.clone(), json!({"text": text, "logprobs": []})],
        ),
        event("response.content_part.done", deltas + 5, &[place, json!({"part": text_part(&text)})]),
        event("response.output_item.done", deltas + 6, &[json!({"item": item, "output_index": 0})]),
        event("response.completed", deltas + 7, &[json!({"response": response})]),
    ]
}

fn plain(protocol: Protocol) -> Value {
    let text = WORD.repeat(SHORT_EVENTS);
    match protocol {
        Protocol::Responses => response("completed", &[message("completed", &[text_part(&text)])], &usage()),
        Protocol::Chat => {
            let message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
            json!({
                "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion",
                "created": 1_790_000_000, "model": MODEL, "usage": chat_usage(), "service_tier": "default",
                "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
            })
        }
    }
}

fn event(kind: &str, number: usize, fields: &[Value]) -> Bytes {
    let mut all = json!({"type": kind, "sequence_number": number});
    for (name, value) in fields.iter().filter_map(Value::as_object).flatten() {
        all[name] = value.clone();
    }
    Bytes::from(format!("event: {kind}\ndata: {all}\n\n"))
}

fn chat_chunk(choices: Value) -> Value {
    json!({
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion.chunk",
        "created": 1_790_000_000, "model": MODEL, "service_tier": "default", "choices": choices, "usage": null,
    })
}

fn chunk(choices: Value) -> Bytes {
    data(&chat_chunk(choices))
}

fn data(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn message(status: &str, content: &[Value]) -> Value {
    json!({"id": ITEM, "type": "message", "status": status, "role": "assistant", "content": content})
}

fn usage() -> Value {
    json!({
        "input_tokens": 36, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 56,
    })
}

fn chat_usage() -> Value {
    json!({
        "prompt_tokens": 36, "completion_tokens": 20, "total_tokens": 56,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

fn response(status: &str, output: &[Value], usage: &Value) -> Value {
    json!({
        "id": "resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41", "object": "response",
        "created_at": 1_790_000_000, "completed_at": null, "status": status, "background": false,
        "conversation": null, "error": null, "incomplete_details": null, "instructions": null,
        "max_output_tokens": null, "max_tool_calls": null, "model": MODEL, "output": output,
        "parallel_tool_calls": true, "previous_response_id": null, "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null}, "safety_identifier": null,
        "service_tier": "default", "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto",
        "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "usage": usage,
        "user": null, "metadata": {},
    })
}
