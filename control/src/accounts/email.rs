//! E-mail addresses, as they are compared: one spelling each.
//!
//! Lower case throughout, though a local part might in theory tell cases apart: no provider does, people mix them up,
//! and two accounts for one mailbox would be a way into another's. Dots and `+tags` stay: what they mean is the provider's.

use serde::{Deserialize, Serialize};

/// Longest address that SMTP carries (RFC 5321, 4.5.3.1.3, less the brackets).
const EMAIL_MAX_LEN: usize = 254;
/// Longest part before the @ (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX_LEN: usize = 64;
/// What a local part may have beside letters and digits: the atoms of RFC 5322; nobody's mailbox needs quotes.
const LOCAL_MARKS: &str = ".!#$%&'*+/=?^_`{|}~-";

/// An address in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = "email", max_length = 254, example = "ada@example.org")]
pub(crate) struct Email(String);

impl Email {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the @.
    pub(crate) fn local(&self) -> &str {
        self.0.split('@').next().unwrap_or_default()
    }
}

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        normalised(text.trim())
            .map(Self)
            .ok_or("must be an e-mail address in ASCII, such as `ada@example.org`")
    }
}

fn normalised(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let fits = text.len() <= EMAIL_MAX_LEN && (1..=LOCAL_MAX_LEN).contains(&local.len());
    let plain =
        local.bytes().all(|byte| byte.is_ascii_alphanumeric() || LOCAL_MARKS.as_bytes().contains(&byte));
    let dotted = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    let labels: Vec<&str> = domain.split('.').collect();
    let label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits would be an IP address.
    let named = labels.last().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
    let is_domain = labels.len() > 1 && labels.iter().all(label) && named;
    (fits && plain && dotted && is_domain).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_has_one_spelling() {
        for (given, kept) in [
            ("ada@example.org", "ada@example.org"),
            (" Ada.L+x@Example.ORG\n", "ada.l+x@example.org"),
            ("o'hara@a-b.co.uk", "o'hara@a-b.co.uk"),
        ] {
            assert_eq!(Email::try_from(given.to_owned()).unwrap().as_str(), kept);
        }
        let long = format!("{}@example.org", "x".repeat(65));
        let longer = format!("x@{}org", "abcdefghi.".repeat(30));
        let bad = [
            "",
            "@",
            "ada",
            "ada@",
            "@example.org",
            "ada@localhost",
            "ada@127.0.0.1",
            "ada@[127.0.0.1]",
            "a@b@example.org",
            "ada @example.org",
            "ada@exam ple.org",
            ".ada@example.org",
            "a..b@example.org",
            "\"a b\"@example.org",
            "ada@-example.org",
            "ada@example..org",
            "ada@example.org.",
            "ada@example.org\r\nBcc: x@example.org",
            "ada@exämple.org",
            "ädä@example.org",
            &long,
            &longer,
        ];
        for bad in bad {
            assert!(Email::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again_alike_and_is_one_line_that_mail_takes(text in "[a-zA-Z0-9.+@ -]{0,40}") {
            if let Ok(email) = Email::try_from(text) {
                prop_assert_eq!(Email::try_from(email.as_str().to_uppercase()), Ok(email.clone()));
                prop_assert!(email.as_str().parse::<lettre::Address>().is_ok());
            }
        }
    }
}
