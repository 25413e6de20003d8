//! Images, files and audio as parts.
//!
//! A URL becomes `fileData`, which the provider fetches (<https://ai.google.dev/gemini-api/docs/file-input-methods>).
//!
//! Invariant: a URL never reaches into the provider's own file store. What lies there belongs to whose key it is, and is
//! named by `file_id`, which whoever checks requests can see.

use crate::call::Refusal;
use crate::item::{Content, Source};
use serde_json::{Map, Value, json};
use std::fmt;

/// Where the provider keeps files, <https://ai.google.dev/api/files>.
const STORE_HOST: &str = "generativelanguage.googleapis.com";
const STORE_BASE: &str = "https://generativelanguage.googleapis.com/v1beta/";
/// Longest name of a stored file after `files/`, from the same reference.
const STORE_NAME_MAX_CHARS: usize = 40;

/// Media types by the end of a name, of those that the API lists.
const MEDIA_TYPES: [(&str, &str); 27] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("xml", "text/xml"),
    ("rtf", "text/rtf"),
    ("json", "application/json"),
    ("js", "text/javascript"),
    ("py", "text/x-python"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mov", "video/mov"),
    ("webm", "video/webm"),
];

/// Where a part stands in the caller's request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub item: usize,
    pub member: &'static str,
    pub part: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input[{}].{}[{}]", self.item, self.member, self.part)
    }
}

/// Any content as a part; none for an empty text, which says nothing and which the API does not take. An image's detail is
/// not in it: see [`resolution`].
pub(super) fn part(content: &Content, place: Place) -> Result<Option<Value>, Refusal> {
    Ok(Some(match content {
        Content::Text(text) | Content::Refusal(text) if text.is_empty() => return Ok(None),
        Content::Text(text) | Content::Refusal(text) => json!({"text": text}),
        Content::Image { source, .. } => sourced(source, None, place, "image_url")?,
        Content::File { source, name } => sourced(source, name.as_deref(), place, "file_url")?,
        Content::Audio { base64, format } => json!({"inlineData": {
            "mimeType": audio_type(format).ok_or_else(|| {
                Refusal::unsupported(format!("{place}.input_audio.format"), "must be wav or mp3")
            })?,
            "data": base64,
        }}),
    }))
}

/// The media resolution that stands for an image's detail, from the third generation on.
pub(super) fn resolution(content: &Content) -> Option<Value> {
    let Content::Image { detail, .. } = content else { return None };
    match detail.as_deref() {
        Some("low") => Some(json!({"level": "MEDIA_RESOLUTION_LOW"})),
        Some("high") => Some(json!({"level": "MEDIA_RESOLUTION_HIGH"})),
        _ => None,
    }
}

fn audio_type(format: &str) -> Option<&'static str> {
    match format {
        "wav" => Some("audio/wav"),
        "mp3" => Some("audio/mp3"),
        _ => None,
    }
}

/// `member` is the caller's name for a URL. The data's media type was found out when the request was read.
fn sourced(source: &Source, name: Option<&str>, place: Place, member: &str) -> Result<Value, Refusal> {
    match source {
        Source::Inline { media_type, base64 } => {
            Ok(json!({"inlineData": {"mimeType": media_type, "data": base64}}))
        }
        Source::Url(url) => {
            check_url(url).map_err(|message| Refusal::unsupported(format!("{place}.{member}"), message))?;
            let mut data = Map::from_iter([("fileUri".to_owned(), Value::from(url.as_str()))]);
            let path = url.split(['?', '#']).next().unwrap_or(url);
            if let Some(media_type) = media_type_of(path).or_else(|| name.and_then(media_type_of)) {
                data.insert("mimeType".to_owned(), media_type.into());
            }
            Ok(json!({"fileData": data}))
        }
        Source::FileId(id) => {
            if !is_stored_file(id) {
                let message = "must be files/ and a name of lower-case letters, digits and dashes";
                return Err(Refusal::invalid(format!("{place}.file_id"), message));
            }
            Ok(json!({"fileData": {"fileUri": format!("{STORE_BASE}{id}")}}))
        }
    }
}

fn media_type_of(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    MEDIA_TYPES.iter().find(|(known, _)| end.eq_ignore_ascii_case(known)).map(|(_, media_type)| *media_type)
}

fn is_stored_file(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = id.strip_prefix("files/").unwrap_or_default();
    (1..=STORE_NAME_MAX_CHARS).contains(&name.len()) && name.bytes().all(plain)
}

/// The host is held to plain letters, so that no other spelling of the store's host passes.
fn check_url(url: &str) -> Result<(), &'static str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("must begin with https://");
    };
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err("must begin with https:// or http://");
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return Err("must have a host of plain ASCII, without credentials");
    }
    let name = host.split(':').next().unwrap_or_default().trim_end_matches('.');
    if name.eq_ignore_ascii_case(STORE_HOST) {
        return Err("names a file in the provider's store, which is what file_id is for");
    }
    Ok(())
}
