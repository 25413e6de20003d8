//! The conversation: who speaks when, and that every call of a tool has its result in the next turn.
//!
//! Invariant: neighbouring messages of one role are one turn, as Anthropic combines them.

use super::{blocks, is_at_least};
use crate::provider::fault::{Fault, demand};
use crate::provider::place::Place;

/// From this generation on an answer cannot be begun by the caller.
const WITHOUT_PREFILL: (u32, u32) = (4, 6);

/// Neighbouring messages of one role.
#[derive(Debug)]
struct Turn<'a> {
    role: &'a str,
    path: String,
    blocks: Vec<Place<'a>>,
}

impl<'a> Turn<'a> {
    /// A member of every block of a kind.
    fn each(&self, kind: &str, member: &str) -> Vec<&'a str> {
        let of_kind = self.blocks.iter().filter(|block| block.value["type"] == kind);
        of_kind.filter_map(|block| block.value[member].as_str()).collect()
    }
}

/// Answers whether the last turn brings results of tools.
pub(super) fn check(root: &Place<'_>, model: &str) -> Result<bool, Fault> {
    let messages = root.need("messages")?;
    let turns = turns(&messages)?;
    let (Some(first), Some(last)) = (turns.first(), turns.last()) else {
        return Err(messages.refused("at least one message is required"));
    };
    demand(first.role == "user", || "messages: first message must use the \"user\" role".to_owned())?;
    for (index, turn) in turns.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| turns.get(before));
        results(turn, before)?;
        calls(turn, turns.get(index + 1))?;
    }
    if last.role == "assistant" {
        demand(!is_at_least(model, WITHOUT_PREFILL), || {
            "This model does not support assistant message prefill. The conversation must end with a user \
             message."
                .to_owned()
        })?;
        let text = last.blocks.last().and_then(|block| block.value["text"].as_str()).unwrap_or_default();
        demand(text == text.trim_end(), || {
            "messages: final assistant content cannot end with trailing whitespace".to_owned()
        })?;
    }
    resumed(root, &turns)?;
    Ok(!last.each("tool_result", "tool_use_id").is_empty())
}

fn turns<'a>(messages: &Place<'a>) -> Result<Vec<Turn<'a>>, Fault> {
    let list = messages.list()?;
    let mut turns: Vec<Turn<'a>> = Vec::new();
    for (index, message) in list.iter().enumerate() {
        message.only(&["role", "content"])?;
        let role = message.need("role")?.one_of(&["user", "assistant", "system"])?;
        let content = message.need("content")?;
        if role == "system" {
            // An instruction within the conversation: only right behind a turn of the user.
            let behind_user = index > 0 && turns.last().is_some_and(|turn| turn.role == "user");
            demand(behind_user, || {
                format!("{}: role 'system' must follow a 'user' message", message.path())
            })?;
            continue;
        }
        let blocks = self::content(&content, role)?;
        let may_be_empty = role == "assistant" && index + 1 == list.len();
        let empty = blocks.is_empty() && content.value.as_str().is_none_or(str::is_empty);
        demand(may_be_empty || !empty, || {
            format!(
                "{}: all messages must have non-empty content except for the optional final assistant message",
                message.path()
            )
        })?;
        match turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.blocks.extend(blocks),
            None => turns.push(Turn { role, path: message.path().to_owned(), blocks }),
        }
    }
    Ok(turns)
}

fn content<'a>(content: &Place<'a>, role: &str) -> Result<Vec<Place<'a>>, Fault> {
    if content.value.is_string() {
        return Ok(Vec::new());
    }
    let allowed = if role == "user" { &blocks::OF_USER[..] } else { &blocks::OF_ASSISTANT[..] };
    let list = content.list()?;
    for block in &list {
        blocks::check(block, allowed)?;
    }
    Ok(list)
}

/// Every result answers a call of the turn before, and comes before anything else.
fn results(turn: &Turn<'_>, before: Option<&Turn<'_>>) -> Result<(), Fault> {
    let called = before.map(|before| before.each("tool_use", "id")).unwrap_or_default();
    for block in turn.blocks.iter().filter(|block| block.value["type"] == "tool_result") {
        let id = block.value["tool_use_id"].as_str().unwrap_or_default();
        demand(called.contains(&id), || {
            format!(
                "{}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must \
                 have a corresponding `tool_use` block in the previous message.",
                block.path()
            )
        })?;
    }
    Ok(())
}

/// Every call has a result at the beginning of the next turn.
fn calls(turn: &Turn<'_>, next: Option<&Turn<'_>>) -> Result<(), Fault> {
    let called = turn.each("tool_use", "id");
    let answers = next.map(|next| {
        let leading = next.blocks.iter().take_while(|block| block.value["type"] == "tool_result");
        leading.filter_map(|block| block.value["tool_use_id"].as_str()).collect::<Vec<_>>()
    });
    let answers = answers.unwrap_or_default();
    for (index, id) in called.iter().enumerate() {
        demand(!called.iter().take(index).any(|other| other == id), || {
            format!("{}: `tool_use` ids must be unique", turn.path)
        })?;
    }
    let missing: Vec<&str> = called.into_iter().filter(|id| !answers.contains(id)).collect();
    demand(missing.is_empty(), || {
        format!(
            "{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
             block must have a corresponding `tool_result` block in the next message.",
            turn.path,
            missing.join(", ")
        )
    })
}

/// A model that thinks by a budget wants its thinking back before the calls that are being answered.
fn resumed(root: &Place<'_>, turns: &[Turn<'_>]) -> Result<(), Fault> {
    let by_budget = root.value["thinking"]["type"] == "enabled";
    let answering = turns.last().is_some_and(|turn| !turn.each("tool_result", "tool_use_id").is_empty());
    let calling = turns.len().checked_sub(2).and_then(|index| turns.get(index));
    let Some(first) = calling.and_then(|turn| turn.blocks.first()).filter(|_| by_budget && answering) else {
        return Ok(());
    };
    let kind = first.value["type"].as_str().unwrap_or_default();
    demand(matches!(kind, "thinking" | "redacted_thinking"), || {
        format!(
            "{}.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. When `thinking` is enabled, \
             a final `assistant` message must start with a thinking block.",
            first.path()
        )
    })
}
