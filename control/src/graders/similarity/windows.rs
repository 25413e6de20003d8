//! The longest common subsequence of a text with every window of another, from one pass over all pairs of letters.
//!
//! The pass computes for each letter of the text from which start of a window on it counts: the common subsequence with
//! a window is as long as there are letters in it that count from its start on (Alves, Cáceres and Song 2008). It takes
//! one step for each pair of letters, whatever the texts are: nobody can make it slower than that.

/// For each letter of the text, the first start of a window in which it counts.
pub(super) fn counts_from(needle: &[char], text: &[char]) -> Vec<usize> {
    let mut from: Vec<usize> = (1..=text.len()).collect();
    for letter in needle {
        let mut carried = 0;
        for (own, other) in from.iter_mut().zip(text) {
            let (least, most) = (carried.min(*own), carried.max(*own));
            let (kept, passed) = if letter == other { (carried, *own) } else { (most, least) };
            *own = kept;
            carried = passed;
        }
    }
    from
}

/// The common subsequences with the windows of `length` letters, by their starts; those at the end are shorter.
pub(super) fn windows(from: &[usize], length: usize) -> Vec<usize> {
    // A letter counts for the windows that start between `first` and its own place, as far as there are any.
    let mut changes = vec![0_isize; from.len() + 1];
    let mut change = |at: usize, by: isize| {
        if let Some(change) = changes.get_mut(at) {
            *change += by;
        }
    };
    for (place, own) in from.iter().enumerate() {
        let first = (*own).max((place + 1).saturating_sub(length));
        if first <= place {
            change(first, 1);
            change(place + 1, -1);
        }
    }
    let mut sum = 0_isize;
    let sums = changes.into_iter().map(|change| {
        sum += change;
        sum.unsigned_abs()
    });
    sums.take(from.len()).collect()
}

/// The common subsequences with the first 1, 2, … letters.
pub(super) fn prefixes(from: &[usize]) -> Vec<usize> {
    let mut count = 0;
    let counted = from.iter().map(|own| {
        count += usize::from(*own == 0);
        count
    });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rapidfuzz::distance::lcs_seq;

    proptest! {
        #[test]
        fn every_window_has_the_common_subsequence_that_it_has_alone(
            needle in "[abc]{1,12}", text in "[abcd]{1,30}", length in 1..30_usize,
        ) {
            let (needle, text): (Vec<char>, Vec<char>) = (needle.chars().collect(), text.chars().collect());
            let alone = |window: &[char]| lcs_seq::similarity(needle.iter().copied(), window.iter().copied());
            let from = counts_from(&needle, &text);
            for (start, common) in windows(&from, length).into_iter().enumerate() {
                let end = text.len().min(start + length);
                prop_assert_eq!(common, alone(&text[start..end]), "{}..{}", start, end);
            }
            for (at, common) in prefixes(&from).into_iter().enumerate() {
                prop_assert_eq!(common, alone(&text[..=at]));
            }
        }
    }
}
