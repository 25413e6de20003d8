//! `rouge_1` … `rouge_5` and `rouge_l`: F1 of what input and reference have in common.

use super::words::{common, numbered, words_rouge};
use rapidfuzz::distance::lcs_seq;

/// F1 of runs of `n` words.
pub(super) fn ngrams(n: usize, input: &str, reference: &str) -> f64 {
    let (input, reference) = (words_rouge(input), words_rouge(reference));
    let runs = |words: usize| (words + 1).saturating_sub(n).max(1);
    f1(common(&input, &reference, n), runs(input.len()), runs(reference.len()))
}

/// F1 of the longest sequence of words that both have, with gaps.
pub(super) fn longest_subsequence(input: &str, reference: &str) -> f64 {
    let (input, reference) = (words_rouge(input), words_rouge(reference));
    if input.is_empty() || reference.is_empty() {
        return 0.0;
    }
    let (left, right) = numbered(&input, &reference);
    let longest = lcs_seq::similarity(left.iter().copied(), right.iter().copied());
    f1(longest, input.len(), reference.len())
}

fn f1(common: usize, input: usize, reference: usize) -> f64 {
    let (precision, recall) = (common as f64 / input as f64, common as f64 / reference as f64);
    if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
}
