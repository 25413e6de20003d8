//! `string_check`: two texts, letter by letter. Nothing is trimmed and nothing is folded but the case in `ilike`.

use super::grader::Operation;

/// Whether the check holds. `like` and `ilike` ask whether the input contains the reference; there are no wildcards.
#[must_use]
pub fn holds(operation: Operation, input: &str, reference: &str) -> bool {
    match operation {
        Operation::Eq => input == reference,
        Operation::Ne => input != reference,
        Operation::Like => input.contains(reference),
        Operation::Ilike => input.to_lowercase().contains(&reference.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_operations() {
        use Operation::{Eq, Ilike, Like, Ne};
        let cases = [
            (Eq, "Paris", "Paris", true),
            (Eq, "Paris ", "Paris", false),
            (Eq, "paris", "Paris", false),
            (Ne, "Paris", "Paris", false),
            (Ne, "paris", "Paris", true),
            (Like, "It is Paris.", "Paris", true),
            (Like, "It is paris.", "Paris", false),
            (Like, "Paris", "It is Paris.", false),
            (Like, "100 %", "%", true),
            (Like, "abc", "a%c", false),
            (Like, "abc", "", true),
            (Ilike, "It is PARIS.", "paris", true),
            (Ilike, "STRASSE", "straße", false),
            (Ilike, "ÄPFEL", "äpfel", true),
        ];
        for (operation, input, reference, expected) in cases {
            assert_eq!(holds(operation, input, reference), expected, "{operation:?} {input} {reference}");
        }
    }
}
