//! A model that says how bad a text is, and from where on that is too bad.
//!
//! It is asked in the form of OpenAI's `POST /v1/moderations` (<https://platform.openai.com/docs/api-reference/moderations>):
//! `{model, input}`, and an answer with `results[].category_scores`.

use super::MODERATIONS_MAX;
use crate::{
    endpoint::{ConfigError, NAMES_MAX, refuse},
    id::CredentialId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest name of a category, in bytes; OpenAI's longest has 22.
pub const CATEGORY_MAX_BYTES: usize = 64;
/// Longest URL and longest model name, in bytes.
const TEXT_MAX_BYTES: usize = 2_048;

/// Which texts are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LooksAt {
    /// What the caller sends, before a provider is asked.
    #[default]
    Input,
    /// What was generated, before it is shown. Such an answer cannot be streamed: what was shown cannot be taken back.
    Output,
    /// Both.
    Both,
}

impl LooksAt {
    /// Whether the caller's text is looked at.
    #[must_use]
    pub const fn input(self) -> bool {
        matches!(self, Self::Input | Self::Both)
    }

    /// Whether what was generated is looked at.
    #[must_use]
    pub const fn output(self) -> bool {
        matches!(self, Self::Output | Self::Both)
    }

    /// What either looks at.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }
}

/// Texts are looked at by a model; one that is over a threshold is refused. When the model cannot be asked, or does not
/// know one of the categories, nothing is let through. Images and files are not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Moderation {
    /// Where the model is; `/moderations` is appended.
    pub base_url: String,
    /// The credential that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// The model.
    pub model: String,
    /// By category, the score (0 to 1) over which a text is refused. What is not named is not looked at.
    pub thresholds: BTreeMap<String, f64>,
    /// Which texts are looked at.
    #[serde(default)]
    pub looks_at: LooksAt,
}

impl Moderation {
    /// Who is asked: two moderations of the same one are one call.
    #[must_use]
    pub fn asked(&self) -> (&str, &str, Option<CredentialId>) {
        (&self.base_url, &self.model, self.credential)
    }

    /// Both at once: every category of either, at the lower threshold.
    #[must_use]
    pub(super) fn with(mut self, other: &Self) -> Self {
        for (category, threshold) in &other.thresholds {
            let own = self.thresholds.entry(category.clone()).or_insert(*threshold);
            *own = own.min(*threshold);
        }
        self.looks_at = self.looks_at.with(other.looks_at);
        self
    }

    fn check(&self, path: &str) -> Result<(), ConfigError> {
        for (field, text) in [("base_url", &self.base_url), ("model", &self.model)] {
            if text.is_empty() || text.len() > TEXT_MAX_BYTES {
                return refuse(format!("{path}.{field}"), format!("between 1 and {TEXT_MAX_BYTES} bytes"));
            }
        }
        if self.thresholds.is_empty() || self.thresholds.len() > NAMES_MAX {
            return refuse(format!("{path}.thresholds"), format!("between 1 and {NAMES_MAX} categories"));
        }
        for (category, threshold) in &self.thresholds {
            let at = || format!("{path}.thresholds.{category}");
            if category.is_empty() || category.len() > CATEGORY_MAX_BYTES {
                return refuse(at(), format!("a category has between 1 and {CATEGORY_MAX_BYTES} bytes"));
            }
            if !(0.0..=1.0).contains(threshold) {
                return refuse(at(), "between 0 and 1".into());
            }
        }
        Ok(())
    }
}

/// Checks the moderations of a policy or version.
pub(crate) fn check(moderations: &[Moderation]) -> Result<(), ConfigError> {
    if moderations.len() > MODERATIONS_MAX {
        return refuse("moderation", format!("at most {MODERATIONS_MAX}"));
    }
    for (index, moderation) in moderations.iter().enumerate() {
        let path = format!("moderation[{index}]");
        moderation.check(&path)?;
        if moderations.iter().take(index).any(|other| other.asked() == moderation.asked()) {
            return refuse(path, "each model once, with all of its thresholds".into());
        }
    }
    Ok(())
}
