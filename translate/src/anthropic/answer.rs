//! An answer in one piece: a stream of blocks that are whole from the beginning.
//!
//! Invariant: the facts are those of the same answer streamed, with the texts in one piece each, and the arguments of
//! calls byte for byte.

use super::{blocks::Blocks, ending, ending::Counts};
use crate::{call::Malformed, fact::Fact};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
}

/// Arguments as they were written: a parsed object would forget the order of its members.
#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// Reads the answer to a call that did not ask for events.
///
/// # Errors
/// [`Malformed`] if it is not a message of the API.
pub fn whole(body: &[u8]) -> Result<Vec<Fact>, Malformed> {
    let malformed = |error: serde_json::Error| Malformed(format!("not a message: {error}"));
    let message: Value = serde_json::from_slice(body).map_err(malformed)?;
    let Message { content } = serde_json::from_slice(body).map_err(malformed)?;

    let mut facts = Vec::new();
    let mut blocks = Blocks::default();
    for (index, raw) in (0..).zip(content) {
        let block: Value = serde_json::from_str(raw.get()).map_err(malformed)?;
        let input = serde_json::from_str::<Input<'_>>(raw.get()).ok().and_then(|block| block.input);
        blocks.start(index, &block, input.map(|input| input.get().to_owned()), &mut facts)?;
        blocks.stop(index, &mut facts);
    }
    let mut counts = Counts::default();
    counts.read(message.get("usage"));
    facts.push(counts.usage());
    facts.extend(ending::ending(&message));
    Ok(facts)
}
