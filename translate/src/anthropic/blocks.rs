//! The content blocks of an answer, from their start over what is added to their end.
//!
//! Invariant: what the model said in blocks is said once, in the blocks' order; a thinking block is sealed as it was, or
//! not at all.

use crate::{call::Malformed, fact::Fact};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The blocks that are open, and what is known across blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: BTreeMap<u64, Block>,
    /// Characters of the message that the last block went on with; none: no message is open.
    message_chars: Option<u64>,
}

#[derive(Debug)]
enum Block {
    /// Adjacent ones are one text: the API cuts text where citations begin and end.
    Text {
        begins_at: u64,
        citations: Vec<Value>,
    },
    /// As it began, with what was added.
    Thinking {
        block: Map<String, Value>,
        thinking: String,
        signature: String,
    },
    /// Whole from the beginning.
    Redacted(Value),
    ToolUse {
        said: bool,
        input: Option<String>,
    },
    /// A block of one of the provider's own tools, which this crate never asks for, or of a kind that is not known.
    PassedOver,
}

impl Blocks {
    /// A block begins. `input` is the text of a call's arguments, where they are told at once.
    pub(super) fn start(
        &mut self,
        index: u64,
        block: &Value,
        input: Option<String>,
        facts: &mut Vec<Fact>,
    ) -> Result<(), Malformed> {
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        let opened = match text("type") {
            "text" => {
                let begins_at = *self.message_chars.get_or_insert(0);
                let citations = block.get("citations").and_then(Value::as_array).cloned().unwrap_or_default();
                self.say(text("text"), facts);
                Block::Text { begins_at, citations }
            }
            "thinking" => {
                self.end_message(facts);
                summarize(text("thinking"), facts);
                Block::Thinking {
                    block: block.as_object().cloned().unwrap_or_default(),
                    thinking: text("thinking").to_owned(),
                    signature: text("signature").to_owned(),
                }
            }
            "redacted_thinking" => {
                self.end_message(facts);
                Block::Redacted(block.clone())
            }
            "tool_use" => {
                self.end_message(facts);
                facts.push(call(index, block)?);
                Block::ToolUse { said: false, input }
            }
            _ => Block::PassedOver,
        };
        self.open.insert(index, opened);
        Ok(())
    }

    /// Something is added to a block. A delta of a kind that the block does not know is passed over, as the API asks for.
    pub(super) fn delta(
        &mut self,
        index: u64,
        delta: &Value,
        facts: &mut Vec<Fact>,
    ) -> Result<(), Malformed> {
        let text = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        let block = self.open.get_mut(&index);
        let block = block.ok_or_else(|| Malformed(format!("content block {index} was never begun")))?;
        match (block, text("type")) {
            (Block::Text { .. }, "text_delta") => self.say(text("text"), facts),
            (Block::Text { citations, .. }, "citations_delta") => {
                citations.extend(delta.get("citation").cloned())
            }
            (Block::Thinking { thinking, .. }, "thinking_delta") => {
                thinking.push_str(text("thinking"));
                summarize(text("thinking"), facts);
            }
            (Block::Thinking { signature, .. }, "signature_delta") => signature.push_str(text("signature")),
            (Block::ToolUse { said, .. }, "input_json_delta") => {
                let delta = text("partial_json");
                if !delta.is_empty() {
                    *said = true;
                    facts.push(Fact::Arguments { slot: index, delta: delta.to_owned() });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A block is whole.
    pub(super) fn stop(&mut self, index: u64, facts: &mut Vec<Fact>) {
        match self.open.remove(&index) {
            Some(Block::Text { begins_at, citations }) => {
                let ends_at = self.message_chars.unwrap_or(begins_at);
                let cited = citations.iter().filter_map(|citation| annotation(citation, begins_at, ends_at));
                facts.extend(cited.map(Fact::Annotation));
            }
            Some(Block::Thinking { block, thinking, signature }) => {
                facts.extend(sealed(block, thinking, signature));
                facts.push(Fact::ItemEnd);
            }
            Some(Block::Redacted(block)) => {
                facts.push(Fact::ReasoningSealed(block));
                facts.push(Fact::ItemEnd);
            }
            Some(Block::ToolUse { said, input }) => {
                // A function without parameters is called with no text at all; the protocol's callers parse the text.
                if !said {
                    let delta = input.unwrap_or_else(|| "{}".to_owned());
                    facts.push(Fact::Arguments { slot: index, delta });
                }
                facts.push(Fact::CallEnd { slot: index });
            }
            Some(Block::PassedOver) | None => {}
        }
    }

    fn say(&mut self, text: &str, facts: &mut Vec<Fact>) {
        if text.is_empty() {
            return;
        }
        let chars = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        let so_far = self.message_chars.get_or_insert(0);
        *so_far = so_far.saturating_add(chars);
        facts.push(Fact::Text { text: text.to_owned(), logprobs: Vec::new() });
    }

    fn end_message(&mut self, facts: &mut Vec<Fact>) {
        if self.message_chars.take().is_some_and(|chars| chars > 0) {
            facts.push(Fact::ItemEnd);
        }
    }
}

/// What the API shows of thoughts is a summary of them (of Claude 3.7's alone it was the thoughts), and it is what
/// `display: summarized` asks for: so it is the protocol's summary.
fn summarize(text: &str, facts: &mut Vec<Fact>) {
    if !text.is_empty() {
        facts.push(Fact::ReasoningSummary(text.to_owned()));
    }
}

fn call(index: u64, block: &Value) -> Result<Fact, Malformed> {
    let text = |name: &str| block.get(name).and_then(Value::as_str);
    let (Some(id), Some(name)) = (text("id"), text("name")) else {
        return Err(Malformed(format!("content block {index} is a call without an id or a name")));
    };
    Ok(Fact::Call { slot: index, call_id: Some(id.to_owned()), name: name.to_owned() })
}

/// The block as the API wants it back, to the last member. One without a signature it would not take back.
fn sealed(mut block: Map<String, Value>, thinking: String, signature: String) -> Option<Fact> {
    if signature.is_empty() {
        return None;
    }
    block.insert("thinking".into(), Value::String(thinking));
    block.insert("signature".into(), Value::String(signature));
    Some(Fact::ReasoningSealed(Value::Object(block)))
}

/// A citation of something with a URL is a `url_citation` of the block's text. Others point into documents by place, for
/// which the protocol has no annotation (its `file_citation` needs a file of its store); they are left out.
fn annotation(citation: &Value, start: u64, end: u64) -> Option<Value> {
    let url = citation.get("url").and_then(Value::as_str)?;
    let title = citation.get("title").and_then(Value::as_str).unwrap_or_default();
    Some(json!({"type": "url_citation", "url": url, "title": title, "start_index": start, "end_index": end}))
}
