//! `GET /v1/policies/presets`: policies to begin with, by name. A policy is made from one and is its own from then on.
//!
//! The thresholds are for the categories of OpenAI's `omni-moderation-latest`
//! (<https://platform.openai.com/docs/guides/moderation>); they become a moderation only where somebody to ask is named. A
//! younger grade band is never looser than an older one.

use crate::{error::Error, principal::Admin};
use alphagate_contract::{
    endpoint::{Shape, ToolPolicy},
    id::CredentialId,
    policy::{
        LooksAt, Moderation,
        PiiAction::{Redact, Refuse},
        PiiKind, Policy, Retention,
    },
};
use axum::Json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest input of the youngest, bytes: four pages.
const K5_INPUT_MAX_BYTES: u64 = 8 * 1024;
/// Longest input of grades 6 to 8, bytes: a longer essay, and what it is about.
const MIDDLE_INPUT_MAX_BYTES: u64 = 32 * 1024;
/// Longest input of grades 9 to 12, bytes: a chapter.
const HIGH_INPUT_MAX_BYTES: u64 = 128 * 1024;

/// By category: the thresholds of K-5, 6-8 and 9-12.
const THRESHOLDS: [(&str, [f64; 3]); 13] = [
    ("harassment", [0.1, 0.2, 0.4]),
    ("harassment/threatening", [0.05, 0.1, 0.2]),
    ("hate", [0.05, 0.1, 0.2]),
    ("hate/threatening", [0.02, 0.05, 0.1]),
    ("illicit", [0.1, 0.2, 0.3]),
    ("illicit/violent", [0.02, 0.05, 0.1]),
    ("self-harm", [0.02, 0.05, 0.1]),
    ("self-harm/instructions", [0.01, 0.02, 0.05]),
    ("self-harm/intent", [0.02, 0.05, 0.1]),
    ("sexual", [0.02, 0.05, 0.1]),
    ("sexual/minors", [0.01, 0.01, 0.01]),
    ("violence", [0.1, 0.3, 0.5]),
    ("violence/graphic", [0.02, 0.05, 0.2]),
];

/// A preset's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) enum PresetName {
    #[serde(rename = "k-5")]
    K5,
    #[serde(rename = "6-8")]
    Middle,
    #[serde(rename = "9-12")]
    High,
    #[serde(rename = "pii")]
    Pii,
    #[serde(rename = "retention-24h")]
    Retention24h,
    #[serde(rename = "retention-none")]
    RetentionNone,
    #[serde(rename = "text-only")]
    TextOnly,
}

/// Who is asked how bad a text is.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moderator {
    base_url: String,
    credential: Option<CredentialId>,
    model: String,
}

/// A preset.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PolicyPreset)]
pub(crate) struct Preset {
    name: PresetName,
    description: &'static str,
    /// What it says without a moderator.
    policy: Policy,
    /// What it says of a moderator's categories; none: it has no use for one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    thresholds: BTreeMap<String, f64>,
}

/// Every preset.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PolicyPresets)]
pub(crate) struct Presets {
    data: Vec<Preset>,
}

impl PresetName {
    const ALL: [Self; 7] = [
        Self::K5,
        Self::Middle,
        Self::High,
        Self::Pii,
        Self::Retention24h,
        Self::RetentionNone,
        Self::TextOnly,
    ];

    /// The name's text.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::K5 => "k-5",
            Self::Middle => "6-8",
            Self::High => "9-12",
            Self::Pii => "pii",
            Self::Retention24h => "retention-24h",
            Self::RetentionNone => "retention-none",
            Self::TextOnly => "text-only",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::K5 => {
                "For grades K to 5: short texts without images and tools, nothing kept, personal data refused. \
                With a moderator, questions and answers are looked at, and nothing is streamed."
            }
            Self::Middle => {
                "For grades 6 to 8: texts without images and tools, nothing kept, personal data redacted, numbers \
                of cards and of social security refused. With a moderator, questions and answers are looked at, and \
                nothing is streamed."
            }
            Self::High => {
                "For grades 9 to 12: personal data redacted, a day's retention. With a moderator, questions are \
                looked at."
            }
            Self::Pii => "Personal data of every kind is redacted before a provider reads it.",
            Self::Retention24h => "Nothing is kept for longer than a day, and nothing at the provider.",
            Self::RetentionNone => "Nothing is kept.",
            Self::TextOnly => "No images and no tools.",
        }
    }

    /// What it says without a moderator.
    fn base(self) -> Policy {
        let text_only = Shape { images_max: Some(0), tools: ToolPolicy::None, ..Shape::default() };
        let of_length = |shape: Shape, bytes| Shape { input_max_bytes: Some(bytes), ..shape };
        let kept = |max_days| Some(Retention { max_days });
        let pii = |actions: [_; 5]| PiiKind::ALL.into_iter().zip(actions).collect();
        let locked = vec!["instructions".to_owned()];
        let none = Policy::default();
        match self {
            Self::K5 => Policy {
                shape: of_length(text_only, K5_INPUT_MAX_BYTES),
                locked,
                retention: kept(0),
                pii: pii([Refuse; 5]),
                ..none
            },
            Self::Middle => Policy {
                shape: of_length(text_only, MIDDLE_INPUT_MAX_BYTES),
                locked,
                retention: kept(0),
                pii: pii([Redact, Redact, Refuse, Refuse, Redact]),
                ..none
            },
            Self::High => Policy {
                shape: of_length(Shape::default(), HIGH_INPUT_MAX_BYTES),
                retention: kept(1),
                pii: pii([Redact; 5]),
                ..none
            },
            Self::Pii => Policy { pii: pii([Redact; 5]), ..none },
            Self::Retention24h => Policy { retention: kept(1), ..none },
            Self::RetentionNone => Policy { retention: kept(0), ..none },
            Self::TextOnly => Policy { shape: text_only, ..none },
        }
    }

    fn thresholds(self) -> BTreeMap<String, f64> {
        let of = |[youngest, middle, oldest]: [f64; 3]| match self {
            Self::K5 => Some(youngest),
            Self::Middle => Some(middle),
            Self::High => Some(oldest),
            Self::Pii | Self::Retention24h | Self::RetentionNone | Self::TextOnly => None,
        };
        THRESHOLDS.into_iter().filter_map(|(category, all)| Some((category.to_owned(), of(all)?))).collect()
    }

    /// What a policy says that is made from it.
    pub(super) fn policy(self, moderator: Option<&Moderator>) -> Result<Policy, Error> {
        let mut policy = self.base();
        let Some(Moderator { base_url, credential, model }) = moderator else { return Ok(policy) };
        let thresholds = self.thresholds();
        if thresholds.is_empty() {
            return Err(Error::field(
                "moderator",
                "this preset has no thresholds that somebody could be asked for",
            ));
        }
        policy.moderation.push(Moderation {
            base_url: base_url.clone(),
            credential: *credential,
            model: model.clone(),
            thresholds,
            looks_at: if self == Self::High { LooksAt::Input } else { LooksAt::Both },
        });
        Ok(policy)
    }
}

/// The document of a revision: a preset, a document, or both.
pub(super) fn document(
    preset: Option<PresetName>,
    moderator: Option<&Moderator>,
    policy: Option<&Policy>,
) -> Result<Policy, Error> {
    let preset = match (preset, moderator) {
        (Some(preset), moderator) => Some(preset.policy(moderator)?),
        (None, Some(_)) => {
            return Err(Error::field("moderator", "goes with a preset; else say it in `policy.moderation`"));
        }
        (None, None) => None,
    };
    match (preset, policy) {
        (Some(preset), Some(policy)) => Ok(preset.with(policy)),
        (Some(policy), None) => Ok(policy),
        (None, Some(policy)) => Ok(policy.clone()),
        (None, None) => Err(Error::field("policy", "say what it demands: a `policy`, a `preset`, or both")),
    }
}

/// Lists the presets that a policy can be made from.
#[utoipa::path(
    get,
    path = "/v1/policies/presets",
    responses((status = 200, body = Presets)),
)]
pub(crate) async fn presets(_: Admin) -> Json<Presets> {
    let preset = |name: PresetName| Preset {
        name,
        description: name.description(),
        policy: name.base(),
        thresholds: name.thresholds(),
    };
    Json(Presets { data: PresetName::ALL.into_iter().map(preset).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::word;

    fn moderator() -> Moderator {
        Moderator {
            base_url: "https://a/v1".into(),
            credential: None,
            model: "omni-moderation-latest".into(),
        }
    }

    #[test]
    fn every_preset_can_be_a_policy_under_its_name() {
        for preset in PresetName::ALL {
            assert_eq!(preset.policy(None).unwrap().check(), Ok(()), "{preset:?}");
            assert_eq!(preset.as_str(), word(preset));
            let with = preset.policy(Some(&moderator()));
            assert_eq!(with.is_ok(), !preset.thresholds().is_empty(), "{preset:?}");
            assert!(with.is_ok_and(|policy| policy.check().is_ok()) || preset.thresholds().is_empty());
        }
    }

    #[test]
    fn a_younger_grade_band_is_never_looser() {
        let [youngest, middle, oldest] = [PresetName::K5, PresetName::Middle, PresetName::High]
            .map(|band| band.policy(Some(&moderator())).unwrap());
        assert_eq!(youngest.with(&middle), youngest.with(&youngest));
        assert_eq!(middle.with(&oldest), middle.with(&middle));
    }
}
