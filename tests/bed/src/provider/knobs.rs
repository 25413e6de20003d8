//! What the provider can do wrong, one call at a time: the provider's side of the fault table.
//!
//! A call carries its knobs in the body field `x_fake`, which a gateway that does not translate must pass through
//! untouched. What a call does not say, its model's knobs say, then the provider's own. Invariant: a knob that does not exist is an error.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Faults and manners of one answer. `None` is the good behaviour of a real provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knobs {
    /// Wait this long before the status line.
    pub delay_headers_ms: Option<u64>,
    /// End the connection before any byte.
    pub refuse: Option<Refusal>,
    /// Answer with this status and the protocol's error envelope.
    pub status: Option<u16>,
    /// `retry-after` of an error answer, in whatever form.
    pub retry_after: Option<String>,
    /// Answer 307 with this `location`; `""` is the cloud's metadata address.
    pub redirect: Option<String>,
    /// Hold the call before the status line until [`super::Provider::release`].
    pub wait_for_release: Option<bool>,
    /// Hold the stream after so many events until [`super::Provider::release`].
    pub hold_after_events: Option<u32>,
    /// Reset the connection after so many events (half a body, when the call does not stream).
    pub reset_after_events: Option<u32>,
    /// End the body cleanly after so many events (half a body, when the call does not stream).
    pub truncate_after_events: Option<u32>,
    /// Say nothing more after so many whole events, connection open.
    pub silent_after_events: Option<u32>,
    /// Say nothing more in the middle of the event after so many.
    pub silent_mid_line: Option<u32>,
    /// Write in pieces of so many bytes, each a chunk of the transfer encoding.
    pub chunk_bytes: Option<usize>,
    /// Wait so long after every event.
    pub delay_event_ms: Option<u64>,
    /// How lines end. Unsaid, with CRLF in Gemini's streams and LF in others.
    pub eol: Option<Eol>,
    /// Begin with a byte order mark.
    pub bom: Option<bool>,
    /// Put comment lines between events, and inside them.
    pub comments: Option<bool>,
    /// Put lines of no known field between events, and inside them.
    pub non_event_lines: Option<bool>,
    /// Leave the `event:` lines away.
    pub drop_event_lines: Option<bool>,
    /// End without the blank line that closes the last event.
    pub no_final_blank_line: Option<bool>,
    /// End with `data: [DONE]`, or not. Unsaid, chat completions do and others do not.
    pub done_marker: Option<bool>,
    /// Compress, although identity was asked for.
    pub gzip: Option<bool>,
    /// Answer 200 with a body that is no JSON (in a stream: in the first delta's data).
    pub invalid_json: Option<bool>,
    /// The text of the answer, split at word boundaries into deltas.
    pub text: Option<String>,
    /// Texts for inputs that contain something; the first that fits is taken, `text` if none does.
    pub answers: Option<Vec<Scripted>>,
    /// The number of words, and so of deltas, when `text` is not given.
    pub words: Option<u32>,
    /// The text of the answer to results of tools, instead of `text`.
    pub text_after_tools: Option<String>,
    /// The tools that are called. Once: results of tools are answered with text.
    pub tool_calls: Option<Vec<ScriptedCall>>,
    /// Send the arguments of several calls by turns (chat completions).
    pub interleave: Option<bool>,
    /// What the model thinks first. Shown as far as the request asks for it, as real providers do.
    pub reasoning: Option<String>,
    /// The member of a chat completion that holds the reasoning: `reasoning_content` if not given.
    pub reasoning_field: Option<String>,
    /// The model's refusal.
    pub refusal: Option<String>,
    /// How the answer ends.
    pub terminal: Option<Terminal>,
    /// The reason for the end, in the protocol's own word, instead of what `terminal` means there.
    pub stop_reason: Option<String>,
    /// Gemini's reason to answer nothing to this prompt.
    pub block_reason: Option<String>,
    /// The usage to report instead of what was counted.
    pub usage: Option<Tokens>,
    /// Whether the response object repeats the request's instructions, as OpenAI's does. On unless `false`.
    pub echo_instructions: Option<bool>,
}

/// An answer to inputs that contain something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// What the input contains, as it stands in the request's JSON.
    pub when: String,
    /// The text of the answer.
    pub text: String,
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCall {
    /// The tool's name.
    pub name: String,
    /// Its arguments, as the model writes them: JSON if it writes well.
    pub arguments: String,
    /// The call's id; made up if not given.
    #[serde(default)]
    pub id: Option<String>,
}

/// How a connection is ended before any byte of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// With FIN.
    Close,
    /// With RST.
    Reset,
}

/// How lines of an event stream end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eol {
    /// `\n`.
    #[default]
    Lf,
    /// `\r\n`.
    Crlf,
    /// `\r`.
    Cr,
}

/// How an answer ends: in the Responses protocol the last event and the status, in others what is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terminal {
    /// `response.completed`.
    #[default]
    Completed,
    /// `response.incomplete`, for `max_output_tokens`.
    Incomplete,
    /// `response.incomplete`, for `content_filter`.
    Filtered,
    /// `error`, then `response.failed`.
    Failed,
}

/// Token counts to report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Of the request, those from and for the cache included.
    pub input_tokens: u64,
    /// Of the answer, the reasoning included.
    pub output_tokens: u64,
    /// Of the request, those read from the cache.
    #[serde(default)]
    pub cached_tokens: u64,
    /// Of the request, those written into the cache, where a provider says so.
    #[serde(default)]
    pub cache_write_tokens: u64,
    /// Of the answer, those spent on reasoning.
    #[serde(default)]
    pub reasoning_tokens: u64,
}

impl Tokens {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl Knobs {
    /// These knobs, and below them, for what they do not say, `base`.
    pub(super) fn over(&self, base: &Self) -> Self {
        let mut merged = base.to_map();
        merged.extend(self.to_map());
        // Both maps came from knobs, so their union is knobs.
        serde_json::from_value(Value::Object(merged)).unwrap_or_default()
    }

    fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        }
    }

    /// The text that is wanted for this input, if any is.
    pub(super) fn text_for(&self, input: &str) -> Option<&str> {
        let scripted = self.answers.iter().flatten().find(|answer| input.contains(&answer.when));
        scripted.map(|answer| answer.text.as_str()).or(self.text.as_deref())
    }

    pub(super) fn on(knob: Option<bool>) -> bool {
        knob.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::{Eol, Knobs, Scripted};

    #[test]
    fn a_call_says_more_than_its_model_and_a_model_more_than_the_provider() {
        let base = Knobs { words: Some(3), eol: Some(Eol::Cr), ..Knobs::default() };
        let call = Knobs { words: Some(7), gzip: Some(true), ..Knobs::default() };
        let both = call.over(&base);
        assert_eq!((both.words, both.eol, both.gzip), (Some(7), Some(Eol::Cr), Some(true)));
    }

    #[test]
    fn a_scripted_answer_comes_before_the_text_of_all() {
        let answers = vec![Scripted { when: "[7]".into(), text: "seven".into() }];
        let knobs = Knobs { answers: Some(answers), text: Some("other".into()), ..Knobs::default() };
        assert_eq!((knobs.text_for("task [7]"), knobs.text_for("task [77]")), (Some("seven"), Some("other")));
    }

    #[test]
    fn a_knob_that_does_not_exist_is_refused() {
        assert!(serde_json::from_str::<Knobs>(r#"{"wrods": 3}"#).is_err());
    }
}
