//! What a publisher demands of requests and answers, written down once for many versions.
//!
//! A [`Policy`] is a document with revisions; a version names some, and control resolves them into the version's own
//! configuration when it is created ([`VersionConfig::under`]), so that the edge reads one document. Invariant: what is
//! resolved lets nothing through that one of its parts would not.
//!
//! [`VersionConfig::under`]: crate::endpoint::VersionConfig::under

mod merge;
mod moderation;

pub use moderation::{LooksAt, Moderation};

use crate::{
    endpoint::{ConfigError, NAMES_MAX, RETAIN_MAX_DAYS, Shape, refuse},
    name::{EndpointName, NameError},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Most policies that one version can refer to.
pub const POLICIES_MAX: usize = 16;
/// Most moderations of one version: each is a call before the provider's, and maybe one after it.
pub const MODERATIONS_MAX: usize = 4;

/// Fields that callers always have, so that no policy can take them.
const NEVER_LOCKED: [&str; 3] = ["model", "input", "stream"];

/// What requests and answers must satisfy. Every part is optional; what is not said is not demanded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PolicyDocument))]
pub struct Policy {
    /// What a request must look like.
    #[serde(default, skip_serializing_if = "Shape::is_default")]
    pub shape: Shape,
    /// Fields that callers may not set (`instructions` and any parameter).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locked: Vec<String>,
    /// How long responses may be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// What happens to personal data in the caller's text, by its kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pii: BTreeMap<PiiKind, PiiAction>,
    /// Who looks at texts, and what is too much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moderation: Vec<Moderation>,
}

/// A cap on how long responses are kept. Under one, nothing is kept at the provider: `allow.store`, `allow.background` and
/// `allow.conversation` of the version are off, because nobody here ends what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Retention {
    /// Most days; 0: nothing is kept.
    pub max_days: u16,
}

/// A kind of personal data that is found in text. What is found is what is written plainly: it is no wall against
/// somebody who wants to hide it, and images and files are not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum PiiKind {
    /// E-mail addresses; redacted to `[EMAIL]`.
    Email,
    /// Telephone numbers: with `+` and country code, or North American ones; redacted to `[PHONE]`.
    Phone,
    /// Social security numbers of the United States, with dashes or spaces; redacted to `[US_SSN]`.
    UsSsn,
    /// Numbers of payment cards, 13 to 19 digits with a right check digit (Luhn); redacted to `[PAYMENT_CARD]`.
    PaymentCard,
    /// IPv4 and IPv6 addresses; redacted to `[IP_ADDRESS]`.
    IpAddress,
}

impl PiiKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Email, Self::Phone, Self::UsSsn, Self::PaymentCard, Self::IpAddress];

    /// The kind's word, as it stands in documents, errors and flags.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::UsSsn => "us_ssn",
            Self::PaymentCard => "payment_card",
            Self::IpAddress => "ip_address",
        }
    }

    /// What stands where it stood.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "[EMAIL]",
            Self::Phone => "[PHONE]",
            Self::UsSsn => "[US_SSN]",
            Self::PaymentCard => "[PAYMENT_CARD]",
            Self::IpAddress => "[IP_ADDRESS]",
        }
    }
}

/// What happens when a kind of personal data is found; the stricter one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum PiiAction {
    /// A placeholder goes to the provider instead, and is what is kept.
    Redact,
    /// The request is refused.
    Refuse,
}

/// The name of a policy, spelled as endpoints' names are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,63}$", example = "school"))]
pub struct PolicyName(EndpointName);

impl PolicyName {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for PolicyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A policy that a version refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PolicyRef {
    /// Its name.
    pub name: PolicyName,
    /// Its revision; none: the newest when the version is created, which is what is read from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
}

impl Policy {
    /// Checks everything that needs neither database nor network.
    ///
    /// # Errors
    /// [`ConfigError`] for the first field that cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.shape.check()?;
        check_locked(&self.locked)?;
        if self.retention.is_some_and(|retention| retention.max_days > RETAIN_MAX_DAYS) {
            return refuse("retention.max_days", format!("at most {RETAIN_MAX_DAYS}; 0: nothing is kept"));
        }
        moderation::check(&self.moderation)
    }
}

/// Checks what callers may not set.
pub(crate) fn check_locked(locked: &[String]) -> Result<(), ConfigError> {
    if locked.len() > NAMES_MAX {
        return refuse("locked", format!("at most {NAMES_MAX} names"));
    }
    match locked.iter().find(|name| NEVER_LOCKED.contains(&name.as_str())) {
        Some(field) => refuse("locked", format!("`{field}` cannot be locked")),
        None => Ok(()),
    }
}

/// Checks what a version refers to.
pub(crate) fn check_references(policies: &[PolicyRef]) -> Result<(), ConfigError> {
    if policies.len() > POLICIES_MAX {
        return refuse("policies", format!("at most {POLICIES_MAX}"));
    }
    for (index, policy) in policies.iter().enumerate() {
        if policies.iter().take(index).any(|other| other.name == policy.name) {
            return refuse(format!("policies[{index}].name"), "each policy once".into());
        }
        if policy.revision == Some(0) {
            return refuse(format!("policies[{index}].revision"), "revisions are counted from 1".into());
        }
    }
    Ok(())
}

pub(crate) use moderation::check as check_moderation;

#[cfg(test)]
#[path = "policy/tests.rs"]
mod tests;
