//! Turns what a provider says into the events of a response stream, and into the response itself.
//!
//! At most one message or reasoning item is open; whatever belongs to another item ends it. Calls may be open beside it and
//! beside each other, since providers interleave their arguments.
//!
//! Invariant: whatever is said, the stream begins with `created` and `in_progress`, ends with exactly one terminal event, and
//! its last response is what its events made. The clock is given.

mod call;
mod message;
mod place;
mod reasoning;

use crate::{
    event::{Event, Events},
    fact::{Fact, Finish, Usage},
    response::{self, Echo, Failure, Identity, Status},
};
use call::Call;
use message::Message;
use place::{Place, derive};
use reasoning::{Kind, Reasoning};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most bytes of an answer, as a provider says it: a hundred thousand tokens are half a megabyte, and the Worker's 128 MB hold
/// the text several times over (deltas, items, the last response).
pub const ANSWER_MAX_BYTES: usize = 8 * 1024 * 1024;
/// What a fact costs besides its text.
const FACT_BYTES: usize = 32;

/// The state of one response.
#[derive(Debug)]
pub struct Lifecycle {
    identity: Identity,
    echo: Echo,
    provider: &'static str,
    out: Events,
    begun: bool,
    open: Option<Open>,
    calls: BTreeMap<u64, Call>,
    /// The item that ended last, not closed yet: if the answer ends with it, how decides whether the item is whole.
    ended: Option<Ended>,
    /// The items that have ended, by their place; none: still open.
    items: Vec<Option<Value>>,
    size: usize,
    usage: Option<Usage>,
    finish: Option<Finish>,
    status: Status,
}

/// The item that text goes into.
#[derive(Debug)]
enum Open {
    Message(Message),
    Reasoning(Reasoning),
}

/// Which item has ended.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Open,
    Call(u64),
}

impl Lifecycle {
    /// A response that has not begun. `provider` names whose thoughts its reasoning items hold; see [`crate::replay`].
    #[must_use]
    pub const fn new(identity: Identity, echo: Echo, provider: &'static str) -> Self {
        Self {
            identity,
            echo,
            provider,
            out: Events::new(),
            begun: false,
            open: None,
            calls: BTreeMap::new(),
            ended: None,
            items: Vec::new(),
            size: 0,
            usage: None,
            finish: None,
            status: Status::InProgress,
        }
    }

    /// Whether the provider has begun to say something of the answer: before that, another may be asked instead, and a new
    /// lifecycle be begun.
    #[must_use]
    pub const fn content_began(&self) -> bool {
        !self.items.is_empty()
    }

    /// How far the response is.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// Tokens used, as far as the provider has told.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The response object, with the items that have ended.
    #[must_use]
    pub fn response(&self) -> Value {
        let output = self.items.iter().flatten().cloned().collect();
        response::object(&self.identity, &self.echo, &self.status, output, self.usage)
    }

    /// The events before anything is said. Asked for again, or late, there are none; [`Lifecycle::fact`] begins by itself.
    pub fn begin(&mut self) -> Vec<Event> {
        self.ensure_begun();
        self.out.take()
    }

    /// The events that follow from this. What comes after the answer's end is passed over, but for usage.
    pub fn fact(&mut self, fact: Fact) -> Vec<Event> {
        if self.status == Status::InProgress {
            self.ensure_begun();
            self.size = self.size.saturating_add(FACT_BYTES + text_len(&fact));
            if self.size > ANSWER_MAX_BYTES {
                self.fail(Failure::new(
                    "server_error",
                    "upstream_error",
                    "The provider's answer is too large.",
                ));
            } else {
                self.take(fact);
            }
        }
        self.out.take()
    }

    /// The provider's stream has ended, at `now_s` (Unix seconds). If it had not said that the answer was whole, the response
    /// has failed.
    pub fn end(&mut self, now_s: u64) -> Vec<Event> {
        let Some(finish) = self.finish else {
            let message = "The provider's answer ended before it was complete.";
            return self.abort(Failure::new("server_error", "upstream_incomplete", message));
        };
        if self.status == Status::InProgress {
            let (kind, status) = match finish {
                Finish::Done => ("response.completed", Status::Completed { at_s: now_s }),
                Finish::Length => ("response.incomplete", Status::Incomplete { reason: "max_output_tokens" }),
                Finish::Filter => ("response.incomplete", Status::Incomplete { reason: "content_filter" }),
            };
            self.terminate(kind, status);
        }
        self.out.take()
    }

    /// The response ends here, failed: the stream broke, took too long, or its text is not what was asked for.
    pub fn abort(&mut self, failure: Failure) -> Vec<Event> {
        if self.status == Status::InProgress {
            self.ensure_begun();
            self.fail(failure);
        }
        self.out.take()
    }

    fn ensure_begun(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.out.push("response.created", json!({"response": self.response()}));
            self.out.push("response.in_progress", json!({"response": self.response()}));
        }
    }

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Usage(usage) => self.usage = Some(usage),
            Fact::Failed(error) => self.fail(Failure::from(&error)),
            _ if self.finish.is_some() => {}
            Fact::Finished(finish) => {
                let status = if finish == Finish::Done { "completed" } else { "incomplete" };
                self.close_all(status);
                self.finish = Some(finish);
            }
            content => {
                self.close_ended();
                self.content(content);
            }
        }
    }

    fn content(&mut self, fact: Fact) {
        match fact {
            Fact::Text { text, logprobs } => self.text(&text, logprobs),
            Fact::Annotation(annotation) => {
                self.in_message(|message, out| message.annotation(annotation, out))
            }
            Fact::Refusal(text) if !text.is_empty() => {
                self.in_message(|message, out| message.refusal(&text, out));
            }
            Fact::ReasoningSummary(text) if !text.is_empty() => {
                self.in_reasoning(|reasoning, out| reasoning.text(Kind::Summary, &text, out));
            }
            Fact::ReasoningText(text) if !text.is_empty() => {
                self.in_reasoning(|reasoning, out| reasoning.text(Kind::Text, &text, out));
            }
            Fact::ReasoningSummaryEnd => {
                if let Some(Open::Reasoning(reasoning)) = &mut self.open {
                    reasoning.end_summary(&mut self.out);
                }
            }
            Fact::ReasoningSealed(part) => self.in_reasoning(|reasoning, _| reasoning.seal(part)),
            Fact::ItemEnd => self.ended = Some(Ended::Open),
            Fact::Call { slot, call_id, name } => self.call(slot, call_id, name),
            Fact::Arguments { slot, delta } => {
                if let Some(call) = self.calls.get_mut(&slot).filter(|_| !delta.is_empty()) {
                    call.arguments(&delta, &mut self.out);
                }
            }
            Fact::CallEnd { slot } => self.ended = Some(Ended::Call(slot)),
            Fact::Refusal(_) | Fact::ReasoningSummary(_) | Fact::ReasoningText(_) => {}
            Fact::Usage(_) | Fact::Failed(_) | Fact::Finished(_) => {}
        }
    }

    /// Text that says nothing opens nothing: providers begin with an empty one, whatever follows.
    fn text(&mut self, text: &str, logprobs: Vec<Value>) {
        if !text.is_empty() || !logprobs.is_empty() {
            self.in_message(|message, out| message.text(text, logprobs, out));
        }
    }

    fn in_message(&mut self, act: impl FnOnce(&mut Message, &mut Events)) {
        if !matches!(self.open, Some(Open::Message(_))) {
            self.close_open("completed");
            let place = self.place("msg");
            self.open = Some(Open::Message(Message::open(place, &mut self.out)));
        }
        if let Some(Open::Message(message)) = &mut self.open {
            act(message, &mut self.out);
        }
    }

    fn in_reasoning(&mut self, act: impl FnOnce(&mut Reasoning, &mut Events)) {
        if !matches!(self.open, Some(Open::Reasoning(_))) {
            self.close_open("completed");
            let place = self.place("rs");
            self.open = Some(Open::Reasoning(Reasoning::open(place, self.provider, &mut self.out)));
        }
        if let Some(Open::Reasoning(reasoning)) = &mut self.open {
            act(reasoning, &mut self.out);
        }
    }

    fn call(&mut self, slot: u64, call_id: Option<String>, name: String) {
        self.close_open("completed");
        self.close_call(slot, "completed");
        let place = self.place("fc");
        let made = || derive(&self.identity.id, "call", place.index);
        let call_id = call_id.filter(|id| !id.is_empty()).unwrap_or_else(made);
        self.calls.insert(slot, Call::open(place, call_id, name, &mut self.out));
    }

    /// The place of a new item.
    fn place(&mut self, prefix: &str) -> Place {
        let place = Place::new(&self.identity.id, prefix, self.items.len());
        self.items.push(None);
        place
    }

    fn close_ended(&mut self) {
        match self.ended.take() {
            Some(Ended::Open) => self.close_open("completed"),
            Some(Ended::Call(slot)) => self.close_call(slot, "completed"),
            None => {}
        }
    }

    fn close_open(&mut self, status: &'static str) {
        let closed = match self.open.take() {
            Some(Open::Message(message)) => message.close(status, &mut self.out),
            Some(Open::Reasoning(reasoning)) => reasoning.close(&mut self.out),
            None => return,
        };
        self.keep(closed);
    }

    fn close_call(&mut self, slot: u64, status: &'static str) {
        if let Some(call) = self.calls.remove(&slot) {
            let closed = call.close(status, &mut self.out);
            self.keep(closed);
        }
    }

    /// Ends what is open, in the order of its places as far as calls go.
    fn close_all(&mut self, status: &'static str) {
        self.ended = None;
        self.close_open(status);
        let mut calls: Vec<Call> = std::mem::take(&mut self.calls).into_values().collect();
        calls.sort_by_key(Call::index);
        for call in calls {
            let closed = call.close(status, &mut self.out);
            self.keep(closed);
        }
    }

    fn keep(&mut self, (index, item): (usize, Value)) {
        if let Some(place) = self.items.get_mut(index) {
            *place = Some(item);
        }
    }

    /// SDKs differ in where they look for an error, so it is in both places.
    fn fail(&mut self, failure: Failure) {
        self.close_ended();
        self.close_all("incomplete");
        let Failure { kind, code, message } = &failure;
        let error = json!({"type": kind, "code": code, "message": message, "param": null});
        let data = json!({"code": code, "message": message, "param": null, "error": error});
        self.out.push("error", data);
        self.terminate("response.failed", Status::Failed(failure));
    }

    fn terminate(&mut self, kind: &'static str, status: Status) {
        self.status = status;
        self.out.push(kind, json!({"response": self.response()}));
    }
}

fn text_len(fact: &Fact) -> usize {
    match fact {
        Fact::Text { text, logprobs } => text.len() + logprobs.iter().map(value_len).sum::<usize>(),
        Fact::Annotation(value) | Fact::ReasoningSealed(value) => value_len(value),
        Fact::Refusal(text) | Fact::ReasoningSummary(text) | Fact::ReasoningText(text) => text.len(),
        Fact::Arguments { delta, .. } => delta.len(),
        Fact::Call { call_id, name, .. } => name.len() + call_id.as_ref().map_or(0, String::len),
        _ => 0,
    }
}

/// About the bytes that a value takes.
fn value_len(value: &Value) -> usize {
    FACT_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(value_len).sum(),
            Value::Object(members) => members.iter().map(|(name, value)| name.len() + value_len(value)).sum(),
            _ => 0,
        }
}

#[cfg(test)]
pub(crate) mod tests;
