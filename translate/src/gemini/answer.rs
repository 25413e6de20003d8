//! Answers as facts, chunk by chunk: a whole answer is one chunk.
//!
//! Signed text is told as text at once, its mark when the message ends, because a mark in between would end the message:
//! the last part of a streamed answer is often an empty text with the signature of all of it.
//!
//! Invariant: the facts are the same however the provider cuts its text into parts, but for where texts are cut; after the
//! end nothing but usage is told.

use super::citation::Cited;
use super::finish;
use super::mark::{Mark, On, Span};
use super::wire::{
    Candidate, Chunk, CitationMetadata, FunctionCall, Logprob, LogprobsResult, Part, UsageMetadata,
};
use super::with;
use crate::call::Malformed;
use crate::fact::{Fact, Finish, ProviderError, Usage};
use serde_json::{Value, json};

/// What is told so far.
#[derive(Debug, Default)]
pub(super) struct Teller {
    open: Open,
    /// Marks of the open message.
    marks: Vec<Mark>,
    slots: u64,
    ended: bool,
}

/// The item that text goes on in.
#[derive(Debug, Default)]
enum Open {
    #[default]
    Nothing,
    Message(Box<Cited>),
    /// With the bytes of its summary.
    Reasoning(usize),
}

impl Teller {
    /// Whether the model has ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The provider gave up.
    pub fn fail(&mut self, error: ProviderError) -> Vec<Fact> {
        let is_news = !std::mem::replace(&mut self.ended, true);
        is_news.then_some(Fact::Failed(error)).into_iter().collect()
    }

    /// The next chunk. Only the first candidate is read: no request asks for more.
    pub fn chunk(&mut self, chunk: Chunk) -> Result<Vec<Fact>, Malformed> {
        let mut facts = Vec::new();
        let candidate = chunk.candidates.and_then(|candidates| candidates.into_iter().next());
        let mut end = None;
        if let Some(candidate) = candidate {
            end = candidate
                .finish_reason
                .as_deref()
                .map(|it| finish::of(it, candidate.finish_message.as_deref()));
            self.candidate(candidate, &mut facts)?;
        } else if chunk.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            end = Some(Fact::Finished(Finish::Filter));
        }
        if end == Some(Fact::Finished(Finish::Done)) && !self.marks.is_empty() {
            self.close_message(&mut facts);
        }
        facts.extend(chunk.usage_metadata.map(|usage| Fact::Usage(used(&usage))));
        if let Some(end) = end.filter(|_| !self.ended) {
            self.ended = true;
            facts.push(end);
        }
        Ok(facts)
    }

    fn candidate(&mut self, candidate: Candidate, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        let mut logprobs = candidate.logprobs_result.map(logprobs).unwrap_or_default();
        for part in candidate.content.and_then(|content| content.parts).unwrap_or_default() {
            if self.ended
                && (part.function_call.is_some() || part.text.as_ref().is_some_and(|text| !text.is_empty()))
            {
                return Err(Malformed("content after the answer's end".to_owned()));
            }
            self.part(part, &mut logprobs, facts)?;
        }
        if let Open::Message(cited) = &mut self.open {
            if !logprobs.is_empty() {
                facts.push(Fact::Text { text: String::new(), logprobs });
            }
            let CitationMetadata { citation_sources, citations } =
                candidate.citation_metadata.unwrap_or_default();
            let sources = citation_sources.into_iter().chain(citations).flatten();
            facts.extend(sources.filter_map(|source| cited.annotation(source)).map(Fact::Annotation));
        }
        Ok(())
    }

    fn part(
        &mut self,
        part: Part,
        logprobs: &mut Vec<Value>,
        facts: &mut Vec<Fact>,
    ) -> Result<(), Malformed> {
        if let Some(kind) = part.unsayable() {
            return Err(Malformed(format!("a part with {kind}, which was not asked for")));
        }
        let signature = part.thought_signature.filter(|signature| !signature.is_empty());
        if let Some(call) = part.function_call {
            return self.call(call, signature, facts);
        }
        let text = part.text.unwrap_or_default();
        if text.is_empty() && signature.is_none() {
            return Ok(());
        }
        if part.thought == Some(true) {
            self.thought(text, signature, facts);
        } else {
            self.text(text, signature, std::mem::take(logprobs), facts);
        }
        Ok(())
    }

    fn text(&mut self, text: String, signature: Option<String>, logprobs: Vec<Value>, facts: &mut Vec<Fact>) {
        if !matches!(self.open, Open::Message(_)) {
            self.close(facts);
            if let Some(signature) = signature.clone().filter(|_| text.is_empty()) {
                facts.extend([sealed(&Mark { on: On::Empty, signature }), Fact::ItemEnd]);
                return;
            }
            self.open = Open::Message(Box::default());
        }
        let Open::Message(cited) = &mut self.open else { return };
        let start = cited.len();
        cited.push(&text);
        let span = Span { start, end: cited.len() };
        self.marks.extend(signature.map(|signature| Mark { on: On::Text(span), signature }));
        if !text.is_empty() || !logprobs.is_empty() {
            facts.push(Fact::Text { text, logprobs });
        }
    }

    fn thought(&mut self, text: String, signature: Option<String>, facts: &mut Vec<Fact>) {
        if !matches!(self.open, Open::Reasoning(_)) {
            self.close(facts);
            self.open = Open::Reasoning(0);
        }
        let Open::Reasoning(told) = &mut self.open else { return };
        let span = Span { start: *told, end: *told + text.len() };
        *told = span.end;
        if !text.is_empty() {
            facts.push(Fact::ReasoningSummary(text));
        }
        facts.extend(signature.map(|signature| sealed(&Mark { on: On::Thought(span), signature })));
    }

    fn call(
        &mut self,
        call: FunctionCall,
        signature: Option<String>,
        facts: &mut Vec<Fact>,
    ) -> Result<(), Malformed> {
        if call.partial_args.is_some() || call.will_continue == Some(true) {
            return Err(Malformed("a call in pieces, which was not asked for".to_owned()));
        }
        let name = call.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Malformed("a call without a name".to_owned()))?;
        let delta = match call.args.as_ref().map(|args| args.get()).filter(|args| *args != "null") {
            None => "{}".to_owned(),
            Some(args) if args.starts_with('{') => compact(args),
            Some(_) => return Err(Malformed("a call whose arguments are no object".to_owned())),
        };
        let call_id = call.id.filter(|id| !id.is_empty());
        self.close_message(facts);
        if let Some(signature) = signature {
            self.open = Open::Reasoning(0);
            facts.push(sealed(&Mark { on: On::Call(call_id.clone()), signature }));
        }
        self.close(facts);
        let slot = self.slots;
        self.slots += 1;
        facts.extend([
            Fact::Call { slot, call_id, name },
            Fact::Arguments { slot, delta },
            Fact::CallEnd { slot },
        ]);
        Ok(())
    }

    /// Ends the open message, if there is one, and tells its marks, which then have a reasoning item of their own.
    fn close_message(&mut self, facts: &mut Vec<Fact>) {
        if !matches!(self.open, Open::Message(_)) {
            return;
        }
        self.open = Open::Nothing;
        facts.push(Fact::ItemEnd);
        if !self.marks.is_empty() {
            self.open = Open::Reasoning(0);
            facts.extend(std::mem::take(&mut self.marks).iter().map(sealed));
        }
    }

    /// Ends whatever is open.
    fn close(&mut self, facts: &mut Vec<Fact>) {
        self.close_message(facts);
        if !matches!(std::mem::take(&mut self.open), Open::Nothing) {
            facts.push(Fact::ItemEnd);
        }
    }
}

fn sealed(mark: &Mark) -> Fact {
    Fact::ReasoningSealed(mark.to_value())
}

/// Without the spaces between its tokens; keys keep their order, numbers and texts their spelling.
fn compact(json: &str) -> String {
    let mut in_text = false;
    let mut is_escaped = false;
    let keep = |char: &char| {
        if in_text {
            in_text = is_escaped || *char != '"';
            is_escaped = !is_escaped && *char == '\\';
            return true;
        }
        in_text = *char == '"';
        !char.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

fn used(usage: &UsageMetadata) -> Usage {
    let sum = |one: Option<u64>, other: Option<u64>| {
        one.unwrap_or_default().saturating_add(other.unwrap_or_default())
    };
    Usage {
        input_tokens: sum(usage.prompt_token_count, usage.tool_use_prompt_token_count),
        cached_tokens: usage.cached_content_token_count.unwrap_or_default(),
        output_tokens: sum(usage.candidates_token_count, usage.thoughts_token_count),
        reasoning_tokens: usage.thoughts_token_count.unwrap_or_default(),
    }
}

/// In the form of the Responses protocol.
fn logprobs(result: LogprobsResult) -> Vec<Value> {
    let mut top = result.top_candidates.unwrap_or_default().into_iter();
    let chosen = result.chosen_candidates.unwrap_or_default();
    let one = |chosen: Logprob| {
        let others = top.next().and_then(|top| top.candidates).unwrap_or_default();
        let others: Vec<Value> = others.into_iter().map(logprob).collect();
        with(logprob(chosen), "top_logprobs", others)
    };
    chosen.into_iter().map(one).collect()
}

fn logprob(told: Logprob) -> Value {
    let token = told.token.unwrap_or_default();
    let logprob = told.log_probability.map_or_else(|| json!(0.0), Value::Number);
    json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()})
}
