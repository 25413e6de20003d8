//! Words, as the measures cut them, and runs of words, counted.

use regex::Regex;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

/// Words of mteval-v13a, the tokenizer of BLEU's shared tasks: punctuation stands alone, except in numbers.
pub(super) fn words_13a(text: &str) -> Vec<String> {
    let text = text.trim_end().replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let mut text = format!(" {text} ");
    for (pattern, replacement) in STEPS_13A.iter() {
        if let Cow::Owned(replaced) = pattern.replace_all(&text, *replacement) {
            text = replaced;
        }
    }
    text.split_whitespace().map(str::to_owned).collect()
}

static STEPS_13A: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let steps = [
        // Everything of ASCII that is neither a letter nor a digit, but `'`, `,`, `-` and `.`.
        (r"([\{-~\[-` -\&\(-\+:-@/])", " $1 "),
        // A period or a comma, unless a digit is before it; then, unless one is after it.
        (r"([^0-9])([\.,])", "$1 $2 "),
        (r"([\.,])([^0-9])", " $1 $2"),
        // A dash after a digit.
        (r"([0-9])(-)", "$1 $2 "),
    ];
    steps.into_iter().filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with))).collect()
});

/// Words of rouge-score: runs of `a-z0-9` in the text in lower case.
pub(super) fn words_rouge(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit()));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The text as RapidFuzz's `default_process` leaves it: letters and digits in lower case, all else a space.
pub(super) fn processed(text: &str) -> Vec<char> {
    let spaced = NO_WORD.as_ref().map_or(Cow::Borrowed(text), |pattern| pattern.replace_all(text, " "));
    spaced.trim().chars().map(lower).collect()
}

/// Letters and numbers, without the marks and the `_` that Python and Unicode count among a word's.
static NO_WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[^\p{L}\p{N}]").ok());

/// A letter in lower case, if that is one letter.
fn lower(letter: char) -> char {
    let mut lower = letter.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

/// How often each run of `n` words occurs.
pub(super) fn ngrams(words: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for run in words.windows(n) {
        *counts.entry(run).or_insert(0) += 1;
    }
    counts
}

/// How many runs of `n` words both have.
pub(super) fn common(input: &[String], reference: &[String], n: usize) -> usize {
    let in_reference = ngrams(reference, n);
    let shared = ngrams(input, n).into_iter();
    shared.map(|(run, count)| count.min(in_reference.get(run).copied().unwrap_or(0))).sum()
}

/// Words of both texts by number: what is equal has the same.
pub(super) fn numbered(input: &[String], reference: &[String]) -> (Vec<u32>, Vec<u32>) {
    let mut numbers = BTreeMap::new();
    let mut number = |word: &String| {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.entry(word.clone()).or_insert(next)
    };
    let input = input.iter().map(&mut number).collect();
    (input, reference.iter().map(&mut number).collect())
}
