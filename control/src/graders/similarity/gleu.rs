//! `gleu`: the runs of 1 to 4 words that both have, of those of the text that has more.

use super::words::{common, words_13a};

/// Longest run of words.
const ORDER: usize = 4;

/// nltk's sentence GLEU: the smaller of precision and recall.
pub(super) fn score(input: &str, reference: &str) -> f64 {
    let (input, reference) = (words_13a(input), words_13a(reference));
    let runs = |words: usize| (1..=ORDER).map(|n| (words + 1).saturating_sub(n)).sum::<usize>();
    let all = runs(input.len()).max(runs(reference.len()));
    let matches: usize = (1..=ORDER).map(|n| common(&input, &reference, n)).sum();
    if all == 0 { 0.0 } else { matches as f64 / all as f64 }
}
