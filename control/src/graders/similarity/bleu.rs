//! `bleu`: how many of the input's runs of 1 to 4 words are the reference's, and whether it is too short.

use super::words::{common, words_13a};

/// Longest run of words.
const ORDER: usize = 4;

/// sacrebleu's sentence BLEU: a run length without a match counts half of the one before, and run lengths that the
/// input is too short for do not count.
pub(super) fn score(input: &str, reference: &str) -> f64 {
    let (input, reference) = (words_13a(input), words_13a(reference));
    let matches: Vec<usize> = (1..=ORDER).map(|n| common(&input, &reference, n)).collect();
    if matches.iter().all(|count| *count == 0) {
        return 0.0;
    }
    let (mut logs, mut orders, mut smooth) = (0.0, 0.0, 1.0);
    for (n, count) in (1..=ORDER).zip(&matches) {
        let total = (input.len() + 1).saturating_sub(n);
        if total == 0 {
            break;
        }
        orders += 1.0;
        logs += if *count == 0 {
            smooth *= 2.0;
            (1.0 / (smooth * total as f64)).ln()
        } else {
            (*count as f64 / total as f64).ln()
        };
    }
    let too_short = input.len() < reference.len();
    let brevity = if too_short { (1.0 - reference.len() as f64 / input.len() as f64).exp() } else { 1.0 };
    brevity * f64::exp(logs / orders)
}
