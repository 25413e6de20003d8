//! `fuzzy_match`: RapidFuzz's `WRatio`, the greatest of several ratios of letters, each with its weight.
//!
//! A ratio is twice the longest common subsequence by the letters of both. Ratios of sorted words do not mind their
//! order, ratios of sets not their number; if one text is much longer, its best window is compared.

use super::{
    windows::{counts_from, prefixes, windows},
    words::processed,
};
use rapidfuzz::distance::lcs_seq;
use std::collections::BTreeSet;

/// Weights of ratios of words, and of windows in a text that is up to, and more than, eight times as long.
const WORDS: f64 = 0.95;
const WINDOW: f64 = 0.9;
const SMALL_WINDOW: f64 = 0.6;
/// From which proportion of lengths on windows are compared, and from which on with the smaller weight.
const LONGER: f64 = 1.5;
const MUCH_LONGER: f64 = 8.0;

/// `WRatio` with `default_process`, from 0 to 1.
pub(super) fn weighted_ratio(input: &str, reference: &str) -> f64 {
    let (input, reference) = (processed(input), processed(reference));
    if input.is_empty() || reference.is_empty() {
        return 0.0;
    }
    let (left, right) = (Words::of(&input), Words::of(&reference));
    let whole = ratio(&input, &reference);
    let (shorter, longer) = (input.len().min(reference.len()), input.len().max(reference.len()));
    let proportion = longer as f64 / shorter as f64;
    if proportion < LONGER {
        return whole
            .max(WORDS * set_ratio(&left, &right))
            .max(WORDS * ratio(&left.sorted(), &right.sorted()));
    }
    let weight = if proportion <= MUCH_LONGER { WINDOW } else { SMALL_WINDOW };
    whole.max(weight * best_window(&input, &reference)).max(WORDS * weight * words_window(&left, &right))
}

/// The words of a text.
struct Words {
    all: Vec<Vec<char>>,
    set: BTreeSet<Vec<char>>,
}

impl Words {
    fn of(text: &[char]) -> Self {
        let words = text.split(|letter| letter.is_whitespace());
        let all: Vec<Vec<char>> = words.filter(|word| !word.is_empty()).map(<[char]>::to_vec).collect();
        Self { set: all.iter().cloned().collect(), all }
    }

    fn sorted(&self) -> Vec<char> {
        let mut words = self.all.clone();
        words.sort_unstable();
        words.join(&' ')
    }

    /// Those that the other has not, in order, as a text.
    fn without(&self, other: &Self) -> Vec<char> {
        let own: Vec<Vec<char>> = self.set.difference(&other.set).cloned().collect();
        own.join(&' ')
    }
}

fn ratio(left: &[char], right: &[char]) -> f64 {
    let letters = left.len() + right.len();
    if letters == 0 {
        return 1.0;
    }
    2.0 * common(left, right) as f64 / letters as f64
}

fn common(left: &[char], right: &[char]) -> usize {
    lcs_seq::similarity(left.iter().copied(), right.iter().copied())
}

/// Words as sets: those that both have, alone and with those that only one has, against each other.
fn set_ratio(left: &Words, right: &Words) -> f64 {
    let shared: Vec<&Vec<char>> = left.set.intersection(&right.set).collect();
    let (only_left, only_right) = (left.without(right), right.without(left));
    if left.set.is_empty() || right.set.is_empty() {
        return 0.0;
    }
    if !shared.is_empty() && (only_left.is_empty() || only_right.is_empty()) {
        return 1.0;
    }
    let shared_len = shared.iter().map(|word| word.len() + 1).sum::<usize>().saturating_sub(1);
    let space = usize::from(shared_len > 0);
    let (left_len, right_len) = (shared_len + space + only_left.len(), shared_len + space + only_right.len());
    let apart = only_left.len() + only_right.len() - 2 * common(&only_left, &only_right);
    let likeness = |distance: usize, letters: usize| 1.0 - distance as f64 / letters as f64;
    let both = likeness(apart, left_len + right_len);
    if shared_len == 0 {
        return both;
    }
    let with_left = likeness(space + only_left.len(), shared_len + left_len);
    let with_right = likeness(space + only_right.len(), shared_len + right_len);
    both.max(with_left).max(with_right)
}

/// Words in a window: all of them sorted, or only those that the texts do not share.
fn words_window(left: &Words, right: &Words) -> f64 {
    if left.set.is_empty() || right.set.is_empty() {
        return 0.0;
    }
    if left.set.intersection(&right.set).next().is_some() {
        return 1.0;
    }
    let sorted = best_window(&left.sorted(), &right.sorted());
    if left.all.len() == left.set.len() && right.all.len() == right.set.len() {
        return sorted;
    }
    sorted.max(best_window(&left.without(right), &right.without(left)))
}

/// The ratio of the shorter text and the window of the longer that is most like it.
fn best_window(left: &[char], right: &[char]) -> f64 {
    match left.len().cmp(&right.len()) {
        std::cmp::Ordering::Less => window_in(left, right),
        std::cmp::Ordering::Greater => window_in(right, left),
        std::cmp::Ordering::Equal => window_in(left, right).max(window_in(right, left)),
    }
}

/// Windows as long as the needle, and those that the ends of the text cut off.
fn window_in(needle: &[char], text: &[char]) -> f64 {
    if needle.is_empty() {
        return if text.is_empty() { 1.0 } else { 0.0 };
    }
    let length = needle.len();
    let from = counts_from(needle, text);
    let full_or_last = windows(&from, length).into_iter().enumerate().map(|(start, common)| {
        let end = text.len().min(start + length);
        2.0 * common as f64 / (length + end - start) as f64
    });
    let first = prefixes(&from)
        .into_iter()
        .take(length)
        .enumerate()
        .map(|(at, common)| 2.0 * common as f64 / (length + at + 1) as f64);
    full_or_last.chain(first).fold(0.0, f64::max)
}
