//! Parts of messages and outputs as content blocks.
//!
//! A text of nothing but white space is left out: the API refuses such a block, and it says nothing.
//!
//! Invariant: a part becomes one block, says nothing, or is refused by its path.

use crate::{
    call::Refusal,
    item::{Content, Source},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// What the API can look at; <https://platform.claude.com/docs/en/build-with-claude/vision>.
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Media types that are text though their name does not begin with `text/`.
const TEXT_TYPES: [&str; 4] =
    ["application/json", "application/xml", "application/yaml", "application/javascript"];

/// A text block; none for a text that says nothing.
pub(super) fn text(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}))
}

/// What the model, or whoever runs it, said: text only. A refusal is the text that it is.
pub(super) fn texts(at: &str, parts: &[Content]) -> Result<Vec<Value>, Refusal> {
    let mut blocks = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        match part {
            Content::Text(said) | Content::Refusal(said) => blocks.extend(text(said)),
            Content::Image { .. } | Content::File { .. } | Content::Audio { .. } => {
                let message =
                    "this provider takes text only here; images and files are the user's or a function's";
                return Err(Refusal::unsupported(format!("{at}.content[{index}]"), message));
            }
        }
    }
    Ok(blocks)
}

/// What the user said and showed.
pub(super) fn of_user(at: &str, parts: &[Content]) -> Result<Vec<Value>, Refusal> {
    blocks(&format!("{at}.content"), parts)
}

/// What a function gave.
pub(super) fn of_output(at: &str, parts: &[Content]) -> Result<Vec<Value>, Refusal> {
    blocks(&format!("{at}.output"), parts)
}

fn blocks(at: &str, parts: &[Content]) -> Result<Vec<Value>, Refusal> {
    let mut blocks = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match part {
            Content::Text(said) | Content::Refusal(said) => blocks.extend(text(said)),
            Content::Image { source, detail } => blocks.push(image(&at, source, detail.as_deref())?),
            Content::File { source, name } => blocks.push(document(&at, source, name.as_deref())?),
            Content::Audio { .. } => {
                return Err(Refusal::unsupported(at, "this provider cannot hear: `input_audio`"));
            }
        }
    }
    Ok(blocks)
}

/// The API always looks as closely as it can: `high`, and what `auto` leaves to it.
fn image(at: &str, source: &Source, detail: Option<&str>) -> Result<Value, Refusal> {
    if let Some(detail) = detail.filter(|detail| !matches!(*detail, "auto" | "high")) {
        let message =
            format!("this provider has no `{detail}`: it looks as closely as it can (`auto`, `high`)");
        return Err(Refusal::unsupported(format!("{at}.detail"), message));
    }
    let source = match source {
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::FileId(id) => json!({"type": "file", "file_id": id}),
        Source::Inline { media_type, base64 } if IMAGE_TYPES.contains(&media_type.as_str()) => {
            json!({"type": "base64", "media_type": media_type, "data": base64})
        }
        Source::Inline { media_type, .. } => {
            let message = format!("this provider sees no `{media_type}`, but {}", IMAGE_TYPES.join(", "));
            return Err(Refusal::unsupported(format!("{at}.image_url"), message));
        }
    };
    Ok(json!({"type": "image", "source": source}))
}

/// <https://platform.claude.com/docs/en/build-with-claude/pdf-support>: what is at a URL must be a PDF, which the API
/// finds out.
fn document(at: &str, source: &Source, name: Option<&str>) -> Result<Value, Refusal> {
    let source = match source {
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::FileId(id) => json!({"type": "file", "file_id": id}),
        Source::Inline { media_type, base64 } if media_type == "application/pdf" => {
            json!({"type": "base64", "media_type": media_type, "data": base64})
        }
        Source::Inline { media_type, base64 } if is_text(media_type) => {
            let text = BASE64_STANDARD.decode(base64).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| {
                Refusal::invalid(format!("{at}.file_data"), "must be the base64 of text in UTF-8")
            })?;
            json!({"type": "text", "media_type": "text/plain", "data": text})
        }
        Source::Inline { media_type, .. } => {
            let message = format!("this provider reads no `{media_type}`, but PDF and text");
            return Err(Refusal::unsupported(format!("{at}.file_data"), message));
        }
    };
    let mut block = json!({"type": "document", "source": source});
    if let (Some(block), Some(name)) = (block.as_object_mut(), name.filter(|name| !name.is_empty())) {
        block.insert("title".into(), json!(name));
    }
    Ok(block)
}

/// `text/csv; charset=utf-8` is text, too.
fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/") || TEXT_TYPES.contains(&essence)
}
