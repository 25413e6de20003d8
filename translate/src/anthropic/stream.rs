//! The events of an answer as facts.
//!
//! "New event types may be added, and your code should handle unknown event types gracefully"
//! (<https://platform.claude.com/docs/en/build-with-claude/streaming#error-events>): they are passed over, as `ping` is.
//!
//! Invariant: every event gives its facts at once, in the provider's order; after the answer's end there are none.

use super::{blocks::Blocks, ending, ending::Counts, error};
use crate::{call::Malformed, fact::Fact, sse};
use serde_json::Value;

/// Reads one answer.
#[derive(Debug, Default)]
pub struct Reader {
    blocks: Blocks,
    counts: Counts,
    has_ended: bool,
}

impl Reader {
    /// What the event says.
    ///
    /// # Errors
    /// [`Malformed`] if the event is one of the API's and is not what the API says it is.
    pub fn event(&mut self, event: &sse::Event) -> Result<Vec<Fact>, Malformed> {
        let mut facts = Vec::new();
        if self.has_ended || !is_of_the_api(&event.name) {
            return Ok(facts);
        }
        let data: Value = serde_json::from_str(&event.data)
            .map_err(|error| Malformed(format!("an event `{}` is not JSON: {error}", event.name)))?;
        // Name and type are the same; some who stand between send no names.
        match data.get("type").and_then(Value::as_str).unwrap_or(&event.name) {
            "message_start" => self.counted(data.get("message"), &mut facts),
            "content_block_start" => self.start(&data, &mut facts)?,
            "content_block_delta" => {
                self.blocks.delta(index(&data)?, member(&data, "delta")?, &mut facts)?;
            }
            "content_block_stop" => self.blocks.stop(index(&data)?, &mut facts),
            "message_delta" => {
                self.counted(Some(&data), &mut facts);
                // Who stands between sends one more at times, for the usage alone.
                facts.extend(data.get("delta").map(ending::ending).unwrap_or_default());
            }
            "message_stop" => self.has_ended = true,
            "error" => {
                self.has_ended = true;
                facts.push(Fact::Failed(error::in_stream(&data)));
            }
            _ => {}
        }
        Ok(facts)
    }

    fn start(&mut self, data: &Value, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        let block = member(data, "content_block")?;
        // The API tells arguments bit by bit; who tells them at once tells more than `{}` here.
        let input = block.get("input").and_then(Value::as_object).filter(|input| !input.is_empty());
        let input = input.and_then(|input| serde_json::to_string(input).ok());
        self.blocks.start(index(data)?, block, input, facts)
    }

    fn counted(&mut self, of: Option<&Value>, facts: &mut Vec<Fact>) {
        if let Some(usage) = of.and_then(|of| of.get("usage")) {
            self.counts.read(Some(usage));
            facts.push(self.counts.usage());
        }
    }
}

/// Events that the API may send; `message` is the name of one that has none.
fn is_of_the_api(name: &str) -> bool {
    matches!(
        name,
        sse::DEFAULT_NAME
            | "message_start"
            | "content_block_start"
            | "content_block_delta"
            | "content_block_stop"
            | "message_delta"
            | "message_stop"
            | "error"
    )
}

fn member<'a>(data: &'a Value, name: &str) -> Result<&'a Value, Malformed> {
    data.get(name).ok_or_else(|| Malformed(format!("an event has no `{name}`")))
}

fn index(data: &Value) -> Result<u64, Malformed> {
    let index = data.get("index").and_then(Value::as_u64);
    index.ok_or_else(|| Malformed("an event has no `index` of a content block".into()))
}
