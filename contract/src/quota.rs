//! Quotas: what an org may use, and the words that describe it.
//!
//! The arithmetic is in [`book`]; this file has the nouns that the admin API, the records and the ledger share.

pub mod book;
pub mod lease;
mod meter;

use crate::id::{EndpointId, InstallId, KeyId};
use serde::{Deserialize, Serialize};

/// Most quotas of one org: an object checks each on every request.
pub const QUOTAS_MAX: usize = 1_000;

/// A rolling window, divided into buckets; the oldest bucket is counted whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = QuotaWindow))]
pub enum Window {
    /// 60 seconds in buckets of 5 seconds.
    Minute,
    /// 60 minutes in buckets of 5 minutes.
    Hour,
    /// 24 hours in buckets of 1 hour.
    Day,
    /// 30 days in buckets of 1 day.
    Month,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Month];

    /// Length of one bucket, milliseconds.
    #[must_use]
    pub const fn bucket_ms(self) -> u64 {
        match self {
            Self::Minute => 5_000,
            Self::Hour => 5 * 60_000,
            Self::Day => 60 * 60_000,
            Self::Month => 24 * 60 * 60_000,
        }
    }

    /// Number of whole buckets in the window.
    #[must_use]
    pub const fn buckets(self) -> u64 {
        match self {
            Self::Minute | Self::Hour => 12,
            Self::Day => 24,
            Self::Month => 30,
        }
    }

    /// Length of the window, milliseconds.
    #[must_use]
    pub const fn length_ms(self) -> u64 {
        self.bucket_ms() * self.buckets()
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = QuotaUnit))]
pub enum Unit {
    /// Requests.
    Requests,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Input and output tokens.
    TotalTokens,
    /// Cost in millionths of a US dollar.
    CostMicros,
}

/// How much a request takes or took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Amounts {
    /// Requests: 1, or 0 after a cancellation.
    pub requests: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
}

impl Amounts {
    /// The part that a quota of this unit counts.
    #[must_use]
    pub const fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests => self.requests,
            Unit::InputTokens => self.input_tokens,
            Unit::OutputTokens => self.output_tokens,
            Unit::TotalTokens => self.input_tokens.saturating_add(self.output_tokens),
            Unit::CostMicros => self.cost_micros,
        }
    }

    /// So much for each of `number` requests.
    #[must_use]
    pub const fn times(self, number: u64) -> Self {
        Self {
            requests: self.requests.saturating_mul(number),
            input_tokens: self.input_tokens.saturating_mul(number),
            output_tokens: self.output_tokens.saturating_mul(number),
            cost_micros: self.cost_micros.saturating_mul(number),
        }
    }

    /// Whether `other` is at most this, in every unit.
    #[must_use]
    pub const fn covers(&self, other: Self) -> bool {
        self.requests >= other.requests
            && self.input_tokens >= other.input_tokens
            && self.output_tokens >= other.output_tokens
            && self.cost_micros >= other.cost_micros
    }

    /// The larger of both, unit by unit.
    #[must_use]
    pub fn largest(self, other: Self) -> Self {
        Self {
            requests: self.requests.max(other.requests),
            input_tokens: self.input_tokens.max(other.input_tokens),
            output_tokens: self.output_tokens.max(other.output_tokens),
            cost_micros: self.cost_micros.max(other.cost_micros),
        }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
        }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            cost_micros: self.cost_micros.saturating_sub(other.cost_micros),
        }
    }
}

/// Whose use a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = QuotaSubject))]
pub enum Subject {
    /// Everything that the org's keys call, and what the org pays for through installs.
    Org {},
    /// One key.
    Key {
        /// The key.
        key: KeyId,
    },
    /// One endpoint, whoever calls it.
    Endpoint {
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// One key on one endpoint.
    KeyEndpoint {
        /// The key.
        key: KeyId,
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// One install: on either side, the installer's or the publisher's.
    Install {
        /// The install.
        install: InstallId,
    },
    /// Every install of an endpoint, each counted by itself.
    EachInstall {
        /// The endpoint.
        endpoint: EndpointId,
    },
}

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Limit {
    /// So much of a unit in a rolling window.
    Rate(Rate),
    /// So many requests at once.
    Concurrency(Concurrency),
}

/// So much of a unit in a rolling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rate {
    /// What is counted.
    pub unit: Unit,
    /// Over how long.
    pub window: Window,
    /// How much is allowed.
    pub cap: u64,
}

/// So many requests at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Concurrency {
    /// How many requests may run at once.
    pub concurrency: u64,
}

/// What happens over the cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = QuotaAction))]
pub enum Action {
    /// The request is refused with 429.
    #[default]
    Reject,
    /// The request is served, and its usage event names the quota.
    Flag,
}

/// A cap on someone's use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Quota {
    /// Whose use is counted.
    pub subject: Subject,
    /// How much is allowed.
    pub limit: Limit,
    /// What happens over the cap.
    #[serde(default)]
    pub action: Action,
}

impl Quota {
    /// A short name for messages and usage events, e.g. `org requests/hour` or `key concurrency`.
    #[must_use]
    pub fn label(&self) -> String {
        let subject = match self.subject {
            Subject::Org {} => "org",
            Subject::Key { .. } => "key",
            Subject::Endpoint { .. } => "endpoint",
            Subject::KeyEndpoint { .. } => "key and endpoint",
            Subject::Install { .. } | Subject::EachInstall { .. } => "install",
        };
        match self.limit {
            Limit::Concurrency(_) => format!("{subject} concurrency"),
            Limit::Rate(rate) => format!("{subject} {}/{}", word(rate.unit), word(rate.window)),
        }
    }
}

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quotas_read_as_people_write_them() {
        let quota: Quota = serde_json::from_value(json!({
            "subject": {"kind": "org"},
            "limit": {"unit": "requests", "window": "hour", "cap": 5},
        }))
        .unwrap();
        assert_eq!(quota.label(), "org requests/hour");
        assert_eq!(quota.action, Action::Reject);
        let quota: Quota = serde_json::from_value(json!({
            "subject": {"kind": "key", "key": format!("key_{}", "0".repeat(32))},
            "limit": {"concurrency": 3},
            "action": "flag",
        }))
        .unwrap();
        assert_eq!(quota.label(), "key concurrency");
    }

    #[test]
    fn windows_are_what_they_say() {
        let lengths = Window::ALL.map(|w| w.length_ms() / 1000);
        assert_eq!(lengths, [60, 3_600, 86_400, 2_592_000]);
    }
}
