//! Reads the parts of a message, or of a function's output.
//!
//! Invariant: a part names exactly one source of its bytes.

use crate::{
    call::Refusal,
    item::{Content, Role, Source},
    members::{Members, wrong},
};
use serde_json::Value;

/// Media types of files that say none, by the end of their names.
const MEDIA_TYPES: [(&str, &str); 7] = [
    (".pdf", "application/pdf"),
    (".json", "application/json"),
    (".csv", "text/csv"),
    (".html", "text/html"),
    (".xml", "text/xml"),
    (".md", "text/markdown"),
    (".txt", "text/plain"),
];
/// Of a file that says no media type and whose name says none: nearly all files that are sent are of this one.
const DEFAULT_MEDIA_TYPE: &str = "application/pdf";

/// A plain string.
pub(super) fn of_text(text: &str) -> Vec<Content> {
    vec![Content::Text(text.to_owned())]
}

/// A member that is a string, or parts.
pub(super) fn read(item: &Members<'_>, name: &str) -> Result<Vec<Content>, Refusal> {
    match item.get(name) {
        Some(Value::String(text)) => Ok(of_text(text)),
        Some(Value::Array(parts)) => {
            let path = item.path(name);
            parts.iter().enumerate().map(|(at, value)| part(value, format!("{path}[{at}]"))).collect()
        }
        Some(value) => Err(wrong(item.path(name), "a string or an array", value)),
        None => Err(item.missing(name, "a string or an array")),
    }
}

/// Refuses parts that one in this role does not say: pictures are the user's, refusals the model's.
pub(super) fn fits(parts: &[Content], role: Role, path: &str) -> Result<(), Refusal> {
    let fits = |part: &Content| match part {
        Content::Text(_) => true,
        Content::Refusal(_) => role == Role::Assistant,
        Content::Image { .. } | Content::File { .. } | Content::Audio { .. } => role == Role::User,
    };
    match parts.iter().position(|part| !fits(part)) {
        Some(at) => {
            Err(Refusal::invalid(format!("{path}[{at}].type"), "is no part that one in this role says"))
        }
        None => Ok(()),
    }
}

fn part(value: &Value, path: String) -> Result<Content, Refusal> {
    let part = Members::of(value, path)?;
    match part.needed_text("type")? {
        "input_text" => {
            part.only(&["type", "text"])?;
            part.needed_text("text").map(|text| Content::Text(text.to_owned()))
        }
        "output_text" => {
            part.only(&["type", "text", "annotations", "logprobs", "parsed"])?;
            part.needed_text("text").map(|text| Content::Text(text.to_owned()))
        }
        "refusal" => {
            part.only(&["type", "refusal"])?;
            part.needed_text("refusal").map(|text| Content::Refusal(text.to_owned()))
        }
        "input_image" => image(&part),
        "input_file" => file(&part),
        "input_audio" => audio(&part),
        "input_video" => Err(Refusal::unsupported(part.path("type"), "no provider can be sent video")),
        _ => {
            let known =
                "must be one of input_text, output_text, refusal, input_image, input_file, input_audio";
            Err(Refusal::invalid(part.path("type"), known))
        }
    }
}

fn image(part: &Members<'_>) -> Result<Content, Refusal> {
    part.only(&["type", "image_url", "file_id", "detail"])?;
    let detail = part.one_of("detail", &["low", "high", "auto", "original"])?.map(str::to_owned);
    let source = match (part.text("image_url")?, part.text("file_id")?) {
        (Some(url), None) => of_url(url, part.path("image_url"))?,
        (None, Some(id)) => Source::FileId(id.to_owned()),
        _ => return Err(Refusal::invalid(part.here(), "must have either image_url or file_id")),
    };
    Ok(Content::Image { source, detail })
}

fn file(part: &Members<'_>) -> Result<Content, Refusal> {
    part.only(&["type", "file_url", "file_data", "file_id", "filename"])?;
    let name = part.text("filename")?;
    let source = match (part.text("file_url")?, part.text("file_data")?, part.text("file_id")?) {
        (Some(url), None, None) => of_url(url, part.path("file_url"))?,
        (None, Some(data), None) if data.starts_with("data:") => of_url(data, part.path("file_data"))?,
        (None, Some(data), None) => {
            Source::Inline { media_type: media_type(name).to_owned(), base64: data.to_owned() }
        }
        (None, None, Some(id)) => Source::FileId(id.to_owned()),
        _ => return Err(Refusal::invalid(part.here(), "must have one of file_url, file_data, file_id")),
    };
    Ok(Content::File { source, name: name.map(str::to_owned) })
}

fn media_type(name: Option<&str>) -> &'static str {
    let name = name.unwrap_or_default().to_ascii_lowercase();
    MEDIA_TYPES
        .iter()
        .find(|(end, _)| name.ends_with(end))
        .map_or(DEFAULT_MEDIA_TYPE, |(_, media_type)| media_type)
}

/// A URL; one of the scheme `data:` holds the bytes itself (<https://www.rfc-editor.org/rfc/rfc2397>), here in base64 only.
fn of_url(url: &str, path: String) -> Result<Source, Refusal> {
    let Some(rest) = url.strip_prefix("data:") else { return Ok(Source::Url(url.to_owned())) };
    let inline = rest.split_once(',').and_then(|(head, base64)| {
        let media_type = head.strip_suffix(";base64")?.split(';').next()?;
        Some(Source::Inline { media_type: media_type.to_owned(), base64: base64.to_owned() })
    });
    match inline {
        Some(Source::Inline { media_type, base64 }) if !media_type.is_empty() && !base64.is_empty() => {
            Ok(Source::Inline { media_type, base64 })
        }
        _ => Err(Refusal::invalid(
            path,
            "must be of the form data:<media type>;base64,<bytes>, or another URL",
        )),
    }
}

fn audio(part: &Members<'_>) -> Result<Content, Refusal> {
    part.only(&["type", "input_audio"])?;
    let audio = part.object("input_audio")?.ok_or_else(|| part.missing("input_audio", "an object"))?;
    audio.only(&["data", "format"])?;
    let format =
        audio.one_of("format", &["wav", "mp3"])?.ok_or_else(|| audio.missing("format", "wav or mp3"))?;
    Ok(Content::Audio { base64: audio.needed_text("data")?.to_owned(), format: format.to_owned() })
}
