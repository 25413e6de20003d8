//! What a publisher writes down once: targets, instructions, defaults, what callers may do.
//!
//! A [`VersionConfig`] never changes after it was created. [`VersionConfig::check`] holds every rule that does
//! not need the database, so that control refuses at once what the edge could not serve.

mod policy;
mod target;

pub use policy::{ImageKind, OutputSchema, QuotaMode, RETAIN_MAX_DAYS, Retain, Shape, ToolPolicy};
pub use target::{Price, Protocol, Region, Target, Timeouts};

use crate::policy::{self as demands, Moderation, PiiAction, PiiKind, PolicyRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longest instructions, in bytes: a KV record and an object's row hold 2 MB; this leaves room for the rest.
pub const INSTRUCTIONS_MAX_BYTES: usize = 256 * 1024;
/// Most bytes of default parameters, as JSON; tools with long schemas fit.
pub const DEFAULTS_MAX_BYTES: usize = 256 * 1024;
/// Most targets of one version.
pub const TARGETS_MAX: usize = 8;
/// Most field names in `locked`, and most tool types in `allow.tools`.
pub const NAMES_MAX: usize = 64;
/// Most retries on one target. With eight targets that is 32 calls at worst, all within the caller's deadline.
pub const RETRIES_MAX: u8 = 3;

/// Fields of a request that defaults cannot set: they name the endpoint, choose the mode, or carry the question.
pub const RESERVED_FIELDS: [&str; 4] = ["model", "input", "stream", "instructions"];

/// What callers may reach under the publisher's credential. Everything is off unless it is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VersionConfig {
    /// Who can serve it; which is asked first is said by their order, weight and regions.
    pub targets: Vec<Target>,
    /// The publisher's instructions; the caller's follow them. Never shown to callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Parameters for requests that do not set them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
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
    /// How often a target is asked again before the next one is. None by default: SDKs retry by themselves, and where
    /// there is another target, it is the better second try.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u8,
    /// How quotas are asked.
    #[serde(default, skip_serializing_if = "is_strict")]
    pub quota_mode: QuotaMode,
    /// The schema of what is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<OutputSchema>,
    /// What a request must look like.
    #[serde(default, skip_serializing_if = "Shape::is_default")]
    pub shape: Shape,
    /// That responses are kept; none: nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<Retain>,
    /// What happens to personal data in the caller's text, by its kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pii: BTreeMap<PiiKind, PiiAction>,
    /// Who looks at texts, and what is too much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moderation: Vec<Moderation>,
    /// Policies of the org that hold for it besides; the stricter wins. What they come to is settled when the version is
    /// created: a newer revision holds from the next version on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyRef>,
}

fn is_zero(retries: &u8) -> bool {
    *retries == 0
}

fn is_strict(mode: &QuotaMode) -> bool {
    *mode == QuotaMode::Strict
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
        if self.allow.tools.len() > NAMES_MAX {
            return refuse("allow.tools", format!("at most {NAMES_MAX} names"));
        }
        demands::check_locked(&self.locked)?;
        demands::check_moderation(&self.moderation)?;
        demands::check_references(&self.policies)?;
        if self.max_output_tokens == Some(0) {
            return refuse("max_output_tokens", "must be at least 1".into());
        }
        if self.retries > RETRIES_MAX {
            return refuse("retries", format!("at most {RETRIES_MAX}"));
        }
        policy::check(&self.shape, self.output_schema.as_ref(), self.retain)
    }

    fn check_targets(&self) -> Result<(), ConfigError> {
        if self.targets.is_empty() || self.targets.len() > TARGETS_MAX {
            return refuse("targets", format!("between 1 and {TARGETS_MAX} targets"));
        }
        for (index, target) in self.targets.iter().enumerate() {
            target.check(&format!("targets[{index}]"))?;
        }
        Ok(())
    }
}

/// A field that cannot be.
pub(crate) fn refuse(param: impl Into<String>, message: String) -> Result<(), ConfigError> {
    Err(ConfigError { param: param.into(), message })
}

#[cfg(test)]
#[path = "endpoint/tests.rs"]
mod tests;
