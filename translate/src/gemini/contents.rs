//! The conversation as `contents`: turns of `user` and `model`, with thought signatures back where they were.
//!
//! Outputs of functions are the user's. What follows each other with one role is one turn, so parallel calls, and their
//! outputs, are turns of several parts, as the API wants them.
//!
//! From its third generation on, a model refuses a step of the present turn whose first call is unsigned. A call has no
//! signature when another provider's model made it, or when the caller does not give reasoning items back (callers of chat
//! completions cannot). For these, the documentation names a signature that is not validated: [`UNVALIDATED`].
//!
//! Invariant: turns alternate, none is empty, and every output names a call that stands before it.

use super::mark::{Mark, On, Span, cut};
use super::media::{self, Place};
use super::{PROVIDER, is_second_generation, with};
use crate::call::Refusal;
use crate::item::{Content, FunctionCall, FunctionCallOutput, Item, Message, Reasoning, Role};
use crate::replay;
use crate::request::Request;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Signs a call that the model did not make, <https://ai.google.dev/gemini-api/docs/thought-signatures>, first question.
const UNVALIDATED: &str = "skip_thought_signature_validator";

/// A conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// `contents`.
    pub contents: Vec<Value>,
    /// Parts of `systemInstruction`.
    pub instructions: Vec<Value>,
}

/// The conversation of a request.
pub(super) fn of(request: &Request) -> Result<Conversation, Refusal> {
    let mut turns = Turns { is_newer: !is_second_generation(&request.model), ..Turns::default() };
    let marks: Vec<Vec<Mark>> = request.input.iter().map(marks_of).collect();
    if let Some(text) = request.instructions.as_deref().filter(|text| !text.is_empty()) {
        turns.instructions.push(json!({"text": text}));
    }
    for (index, item) in request.input.iter().enumerate() {
        let own = marks.get(index).map_or(&[][..], Vec::as_slice);
        let next = marks.get(index + 1).map_or(&[][..], Vec::as_slice);
        match item {
            Item::Message(message) => turns.message(index, message, next)?,
            Item::FunctionCall(call) => turns.call(index, call)?,
            Item::FunctionCallOutput(output) => turns.output(index, output)?,
            Item::Reasoning(reasoning) => turns.reasoning(reasoning, own),
        }
    }
    if turns.list.is_empty() {
        return Err(Refusal::invalid("input", "must have something besides instructions"));
    }
    if !is_second_generation(&request.model) {
        sign_present_turn(&mut turns.list);
    }
    let contents =
        turns.list.into_iter().map(|turn| json!({"role": turn.role, "parts": turn.parts})).collect();
    Ok(Conversation { contents, instructions: turns.instructions })
}

fn marks_of(item: &Item) -> Vec<Mark> {
    let Item::Reasoning(Reasoning { sealed: Some(sealed), .. }) = item else { return Vec::new() };
    let values = replay::open(PROVIDER, sealed).unwrap_or_default();
    values.iter().filter_map(Mark::from_value).collect()
}

fn spans(marks: &[Mark], span_of: fn(&On) -> Option<Span>) -> Vec<(Span, &str)> {
    marks.iter().filter_map(|mark| Some((span_of(&mark.on)?, mark.signature.as_str()))).collect()
}

#[derive(Debug)]
struct Turn {
    role: &'static str,
    parts: Vec<Value>,
}

#[derive(Debug, Default)]
struct Turns<'a> {
    list: Vec<Turn>,
    instructions: Vec<Value>,
    /// Whether the model is of the third generation or later.
    is_newer: bool,
    /// Functions' names by the ids of their calls.
    names: BTreeMap<&'a str, &'a str>,
    /// Signatures of the model's present turn by the ids of their calls.
    signatures: BTreeMap<String, String>,
    /// Signature of the model's next call.
    next_signature: Option<String>,
}

impl<'a> Turns<'a> {
    fn push(&mut self, role: &'static str, part: Value) {
        if role == "user" {
            self.signatures.clear();
            self.next_signature = None;
        }
        match self.list.last_mut() {
            Some(turn) if turn.role == role => turn.parts.push(part),
            _ => self.list.push(Turn { role, parts: vec![part] }),
        }
    }

    fn message(&mut self, item: usize, message: &Message, following: &[Mark]) -> Result<(), Refusal> {
        let spans = spans(following, |on| if let On::Text(span) = on { Some(*span) } else { None });
        if let (Role::Assistant, [Content::Text(text)], false) =
            (message.role, message.content.as_slice(), spans.is_empty())
        {
            let said = |(text, signature): &(&str, Option<&str>)| !text.is_empty() || signature.is_some();
            for (text, signature) in cut(text, &spans).into_iter().filter(said) {
                self.push("model", signed(json!({"text": text}), signature));
            }
            return Ok(());
        }
        for (part, content) in message.content.iter().enumerate() {
            let place = Place { item, member: "content", part };
            let is_text = matches!(content, Content::Text(_) | Content::Refusal(_));
            if message.role != Role::User && !is_text {
                return Err(Refusal::unsupported(
                    place.to_string(),
                    "can be text only: the rest is for the user's messages",
                ));
            }
            let Some(part) = media::part(content, place)? else { continue };
            match message.role {
                Role::User => self.push("user", self.resolved(part, content)),
                Role::Assistant => self.push("model", part),
                Role::System | Role::Developer => self.instructions.push(part),
            }
        }
        Ok(())
    }

    fn call(&mut self, item: usize, call: &'a FunctionCall) -> Result<(), Refusal> {
        let text = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.as_str() };
        let arguments: Map<String, Value> = serde_json::from_str(text).map_err(|_| {
            Refusal::invalid(format!("input[{item}].arguments"), "must be the text of a JSON object")
        })?;
        self.names.insert(&call.call_id, &call.name);
        let signature = self.signatures.remove(&call.call_id).or_else(|| self.next_signature.take());
        let part = json!({"functionCall": {"id": call.call_id, "name": call.name, "args": arguments}});
        self.push("model", signed(part, signature.as_deref()));
        Ok(())
    }

    fn output(&mut self, item: usize, output: &FunctionCallOutput) -> Result<(), Refusal> {
        let Some(name) = self.names.get(output.call_id.as_str()) else {
            let message = "must be of a function_call before it";
            return Err(Refusal::invalid(format!("input[{item}].call_id"), message));
        };
        let name = *name;
        let mut texts = Vec::new();
        let mut media = Vec::new();
        for (part, content) in output.output.iter().enumerate() {
            match content {
                Content::Text(text) | Content::Refusal(text) => texts.push(Value::from(text.as_str())),
                _ => media.push(self.output_media(content, Place { item, member: "output", part })?),
            }
        }
        let text = if texts.len() > 1 { texts.into() } else { texts.pop().unwrap_or_else(|| "".into()) };
        let response = json!({"id": output.call_id, "name": name, "response": {"output": text}});
        let response = if media.is_empty() { response } else { with(response, "parts", media) };
        self.push("user", json!({"functionResponse": response}));
        Ok(())
    }

    /// Images and files in an output are bytes, from the third generation on, and stand after its texts.
    fn output_media(&self, content: &Content, place: Place) -> Result<Value, Refusal> {
        let is_seen = self.is_newer && !matches!(content, Content::Audio { .. });
        let part = media::part(content, place)?.filter(|part| is_seen && part.get("inlineData").is_some());
        part.map(|part| self.resolved(part, content)).ok_or_else(|| {
            let message = "can be text or, from Gemini 3 on, an image or a file that is sent along";
            Refusal::unsupported(place.to_string(), message)
        })
    }

    fn resolved(&self, part: Value, content: &Content) -> Value {
        match media::resolution(content).filter(|_| self.is_newer) {
            Some(resolution) => with(part, "mediaResolution", resolution),
            None => part,
        }
    }

    fn reasoning(&mut self, reasoning: &Reasoning, marks: &[Mark]) {
        let spans = spans(marks, |on| if let On::Thought(span) = on { Some(*span) } else { None });
        if !spans.is_empty() {
            let summary = reasoning.summary.concat();
            for (text, signature) in cut(&summary, &spans) {
                if signature.is_some() {
                    self.push("model", signed(json!({"text": text, "thought": true}), signature));
                }
            }
        }
        for mark in marks {
            match &mark.on {
                On::Call(Some(id)) => _ = self.signatures.insert(id.clone(), mark.signature.clone()),
                On::Call(None) => self.next_signature = Some(mark.signature.clone()),
                On::Empty => self.push("model", signed(json!({"text": ""}), Some(&mark.signature))),
                On::Text(_) | On::Thought(_) => {}
            }
        }
    }
}

fn signed(part: Value, signature: Option<&str>) -> Value {
    match signature {
        Some(signature) => with(part, "thoughtSignature", signature),
        None => part,
    }
}

/// The present turn begins after the last thing that the user said.
fn sign_present_turn(turns: &mut [Turn]) {
    let is_said = |turn: &Turn| {
        turn.role == "user" && turn.parts.iter().any(|part| part.get("functionResponse").is_none())
    };
    let start = turns.iter().rposition(is_said).map_or(0, |at| at + 1);
    for turn in turns.iter_mut().skip(start) {
        let first = turn.parts.iter_mut().find(|part| part.get("functionCall").is_some());
        if let Some(part) = first.filter(|part| part.get("thoughtSignature").is_none()) {
            *part = with(part.take(), "thoughtSignature", UNVALIDATED);
        }
    }
}
