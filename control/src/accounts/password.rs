//! What may become a password: long enough, hard to guess, and not known from breaches. All of it is decided offline.
//!
//! Lengths after OWASP's Authentication Cheat Sheet (at least 8 characters, no rules of composition, at least 64 must be
//! possible). The list of breached passwords is Django 5.2's (`common_passwords.txt`, BSD-3-Clause, licence beside it;
//! Royce Williams made it from Have I Been Pwned), without those that are too short here anyway.

use alphagate_contract::secret::Secret;
use serde::Deserialize;
use zxcvbn::Score;

/// Shortest password, characters. Two more than OWASP's least: a second factor is still to come.
const LEN_MIN: usize = 10;
/// Longest password, characters: a sentence fits, and guessing how strong it is stays cheap.
const LEN_MAX: usize = 128;
/// zxcvbn's «safely unguessable: moderate protection from offline slow-hash scenario», at least 10^8 guesses.
const SCORE_MIN: Score = Score::Three;
/// One a line, in lower case.
const BREACHED: &str = include_str!("common_passwords.txt");

/// A password as somebody typed it.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = Password, min_length = 1, max_length = 128)]
pub(crate) struct Password(Secret<String>);

impl Password {
    pub(crate) fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// Refuses what must not become somebody's password; `about` is what an attacker would know of them.
    pub(crate) fn check(&self, about: &[&str]) -> Result<(), String> {
        let text = self.reveal();
        if text.chars().count() < LEN_MIN {
            return Err(format!("must have at least {LEN_MIN} characters"));
        }
        let lower = text.to_lowercase();
        // 80 KB are looked through in microseconds; the hash that follows takes milliseconds.
        if BREACHED.lines().any(|line| line == lower) {
            return Err("is one of the passwords that are tried first: it is known from breaches".to_owned());
        }
        let guessed = zxcvbn::zxcvbn(text, about);
        if guessed.score() >= SCORE_MIN {
            return Ok(());
        }
        let why = guessed.feedback().and_then(|feedback| feedback.warning()).map(|why| why.to_string());
        let why = why.unwrap_or_else(|| "Several words that do not belong together are better.".to_owned());
        Err(format!("is too easy to guess. {why}"))
    }
}

impl TryFrom<String> for Password {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if (1..=LEN_MAX).contains(&text.chars().count()) {
            return Ok(Self(Secret::new(text)));
        }
        Err(format!("must have between 1 and {LEN_MAX} characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        Password::try_from(text.to_owned()).unwrap().check(&["ada@example.org", "ada", "Ada Lovelace"])
    }

    #[test]
    fn no_line_of_the_list_may_become_a_password() {
        let lines: Vec<&str> = BREACHED.lines().collect();
        assert!(lines.len() > 8_000);
        for line in lines.iter().step_by(20) {
            let (refused, shouted) = (check(line), check(&line.to_uppercase()));
            assert!(refused.is_err() && shouted.is_err(), "{line}");
            assert!(line.len() < LEN_MIN || refused.unwrap_err().contains("breaches"), "{line}");
        }
    }

    #[test]
    fn what_is_short_breached_or_guessed_is_refused_with_the_reason() {
        for (password, why) in [
            ("x7#kQ9!zL", "at least 10"),
            ("1234567890", "breaches"),
            ("QWERTYUIOP", "breaches"),
            ("ada@example.org", "guess"),
            ("aaaaaaaaaaaaaaaaaaaa", "guess"),
            ("password2026", "guess"),
        ] {
            let refused = check(password).unwrap_err();
            assert!(refused.contains(why), "{password}: {refused}");
        }
        for good in ["correct horse battery staple", "tuba-ginger-97-marsh", "жираф под зонтом играет"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_password_is_never_printed_nor_said_in_an_error() {
        let long = "s3cret".repeat(40);
        assert!(!Password::try_from(long).unwrap_err().contains("s3cret"));
        let password = Password::try_from("s3cret words".to_owned()).unwrap();
        assert!(!format!("{password:?}").contains("s3cret"));
    }
}
