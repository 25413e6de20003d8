//! What the provider says: a haiku chosen by the input, or as many words as are wanted.
//!
//! Invariant: the same input gets the same text, and the words joined are the text, byte for byte.

use sha2::{Digest, Sha256};

/// Beyond ASCII on purpose: a proxy that splits or re-encodes characters shows at once.
const HAIKU: [&str; 4] = [
    "An old silent pond —\na frog jumps into the pond,\nsplash! Silence again.",
    "Over the wintry\nforest, winds howl in rage with\nno leaves to blow. 風",
    "The light of a candle\nis transferred to another candle —\nspring twilight. 🌸",
    "In the café’s rain\nthe naïve umbrella dreams\nof déjà vu… ☂",
];

/// The pieces of the answer, one per delta, each a word with the space after it.
pub(super) fn pieces(input: &str, text: Option<&str>, words: Option<u32>) -> Vec<String> {
    let haiku = pick(input);
    match (text, words) {
        (Some(text), _) => split(text),
        (None, None) => split(haiku),
        (None, Some(words)) => {
            let count = usize::try_from(words).unwrap_or(usize::MAX);
            let mut pieces: Vec<String> =
                haiku.split_whitespace().cycle().take(count).map(|word| format!("{word} ")).collect();
            if let Some(last) = pieces.last_mut() {
                last.pop();
            }
            pieces
        }
    }
}

fn pick(input: &str) -> &'static str {
    let digest = Sha256::digest(input.as_bytes());
    let index = usize::from(digest.first().copied().unwrap_or_default()) % HAIKU.len();
    HAIKU.get(index).copied().unwrap_or_default()
}

/// A text as its deltas.
pub(super) fn split(text: &str) -> Vec<String> {
    text.split_inclusive(char::is_whitespace).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn the_pieces_joined_are_the_text() {
        let text = "déjà  vu,\n\nagain 🌸 ";
        assert_eq!(pieces("", Some(text), None).concat(), text);
        assert_eq!(pieces("a", None, Some(5)).len(), 5);
        assert_eq!(pieces("a", None, Some(5)).concat().split(' ').count(), 5);
        assert_eq!(pieces("a", None, Some(0)), Vec::<String>::new());
    }
}
