//! One provider and model that can serve a version: where it is, what it speaks, and when it is asked.
//!
//! The order of targets is decided at the edge, from what stands here, the caller's region and the targets' health.

use super::{ConfigError, refuse};
use crate::id::CredentialId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Largest weight: shares of a thousandth can be said, and eight of them cannot overflow.
pub const WEIGHT_MAX: u32 = 1_000;
/// Shortest timeout of a target, milliseconds: less than a round trip within a city would only ever fail.
pub const TIMEOUT_MIN_MS: u64 = 10;
/// Longest timeout of a target, milliseconds: as long as the edge lets any request take by default.
pub const TIMEOUT_MAX_MS: u64 = 900_000;
/// Most extra headers of one target; Portkey's gateway knows about twenty, of which a target needs three or four.
pub const HEADERS_MAX: usize = 16;
/// Longest value of an extra header, bytes: a gateway's configuration as JSON fits, and servers take 8 KB.
pub const HEADER_VALUE_MAX_BYTES: usize = 4_096;
/// Longest name of an extra header, bytes.
pub const HEADER_NAME_MAX_BYTES: usize = 64;
/// What every extra header's name begins with: the gateway's own settings, and nothing that HTTP or a provider acts on.
pub const HEADER_PREFIX: &str = "x-portkey-";
/// Parts of names that announce a secret. Secrets are sealed as credentials; a configuration lies open in KV.
const SECRET_WORDS: [&str; 5] = ["api-key", "secret", "password", "token", "authorization"];

/// What a provider speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Protocol {
    /// The Responses protocol: passed on as it is.
    #[default]
    Responses,
    /// Chat completions.
    Chat,
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
}

/// Where a caller is, as Cloudflare's continent codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Region {
    /// Africa.
    Af,
    /// Antarctica.
    An,
    /// Asia.
    As,
    /// Europe.
    Eu,
    /// North America.
    Na,
    /// Oceania.
    Oc,
    /// South America.
    Sa,
}

impl Region {
    /// Every region.
    pub const ALL: [Self; 7] = [Self::Af, Self::An, Self::As, Self::Eu, Self::Na, Self::Oc, Self::Sa];

    /// The code, e.g. `EU`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Af => "AF",
            Self::An => "AN",
            Self::As => "AS",
            Self::Eu => "EU",
            Self::Na => "NA",
            Self::Oc => "OC",
            Self::Sa => "SA",
        }
    }

    /// The region of a code; none for what is not a continent.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|region| region.code() == code)
    }
}

/// How long a target may take, within what is left of the caller's time. What is not set is as the edge's settings have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Timeouts {
    /// From the call to the head of a stream's answer, milliseconds. When the connection stands cannot be seen from a
    /// Worker; a whole answer's head comes with the answer, so for these only the other two count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// From the call to a stream's first content, or to the head of a whole answer, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// From the call to the answer's end, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
}

impl Timeouts {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self, path: &str) -> Result<(), ConfigError> {
        let all = [
            ("connect_ms", self.connect_ms),
            ("first_token_ms", self.first_token_ms),
            ("total_ms", self.total_ms),
        ];
        let mut longest_ms = TIMEOUT_MIN_MS;
        for (name, ms) in all.iter().filter_map(|(name, ms)| Some((name, (*ms)?))) {
            if !(TIMEOUT_MIN_MS..=TIMEOUT_MAX_MS).contains(&ms) {
                let message = format!("between {TIMEOUT_MIN_MS} and {TIMEOUT_MAX_MS} milliseconds");
                return refuse(format!("{path}.{name}"), message);
            }
            if ms < longest_ms {
                return refuse(format!("{path}.{name}"), "must not be shorter than those before it".into());
            }
            longest_ms = ms;
        }
        Ok(())
    }
}

/// One provider and model that can serve a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Target {
    /// Where the provider's API begins, e.g. `https://api.openai.com/v1`.
    pub base_url: String,
    /// The provider's own name of the model.
    pub model: String,
    /// What the provider speaks.
    #[serde(default, skip_serializing_if = "is_responses")]
    pub protocol: Protocol,
    /// The credential sent to it; none for providers that ask for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// What the provider charges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// When it is asked: lower first. Those of the same order share the requests.
    #[serde(default, skip_serializing_if = "is_first")]
    pub order: u8,
    /// Its share among the targets of its order.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// Whose callers it is for, within its order: theirs before targets that name no region, others' after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
    /// Extra headers for a gateway in front of the provider, `x-portkey-…`. They may say where the gateway sends the
    /// request on to, so that no installer's credential is ever sent along with them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

const fn one() -> u32 {
    1
}

fn is_one(weight: &u32) -> bool {
    *weight == 1
}

fn is_first(order: &u8) -> bool {
    *order == 0
}

fn is_responses(protocol: &Protocol) -> bool {
    *protocol == Protocol::Responses
}

impl Target {
    pub(super) fn check(&self, path: &str) -> Result<(), ConfigError> {
        if self.model.is_empty() {
            return refuse(format!("{path}.model"), "must not be empty".into());
        }
        if !(1..=WEIGHT_MAX).contains(&self.weight) {
            return refuse(format!("{path}.weight"), format!("between 1 and {WEIGHT_MAX}"));
        }
        let repeats = |(at, region)| self.regions.iter().take(at).any(|other| other == region);
        if self.regions.iter().enumerate().any(repeats) {
            return refuse(format!("{path}.regions"), "each region once".into());
        }
        self.timeouts.check(&format!("{path}.timeouts"))?;
        self.check_headers(path)
    }

    fn check_headers(&self, path: &str) -> Result<(), ConfigError> {
        if self.headers.len() > HEADERS_MAX {
            return refuse(format!("{path}.headers"), format!("at most {HEADERS_MAX} headers"));
        }
        for (name, value) in &self.headers {
            let at = || format!("{path}.headers.{name}");
            let rest = name.strip_prefix(HEADER_PREFIX).filter(|rest| !rest.is_empty());
            let spelled =
                rest.is_some_and(|rest| rest.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')));
            if !spelled || name.len() > HEADER_NAME_MAX_BYTES {
                return refuse(
                    at(),
                    format!(
                        "must be `{HEADER_PREFIX}…` in lower case, at most {HEADER_NAME_MAX_BYTES} bytes"
                    ),
                );
            }
            if SECRET_WORDS.iter().any(|word| name.contains(word)) {
                return refuse(at(), "a configuration holds no secrets; store a credential instead".into());
            }
            let visible = value.bytes().all(|b| (b' '..=b'~').contains(&b));
            if !visible || value.is_empty() || value.len() > HEADER_VALUE_MAX_BYTES {
                return refuse(
                    at(),
                    format!("between 1 and {HEADER_VALUE_MAX_BYTES} visible ASCII characters"),
                );
            }
        }
        Ok(())
    }
}

/// A provider's prices, in millionths of a US dollar per million tokens: 2.50 USD is 2,500,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Price {
    /// Per million input tokens.
    pub input_micros_per_mtok: u64,
    /// Per million output tokens.
    pub output_micros_per_mtok: u64,
}

impl Price {
    /// The cost of so many tokens, in millionths of a US dollar, rounded up.
    #[must_use]
    pub fn cost_micros(&self, input_tokens: u64, output_tokens: u64) -> u64 {
        let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = part(input_tokens, self.input_micros_per_mtok)
            .saturating_add(part(output_tokens, self.output_micros_per_mtok));
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}
