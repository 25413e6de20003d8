//! `Range: bytes=…` of a download: one range, or the whole (RFC 9110 §14). Pure.

use std::ops::Range;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing that there is.
    Unsatisfiable,
}

/// Reads the header for something of `length` bytes. What cannot be read, and several ranges, mean the whole: a range is
/// an offer that a server may ignore.
pub(super) fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some(ranges) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = ranges.split_once('-') else { return Wanted::Whole };
    let number = |text: &str| {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Beyond what a number can hold is beyond the end.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (first.trim().is_empty(), number(first), last.trim().is_empty(), number(last)) {
        (false, Some(first), true, _) => first..length,
        (false, Some(first), false, Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (true, _, false, Some(suffix)) => length.saturating_sub(suffix)..length,
        _ => return Wanted::Whole,
    };
    if range.start >= length || range.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-3"), Wanted::Part(0..4)),
            (Some("bytes=4-"), Wanted::Part(4..10)),
            (Some("bytes=-3"), Wanted::Part(7..10)),
            (Some("bytes=-100"), Wanted::Part(0..10)),
            (Some("bytes=9-99999999999999999999999"), Wanted::Part(9..10)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=10-20"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=99999999999999999999999-"), Wanted::Unsatisfiable),
            (Some("bytes=3-1"), Wanted::Whole),
            (Some("bytes=a-b"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
            (Some("bytes="), Wanted::Whole),
            (Some("lines=0-3"), Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_and_is_never_empty(header in "bytes=[0-9]{0,21}-[0-9]{0,21}", length: u64) {
            if let Wanted::Part(range) = wanted(Some(&header), length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
