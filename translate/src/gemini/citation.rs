//! Where the answer quotes a source, as annotations of its text.
//!
//! The API counts bytes of the text, the Responses protocol characters; so the text of the open message is remembered, with
//! the number of characters at every block's end. Only sources with a URL fit an annotation (`url_citation`); others are
//! passed over. Grounding does not occur, since the tools that it comes from are never asked for.
//!
//! Invariant: each citation is told once, however often the provider repeats it, and costs a block's length at most.

use super::wire::CitationSource;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Bytes between two remembered numbers: few enough to count through, many enough that the numbers weigh little.
const BLOCK_BYTES: usize = 256;

/// The open message's text.
#[derive(Debug, Default)]
pub(super) struct Cited {
    text: String,
    /// Characters that begin before each block.
    chars: Vec<usize>,
    told: BTreeSet<(usize, usize, String)>,
}

impl Cited {
    /// Bytes of the text so far.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// The text goes on.
    pub fn push(&mut self, more: &str) {
        self.text.push_str(more);
        while self.text.len() / BLOCK_BYTES > self.chars.len() {
            let block = self.chars.len() * BLOCK_BYTES;
            let bytes = self.text.as_bytes().iter().skip(block).take(BLOCK_BYTES);
            let before = self.chars.last().copied().unwrap_or_default();
            self.chars.push(before + bytes.filter(|byte| begins_char(**byte)).count());
        }
    }

    /// An annotation, if the source has a URL, lies within the text and was not told yet.
    pub fn annotation(&mut self, source: CitationSource) -> Option<Value> {
        let url = source.uri?;
        let (start, end) = (source.start_index.unwrap_or_default(), source.end_index?);
        if start > end || end > self.text.len() || !self.told.insert((start, end, url.clone())) {
            return None;
        }
        Some(json!({
            "type": "url_citation",
            "start_index": self.chars_before(start),
            "end_index": self.chars_before(end),
            "url": url,
            "title": source.title.unwrap_or_default(),
        }))
    }

    fn chars_before(&self, at: usize) -> usize {
        let blocks = at / BLOCK_BYTES;
        let before = blocks.checked_sub(1).and_then(|last| self.chars.get(last)).copied().unwrap_or_default();
        let rest = self.text.as_bytes().iter().skip(blocks * BLOCK_BYTES).take(at % BLOCK_BYTES);
        before + rest.filter(|byte| begins_char(**byte)).count()
    }
}

fn begins_char(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}
