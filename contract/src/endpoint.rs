//! What a publisher writes down once: targets, instructions, defaults, what callers may do.
//!
//! A [`VersionConfig`] never changes after it was created. [`VersionConfig::check`] holds every rule that does
//! not need the database, so that control refuses at once what the edge could not serve.

use crate::id::CredentialId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest instructions, in bytes: a KV record and an object's row hold 2 MB; this leaves room for the rest.
pub const INSTRUCTIONS_MAX_BYTES: usize = 256 * 1024;
/// Most bytes of default parameters, as JSON; tools with long schemas fit.
pub const DEFAULTS_MAX_BYTES: usize = 256 * 1024;
/// Most targets of one version.
pub const TARGETS_MAX: usize = 8;
/// Most field names in `locked`, and most tool types in `allow.tools`.
pub const NAMES_MAX: usize = 64;

/// Fields of a request that defaults cannot set: they name the endpoint, choose the mode, or carry the question.
pub const RESERVED_FIELDS: [&str; 4] = ["model", "input", "stream", "instructions"];

/// One provider and model that can serve a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Where the provider's API begins, e.g. `https://api.openai.com/v1`.
    pub base_url: String,
    /// The provider's own name of the model.
    pub model: String,
    /// The credential sent to it; none for providers that ask for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// What the provider charges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// A provider's prices, in millionths of a US dollar per million tokens: 2.50 USD is 2,500,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// What callers may reach under the publisher's credential. Everything is off unless it is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// `previous_response_id` and item references: the provider's stored responses.
    pub previous_response_id: bool,
    /// `conversation`: the provider's stored conversations.
    pub conversation: bool,
    /// `prompt`: the provider's stored prompt templates.
    pub prompt: bool,
    /// `background`: answers that go on without the caller.
    pub background: bool,
    /// `store`: without it, every request is sent with `store: false`.
    pub store: bool,
    /// File ids anywhere in the input.
    pub file_ids: bool,
    /// Types of tools besides `function` and `custom`: hosted tools, MCP.
    pub tools: Vec<String>,
}

/// An immutable endpoint configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionConfig {
    /// Who serves it; the first is used.
    pub targets: Vec<Target>,
    /// The publisher's instructions; the caller's follow them. Never shown to callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Parameters for requests that do not set them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub defaults: Map<String, Value>,
    /// Fields that callers may not set (`instructions` and any parameter).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locked: Vec<String>,
    /// What callers may reach under the publisher's credential.
    #[serde(default)]
    pub allow: Allow,
    /// Cap on `max_output_tokens`; requests without one get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
}

/// Why a configuration cannot be a version; `param` is the path of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{param}: {message}")]
pub struct ConfigError {
    /// Path of the field, e.g. `targets[0].base_url`.
    pub param: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl VersionConfig {
    /// Checks everything that needs neither database nor network.
    ///
    /// # Errors
    /// [`ConfigError`] for the first field that cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_targets()?;
        if self.instructions.as_ref().is_some_and(|text| text.len() > INSTRUCTIONS_MAX_BYTES) {
            return refuse("instructions", format!("at most {INSTRUCTIONS_MAX_BYTES} bytes"));
        }
        if let Some(field) = self.defaults.keys().find(|key| RESERVED_FIELDS.contains(&key.as_str())) {
            return refuse(format!("defaults.{field}"), "cannot be a default".into());
        }
        if serde_json::to_string(&self.defaults).map_or(true, |text| text.len() > DEFAULTS_MAX_BYTES) {
            return refuse("defaults", format!("at most {DEFAULTS_MAX_BYTES} bytes of JSON"));
        }
        if self.locked.len() > NAMES_MAX || self.allow.tools.len() > NAMES_MAX {
            return refuse("locked, allow.tools", format!("at most {NAMES_MAX} names each"));
        }
        if let Some(field) =
            self.locked.iter().find(|name| ["model", "input", "stream"].contains(&name.as_str()))
        {
            return refuse("locked", format!("`{field}` cannot be locked"));
        }
        if self.max_output_tokens == Some(0) {
            return refuse("max_output_tokens", "must be at least 1".into());
        }
        Ok(())
    }

    fn check_targets(&self) -> Result<(), ConfigError> {
        if self.targets.is_empty() || self.targets.len() > TARGETS_MAX {
            return refuse("targets", format!("between 1 and {TARGETS_MAX} targets"));
        }
        for (index, target) in self.targets.iter().enumerate() {
            if target.model.is_empty() {
                return refuse(format!("targets[{index}].model"), "must not be empty".into());
            }
        }
        Ok(())
    }
}

fn refuse(param: impl Into<String>, message: String) -> Result<(), ConfigError> {
    Err(ConfigError { param: param.into(), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(extra: Value) -> Result<VersionConfig, serde_json::Error> {
        let mut body = json!({"targets": [{"base_url": "https://api.example.com/v1", "model": "m"}]});
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        serde_json::from_value(body)
    }

    #[test]
    fn the_smallest_version_is_complete() {
        let config = config(json!({})).unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.allow, Allow::default());
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_path() {
        let cases = [
            (json!({"targets": []}), "targets"),
            (json!({"targets": [{"base_url": "https://a", "model": ""}]}), "targets[0].model"),
            (json!({"defaults": {"model": "x"}}), "defaults.model"),
            (json!({"defaults": {"x": "y".repeat(DEFAULTS_MAX_BYTES)}}), "defaults"),
            (json!({"instructions": "y".repeat(INSTRUCTIONS_MAX_BYTES + 1)}), "instructions"),
            (json!({"locked": ["input"]}), "locked"),
            (json!({"max_output_tokens": 0}), "max_output_tokens"),
        ];
        for (extra, param) in cases {
            assert_eq!(config(extra).unwrap().check().unwrap_err().param, param);
        }
        assert!(config(json!({"modle": 1})).is_err(), "unknown fields are refused");
    }

    #[test]
    fn cost_is_rounded_up_and_never_overflows() {
        let price = Price { input_micros_per_mtok: 2_500_000, output_micros_per_mtok: 10_000_000 };
        assert_eq!(price.cost_micros(1, 0), 3);
        assert_eq!(price.cost_micros(1_000_000, 500_000), 7_500_000);
        assert_eq!(price.cost_micros(u64::MAX, u64::MAX), u64::MAX);
    }
}
