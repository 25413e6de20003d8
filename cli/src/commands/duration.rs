//! Lengths of time on the command line: `90s`, `15m`, `12h`, `7d`.

/// Seconds of a length of time; a number alone is seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        other => return Err(format!("`{other}` is no unit; there are s, m, h and d")),
    };
    let number: u64 =
        digits.parse().map_err(|_| "must be a whole number and a unit, such as 15m".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_seconds() {
        let cases = [("0", 0), ("90", 90), ("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800)];
        for (text, expected) in cases {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for bad in ["", "m", "-1", "1.5h", "1w", "1 h", "99999999999999999999d", "999999999999999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
