//! A stream of chunks, as facts.
//!
//! Invariant: an answer ends once, with a finish or a failure; what follows is usage only.

use super::{THINKING, THOUGHTS, calls::Calls, error, spoken, usage};
use crate::{
    call::Malformed,
    fact::{ErrorKind, Fact, Finish, ProviderError, Usage},
    sse,
};
use serde_json::{Map, Value};

/// What stands where the stream ends.
const END: &str = "[DONE]";
/// The name under which some servers send an error that is nothing else.
const ERROR: &str = "error";

/// Most tokens that wait for their text. A character is of four bytes at most, and a few characters may make one sign.
const WAITING_MAX_TOKENS: usize = 64;

/// Reads the stream of one answer.
#[derive(Debug, Default)]
pub struct Reader {
    thoughts: Option<Thoughts>,
    calls: Calls,
    /// Of tokens whose text has not come yet: a character can be several tokens long.
    logprobs: Vec<Value>,
    usage: Option<Usage>,
    has_spoken: bool,
    has_ended: bool,
}

/// Thoughts that go on.
#[derive(Debug)]
struct Thoughts {
    /// In which they came.
    members: Vec<&'static str>,
    text: String,
}

impl Reader {
    /// Reads one event.
    ///
    /// # Errors
    /// If it is no chunk of a chat completion.
    pub fn event(&mut self, event: &sse::Event) -> Result<Vec<Fact>, Malformed> {
        match event.data.trim() {
            "" => Ok(Vec::new()),
            END => self.end(),
            data => {
                let chunk = serde_json::from_str(data)
                    .map_err(|error| Malformed(format!("a chunk is no JSON: {error}")))?;
                if event.name == ERROR && error::told(&chunk).is_none() {
                    return Ok(self.fail(error::read(&chunk)));
                }
                self.chunk(&chunk)
            }
        }
    }

    /// Reads a chunk, or a whole answer, which says all at once.
    pub(super) fn chunk(&mut self, chunk: &Value) -> Result<Vec<Fact>, Malformed> {
        if let Some(error) = error::told(chunk) {
            return Ok(self.fail(error));
        }
        let mut facts = Vec::new();
        let choices = chunk.get("choices").and_then(Value::as_array);
        // One answer is asked for; a choice without an index is it.
        let choice =
            choices.into_iter().flatten().find(|choice| choice.get("index").is_none_or(|index| index == 0));
        if let Some(choice) = choice.filter(|_| !self.has_ended) {
            self.choice(choice, &mut facts)?;
        }
        if let Some(usage) = usage::usage(chunk).filter(|usage| self.usage != Some(*usage)) {
            self.usage = Some(usage);
            facts.push(Fact::Usage(usage));
        }
        Ok(facts)
    }

    /// The stream's end. A server that told no reason before was done.
    pub(super) fn end(&mut self) -> Result<Vec<Fact>, Malformed> {
        let mut facts = Vec::new();
        if self.has_ended {
            return Ok(facts);
        }
        if self.has_spoken {
            self.finish("stop", &mut facts)?;
        } else {
            facts = self.fail(failure(ErrorKind::Server, "The provider ended its answer before it began."));
        }
        Ok(facts)
    }

    fn choice(&mut self, choice: &Value, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        if let Some(error) = error::told(choice) {
            facts.extend(self.fail(error));
            return Ok(());
        }
        let logprobs = spoken::logprobs(choice);
        let delta = choice.get("delta").or_else(|| choice.get("message")).filter(|delta| delta.is_object());
        if let Some(delta) = delta {
            self.delta(delta, logprobs, facts)?;
        }
        match choice.get("finish_reason").and_then(Value::as_str) {
            None | Some("") => Ok(()),
            Some(reason) => self.finish(reason, facts),
        }
    }

    fn delta(&mut self, delta: &Value, logprobs: Vec<Value>, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        let thoughts: Vec<(&'static str, &str)> =
            THOUGHTS.into_iter().filter_map(|member| Some((member, text(delta.get(member)?)?))).collect();
        if let Some((_, text)) = thoughts.first() {
            self.think(thoughts.iter().map(|(member, _)| *member).collect(), text, facts);
        }
        let calls = delta.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty());
        let call = delta.get("function_call").filter(|call| call.is_object());
        if thoughts.is_empty() && calls.is_none() && call.is_none() {
            self.logprobs.extend(logprobs);
        }
        match delta.get("content") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => self.say(text, facts),
            Some(Value::Array(parts)) => parts.iter().try_for_each(|part| self.part(part, facts))?,
            Some(_) => return Err(Malformed("`content` is neither text nor parts".into())),
        }
        if self.logprobs.len() > WAITING_MAX_TOKENS {
            self.tell_logprobs(facts);
        }
        facts.extend(spoken::annotations(delta).map(Fact::Annotation));
        if let Some(refusal) = delta.get("refusal").and_then(text) {
            self.end_thoughts(facts);
            self.has_spoken = true;
            facts.push(Fact::Refusal(refusal.to_owned()));
        }
        if calls.is_some() || call.is_some() {
            self.end_thoughts(facts);
            self.has_spoken = true;
        }
        calls.into_iter().flatten().try_for_each(|piece| self.calls.tool_call(piece, facts))?;
        // Some servers say the same call in both forms.
        match call.filter(|_| calls.is_none()) {
            Some(call) => self.calls.function_call(call, facts),
            None => Ok(()),
        }
    }

    /// A part of content that is a list.
    fn part(&mut self, part: &Value, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        match part.get("type").and_then(Value::as_str).unwrap_or_default() {
            "text" | "output_text" => self.say(part.get("text").and_then(text).unwrap_or_default(), facts),
            "refusal" => {
                self.end_thoughts(facts);
                self.has_spoken = true;
                let refusal = part.get("refusal").and_then(text).unwrap_or_default();
                facts.push(Fact::Refusal(refusal.to_owned()));
            }
            THINKING => {
                let pieces = part.get(THINKING).and_then(Value::as_array);
                for text in pieces.into_iter().flatten().filter_map(|piece| text(piece.get("text")?)) {
                    self.think(vec![THINKING], text, facts);
                }
            }
            // Mistral's numbers of sources, which no other part names.
            "reference" => {}
            other => return Err(Malformed(format!("`content` has a part of type `{other}`"))),
        }
        Ok(())
    }

    fn say(&mut self, text: &str, facts: &mut Vec<Fact>) {
        if !text.is_empty() {
            self.end_thoughts(facts);
            self.has_spoken = true;
            facts.push(Fact::Text { text: text.to_owned(), logprobs: std::mem::take(&mut self.logprobs) });
        }
    }

    /// Of tokens that came without a text.
    fn tell_logprobs(&mut self, facts: &mut Vec<Fact>) {
        self.end_thoughts(facts);
        facts.push(Fact::Text { text: String::new(), logprobs: std::mem::take(&mut self.logprobs) });
    }

    fn think(&mut self, members: Vec<&'static str>, text: &str, facts: &mut Vec<Fact>) {
        self.has_spoken = true;
        self.thoughts.get_or_insert_with(|| Thoughts { members, text: String::new() }).text.push_str(text);
        facts.push(Fact::ReasoningText(text.to_owned()));
    }

    fn end_thoughts(&mut self, facts: &mut Vec<Fact>) {
        if let Some(Thoughts { members, text }) = self.thoughts.take() {
            let sealed: Map<String, Value> =
                members.into_iter().map(|member| (member.to_owned(), text.clone().into())).collect();
            facts.push(Fact::ReasoningSealed(sealed.into()));
        }
    }

    fn finish(&mut self, reason: &str, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        self.end_thoughts(facts);
        self.calls.end(facts)?;
        if !self.logprobs.is_empty() && self.calls.is_empty() {
            self.tell_logprobs(facts);
        }
        self.has_ended = true;
        facts.push(match reason {
            "length" | "max_tokens" | "model_length" => Fact::Finished(Finish::Length),
            "content_filter" => Fact::Finished(Finish::Filter),
            "error" => Fact::Failed(failure(ErrorKind::Model, "The model failed on this request.")),
            "abort" | "insufficient_system_resource" => {
                Fact::Failed(failure(ErrorKind::Server, "The provider gave the request up."))
            }
            _ => Fact::Finished(Finish::Done),
        });
        Ok(())
    }

    /// The first failure counts, and none after the answer has ended.
    fn fail(&mut self, error: ProviderError) -> Vec<Fact> {
        if self.has_ended {
            return Vec::new();
        }
        self.has_ended = true;
        vec![Fact::Failed(error)]
    }
}

fn failure(kind: ErrorKind, message: &str) -> ProviderError {
    ProviderError { kind, code: None, message: message.to_owned() }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}
