//! The two ways in which an answer comes: as events, and whole.
//!
//! Invariant: a whole answer gives the facts of the stream that has it as its only event.

use super::answer::Teller;
use super::error;
use super::wire::Chunk;
use crate::call::Malformed;
use crate::fact::Fact;
use crate::sse;

/// Reads the events of `streamGenerateContent?alt=sse`. There is no last event: the stream ends.
#[derive(Debug, Default)]
pub struct Reader {
    teller: Teller,
}

impl Reader {
    /// What an event says. Its data is a chunk, or an error in the middle of a stream.
    ///
    /// # Errors
    ///
    /// It is no JSON of the documented form, holds what no fact can say, or goes on after the answer's end.
    pub fn event(&mut self, event: &sse::Event) -> Result<Vec<Fact>, Malformed> {
        told(&mut self.teller, &event.data)
    }
}

/// What an answer of `generateContent` says.
///
/// # Errors
///
/// As [`Reader::event`], or it does not say how it ended.
pub fn whole(body: &[u8]) -> Result<Vec<Fact>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|error| Malformed(error.to_string()))?;
    let mut teller = Teller::default();
    let facts = told(&mut teller, text)?;
    if !teller.ended() {
        return Err(Malformed("neither a reason why it ended nor why it was blocked".to_owned()));
    }
    Ok(facts)
}

fn told(teller: &mut Teller, data: &str) -> Result<Vec<Fact>, Malformed> {
    if data.trim_start().starts_with('[') {
        let error = error::in_stream(data).ok_or_else(|| Malformed("a list that is no error".to_owned()))?;
        return Ok(teller.fail(error));
    }
    let chunk = Chunk::read(data)?;
    match chunk.error.as_ref().and_then(|_| error::in_stream(data)) {
        Some(error) => Ok(teller.fail(error)),
        None => teller.chunk(chunk),
    }
}
