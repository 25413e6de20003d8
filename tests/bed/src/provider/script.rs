//! What is answered, said once, before a protocol renders it.
//!
//! Invariant: a script is a function of the knobs and of the input; nothing in it belongs to one protocol.

use serde_json::{Value, json};

use super::knobs::{Knobs, ScriptedCall, Terminal, Tokens};
use super::text;

/// An input longer than this is an image: the answer does not depend on it.
const INPUT_READ_BYTES: usize = 64 * 1024;
/// What OpenAI counts on average for English.
const BYTES_PER_TOKEN: usize = 4;
/// Arguments come in pieces of so many characters: short enough that no value is whole in one.
const ARGUMENTS_PIECE_CHARS: usize = 7;

/// What of a request decides about the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    /// The conversation, as it stands in the request's JSON.
    pub(super) text: &'a str,
    /// Whether its last turn brings results of tools.
    pub(super) after_tools: bool,
    /// The length of the whole body.
    pub(super) body_bytes: usize,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// The pieces of the reasoning; none if there is none.
    pub(super) reasoning: Vec<String>,
    /// The pieces of the text; `None` if there is no text at all.
    pub(super) text: Option<Vec<String>>,
    /// The pieces of the refusal; none if there is none.
    pub(super) refusal: Vec<String>,
    pub(super) calls: Vec<ScriptedCall>,
    pub(super) terminal: Terminal,
    pub(super) stop_reason: Option<String>,
    pub(super) usage: Tokens,
}

impl Script {
    pub(super) fn of(knobs: &Knobs, input: Input<'_>) -> Self {
        let read = if input.text.len() <= INPUT_READ_BYTES { input.text } else { "an image" };
        let calls = if input.after_tools { Vec::new() } else { knobs.tool_calls.clone().unwrap_or_default() };
        let wanted = match &knobs.text_after_tools {
            Some(text) if input.after_tools => Some(text.as_str()),
            _ => knobs.text_for(read),
        };
        let silent =
            wanted.is_none() && knobs.words.is_none() && (knobs.refusal.is_some() || !calls.is_empty());
        let mut script = Self {
            reasoning: knobs.reasoning.as_deref().map(text::split).unwrap_or_default(),
            text: (!silent).then(|| text::pieces(read, wanted, knobs.words)),
            refusal: knobs.refusal.as_deref().map(text::split).unwrap_or_default(),
            calls,
            terminal: knobs.terminal.unwrap_or_default(),
            stop_reason: knobs.stop_reason.clone(),
            usage: Tokens::default(),
        };
        script.usage = knobs.usage.unwrap_or_else(|| script.counted(input.body_bytes));
        script
    }

    /// A token for each piece.
    fn counted(&self, body_bytes: usize) -> Tokens {
        let arguments: usize = self.calls.iter().map(|call| arguments_pieces(call).len()).sum();
        let text = self.text.as_ref().map(Vec::len).unwrap_or_default();
        let output = self.reasoning.len() + text + self.refusal.len() + arguments;
        Tokens {
            input_tokens: body_bytes.div_ceil(BYTES_PER_TOKEN) as u64,
            output_tokens: output as u64,
            reasoning_tokens: self.reasoning.len() as u64,
            ..Tokens::default()
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        self.text.as_ref().map(|pieces| pieces.concat())
    }
}

/// The arguments of a call, piece by piece.
pub(super) fn arguments_pieces(call: &ScriptedCall) -> Vec<String> {
    let chars: Vec<char> = call.arguments.chars().collect();
    chars.chunks(ARGUMENTS_PIECE_CHARS).map(|piece| piece.iter().collect()).collect()
}

/// The arguments of a call as an object, for protocols that have them so. What is no object stands under `arguments`.
pub(super) fn arguments_object(call: &ScriptedCall) -> Value {
    match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => json!({"arguments": call.arguments}),
    }
}

/// How likely the piece at `index` was: never the same for two neighbours, and exact in binary.
pub(super) fn logprob(index: usize) -> f64 {
    -f64::from(u8::try_from(index % 8).unwrap_or_default()) / 8.0
}

/// OpenAI's account of how likely a piece was, with `top` tokens that could have stood there; the piece is the first.
pub(super) fn openai_logprob(index: usize, piece: &str, top: u64) -> Value {
    let one =
        |token: &str, logprob: f64| json!({"token": token, "bytes": token.as_bytes(), "logprob": logprob});
    let others = (0..top).map(|rank| match rank {
        0 => one(piece, logprob(index)),
        rank => one(&format!("other{rank}"), logprob(index) - f64::from(u32::try_from(rank).unwrap_or(1))),
    });
    let mut first = one(piece, logprob(index));
    first["top_logprobs"] = others.collect();
    first
}
