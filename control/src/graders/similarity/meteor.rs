//! `meteor`: words that match by themselves or by their stem, weighed nine to one for recall, less a penalty for
//! disorder. Without WordNet: a synonym is another word.

use super::{porter::stem, words::words_13a};
use std::collections::HashMap;

/// Weight of precision in the mean, and the penalty's size and shape: nltk's defaults.
const ALPHA: f64 = 0.9;
const GAMMA: f64 = 0.5;
const BETA: i32 = 3;

/// A word and its place in the text.
type Placed = (usize, String);

/// nltk's single METEOR score.
pub(super) fn score(input: &str, reference: &str) -> f64 {
    let lower = |text: &str| -> Vec<Placed> {
        words_13a(text).into_iter().map(|word| word.to_lowercase()).enumerate().collect()
    };
    let (input, reference) = (lower(input), lower(reference));
    let (input_len, reference_len) = (input.len() as f64, reference.len() as f64);
    let (mut matches, input, reference) = align(input, reference);
    let stems = |words: Vec<Placed>| words.into_iter().map(|(place, word)| (place, stem(&word))).collect();
    matches.extend(align(stems(input), stems(reference)).0);
    matches.sort_unstable();
    if matches.is_empty() {
        return 0.0;
    }
    let count = matches.len() as f64;
    let (precision, recall) = (count / input_len, count / reference_len);
    let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
    let penalty = GAMMA * (chunks(&matches) as f64 / count).powi(BETA);
    (1.0 - penalty) * mean
}

/// Pairs of places with the same word, each word of the input from its end on with the last free one of the reference;
/// and what is left of both.
fn align(input: Vec<Placed>, reference: Vec<Placed>) -> (Vec<(usize, usize)>, Vec<Placed>, Vec<Placed>) {
    let mut free: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, word) in &reference {
        free.entry(word.clone()).or_default().push(*place);
    }
    let mut matches = Vec::new();
    let mut rest = Vec::new();
    for (place, word) in input.into_iter().rev() {
        match free.get_mut(&word).and_then(Vec::pop) {
            Some(other) => matches.push((place, other)),
            None => rest.push((place, word)),
        }
    }
    rest.reverse();
    let taken: std::collections::HashSet<usize> = matches.iter().map(|(_, other)| *other).collect();
    let left = reference.into_iter().filter(|(place, _)| !taken.contains(place)).collect();
    (matches, rest, left)
}

/// In how many pieces the matches lie: within one, both texts go on word by word.
fn chunks(matches: &[(usize, usize)]) -> usize {
    let next = |a: &(usize, usize), b: &(usize, usize)| b.0 == a.0 + 1 && b.1 == a.1 + 1;
    1 + matches.iter().zip(matches.iter().skip(1)).filter(|(a, b)| !next(a, b)).count()
}
