//! What a version asks of requests and answers: their shape, the schema of what is generated, what is kept of them.
//!
//! Everything is off by default: a version without these fields is as it was before they existed.

use super::{ConfigError, NAMES_MAX, RESERVED_FIELDS, refuse};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest output schema, bytes of JSON: a few hundred fields with descriptions fit.
pub const SCHEMA_MAX_BYTES: usize = 64 * 1024;
/// Longest name of an output schema, as providers have it.
pub const SCHEMA_NAME_MAX_LEN: usize = 64;
/// Most images that a version can let through in one request; providers take from 10 to 500.
pub const IMAGES_MAX: u16 = 500;
/// Largest `input` that a version can let through, bytes: no request body can be larger.
pub const INPUT_MAX_BYTES: u64 = 100 * 1024 * 1024;
/// Longest time that a version can keep responses, days.
pub const RETAIN_MAX_DAYS: u16 = 365;

/// How an org's quotas are asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum QuotaMode {
    /// At every request: a revoked key is refused at the next one.
    #[default]
    Strict,
    /// From a small budget that was reserved ahead: a revoked key lives one second at most.
    Leased,
}

/// The schema of what the endpoint generates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OutputSchema {
    /// Its name, as providers want one: letters, digits, `_` and `-`.
    pub name: String,
    /// The JSON schema, an object.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub schema: Value,
    /// Whether the provider is asked to hold to it while it generates.
    #[serde(default)]
    pub strict: bool,
    /// Whether an answer that violates it is sent back to be mended, once.
    #[serde(default)]
    pub repair: bool,
}

impl OutputSchema {
    fn check(&self) -> Result<(), ConfigError> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=SCHEMA_NAME_MAX_LEN).contains(&self.name.len()) || !self.name.bytes().all(letter) {
            let message = format!("1 to {SCHEMA_NAME_MAX_LEN} letters, digits, `_` and `-`");
            return refuse("output_schema.name", message);
        }
        let length = serde_json::to_string(&self.schema).map_or(usize::MAX, |text| text.len());
        if !self.schema.is_object() || length > SCHEMA_MAX_BYTES {
            return refuse(
                "output_schema.schema",
                format!("an object of at most {SCHEMA_MAX_BYTES} bytes of JSON"),
            );
        }
        Ok(())
    }
}

/// A format of images, by its media type `image/…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ImageKind {
    /// `image/png`.
    Png,
    /// `image/jpeg`.
    Jpeg,
    /// `image/gif`.
    Gif,
    /// `image/webp`.
    Webp,
}

/// Which tools callers may bring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ToolPolicy {
    /// Every one that `allow.tools` lets through.
    #[default]
    Any,
    /// None.
    None,
    /// Functions of these names.
    Named(Vec<String>),
}

/// What a request must look like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = RequestShape))]
pub struct Shape {
    /// The only fields that a request may have, besides `model`, `input` and `stream`; none: every field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    /// Most bytes of `input`, as it was sent; images in it count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_max_bytes: Option<u64>,
    /// Most images in one request; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_max: Option<u16>,
    /// The only formats of images; none: every format. What counts is the media type of a `data:` URL, else the ending of the
    /// URL's path (`.png`, `.jpg`, `.jpeg`, `.gif`, `.webp`): nothing is fetched, and what says neither is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_kinds: Option<Vec<ImageKind>>,
    /// Which tools callers may bring.
    #[serde(default, skip_serializing_if = "is_any")]
    pub tools: ToolPolicy,
}

fn is_any(policy: &ToolPolicy) -> bool {
    *policy == ToolPolicy::Any
}

impl Shape {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let named: &[String] = match &self.tools {
            ToolPolicy::Named(names) => names,
            ToolPolicy::Any | ToolPolicy::None => &[],
        };
        for (path, names) in
            [("shape.fields", self.fields.as_deref().unwrap_or_default()), ("shape.tools", named)]
        {
            if names.len() > NAMES_MAX || names.iter().any(String::is_empty) {
                return refuse(path, format!("at most {NAMES_MAX} names, none of them empty"));
            }
        }
        if self.input_max_bytes.is_some_and(|bytes| !(1..=INPUT_MAX_BYTES).contains(&bytes)) {
            return refuse("shape.input_max_bytes", format!("between 1 and {INPUT_MAX_BYTES}"));
        }
        if self.images_max.is_some_and(|images| images > IMAGES_MAX) {
            return refuse("shape.images_max", format!("at most {IMAGES_MAX}"));
        }
        if self.image_kinds.as_ref().is_some_and(|kinds| kinds.is_empty() || kinds.len() > ImageKind::COUNT) {
            return refuse(
                "shape.image_kinds",
                "name at least one, each once; `images_max: 0` refuses images".into(),
            );
        }
        Ok(())
    }

    /// Whether a request may have this field.
    #[must_use]
    pub fn takes(&self, field: &str) -> bool {
        let always = RESERVED_FIELDS.contains(&field) && field != "instructions";
        always || self.fields.as_ref().is_none_or(|fields| fields.iter().any(|name| name == field))
    }
}

impl ImageKind {
    const COUNT: usize = 4;
}

/// That responses are kept, so that they can be read and continued by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Retain {
    /// For how many days.
    pub days: u16,
}

/// Checks what a version asks of requests and answers.
pub(super) fn check(
    shape: &Shape,
    schema: Option<&OutputSchema>,
    retain: Option<Retain>,
) -> Result<(), ConfigError> {
    shape.check()?;
    if let Some(schema) = schema {
        schema.check()?;
    }
    if retain.is_some_and(|retain| !(1..=RETAIN_MAX_DAYS).contains(&retain.days)) {
        return refuse("retain.days", format!("between 1 and {RETAIN_MAX_DAYS}"));
    }
    Ok(())
}
