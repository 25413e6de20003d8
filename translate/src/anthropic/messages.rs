//! The conversation: items in the caller's order as `system` and turns of user and assistant.
//!
//! The API joins turns of one role, wants all results of a turn's calls in the one user turn that follows, before
//! anything else in it, and thoughts before the calls that came of them
//! (<https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls>).
//!
//! Invariant: within a turn everything keeps its order, but for results, which come first; no turn is empty.

use super::{PROVIDER, content};
use crate::{
    call::Refusal,
    item::{FunctionCall, FunctionCallOutput, Item, Message, Reasoning, Role},
    replay,
    request::Request,
};
use serde_json::{Value, json};

/// What `system` and `messages` hold.
pub(super) struct Conversation {
    /// Text blocks.
    pub(super) system: Vec<Value>,
    /// Turns.
    pub(super) messages: Vec<Value>,
    /// Whether the model is asked to go on in its own turn.
    pub(super) ends_with_assistant: bool,
}

/// Reads the caller's instructions and input.
///
/// # Errors
/// A [`Refusal`] that names the item, or the part of it.
pub(super) fn conversation(request: &Request) -> Result<Conversation, Refusal> {
    let mut system = Vec::new();
    system.extend(request.instructions.as_deref().and_then(content::text));
    let mut turns = Turns::default();
    for (index, item) in request.input.iter().enumerate() {
        let at = format!("input[{index}]");
        match item {
            Item::Message(message) => match message.role {
                Role::System | Role::Developer => system.extend(content::texts(&at, &message.content)?),
                Role::User | Role::Assistant => turns.message(&at, message)?,
            },
            Item::FunctionCall(call) => turns.push(Speaker::Assistant, tool_use(&at, call)?),
            Item::FunctionCallOutput(output) => turns.push_result(tool_result(&at, output)?),
            Item::Reasoning(reasoning) => {
                for block in thoughts(&at, reasoning)? {
                    turns.push(Speaker::Assistant, block);
                }
            }
        }
    }
    if turns.0.is_empty() {
        return Err(Refusal::invalid(
            "input",
            "must say something: this provider answers no empty conversation",
        ));
    }
    let ends_with_assistant = turns.0.last().is_some_and(|turn| turn.speaker == Speaker::Assistant);
    let messages = turns.0.into_iter().map(Turn::into_message).collect();
    Ok(Conversation { system, messages, ends_with_assistant })
}

/// The API takes an object. What is not one cannot have come from a model: not even the API's own, which says `{}` for no
/// arguments. Numbers that JSON parsers cannot hold are rounded, as they would be there.
fn tool_use(at: &str, call: &FunctionCall) -> Result<Value, Refusal> {
    let input = if call.arguments.trim().is_empty() {
        json!({})
    } else {
        serde_json::from_str::<Value>(&call.arguments).ok().filter(Value::is_object).ok_or_else(|| {
            Refusal::invalid(format!("{at}.arguments"), "must be the text of a JSON object for this provider")
        })?
    };
    Ok(json!({"type": "tool_use", "id": call.call_id, "name": call.name, "input": input}))
}

fn tool_result(at: &str, output: &FunctionCallOutput) -> Result<Value, Refusal> {
    let mut result = json!({"type": "tool_result", "tool_use_id": output.call_id});
    let blocks = content::of_output(at, &output.output)?;
    // An output that is empty has no content at all.
    if let (Some(result), false) = (result.as_object_mut(), blocks.is_empty()) {
        result.insert("content".into(), Value::Array(blocks));
    }
    Ok(result)
}

/// The blocks that this provider sealed, as they were. Another's thoughts, and thoughts that are only told, mean nothing to
/// this one and are left out.
///
/// The seal is no signature: whoever made one by hand may say thoughts (which the API checks itself), and nothing else.
fn thoughts(at: &str, reasoning: &Reasoning) -> Result<Vec<Value>, Refusal> {
    let sealed = reasoning.sealed.as_deref();
    let blocks = sealed.and_then(|sealed| replay::open(PROVIDER, sealed)).unwrap_or_default();
    let is_thought = |block: &Value| {
        let kind = block.get("type").and_then(Value::as_str);
        matches!(kind, Some("thinking" | "redacted_thinking"))
    };
    if blocks.iter().all(is_thought) {
        Ok(blocks)
    } else {
        let message = "must be given back as it came: it holds something that is no thought";
        Err(Refusal::invalid(format!("{at}.encrypted_content"), message))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Speaker {
    User,
    Assistant,
}

struct Turn {
    speaker: Speaker,
    results: Vec<Value>,
    blocks: Vec<Value>,
}

impl Turn {
    fn into_message(self) -> Value {
        let role = match self.speaker {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        };
        let mut content = self.results;
        content.extend(self.blocks);
        json!({"role": role, "content": content})
    }
}

#[derive(Default)]
struct Turns(Vec<Turn>);

impl Turns {
    fn message(&mut self, at: &str, message: &Message) -> Result<(), Refusal> {
        let (speaker, blocks) = match message.role {
            Role::Assistant => (Speaker::Assistant, content::texts(at, &message.content)?),
            _ => (Speaker::User, content::of_user(at, &message.content)?),
        };
        for block in blocks {
            self.push(speaker, block);
        }
        Ok(())
    }

    fn push(&mut self, speaker: Speaker, block: Value) {
        match self.0.last_mut() {
            Some(turn) if turn.speaker == speaker => turn.blocks.push(block),
            _ => self.0.push(Turn { speaker, results: Vec::new(), blocks: vec![block] }),
        }
    }

    fn push_result(&mut self, result: Value) {
        match self.0.last_mut() {
            Some(turn) if turn.speaker == Speaker::User => turn.results.push(result),
            _ => self.0.push(Turn { speaker: Speaker::User, results: vec![result], blocks: Vec::new() }),
        }
    }
}
