//! Blocks of content: text, images, documents, calls of tools, their results, and thinking.
//!
//! Invariant: thinking is taken back only as it was given.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::provider::fault::{Fault, demand};
use crate::provider::place::{Place, is_name};
use crate::provider::seal;

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Longer than any id that a provider gives.
const ID_MAX_CHARS: usize = 512;

pub(super) const OF_USER: [&str; 6] =
    ["text", "image", "document", "search_result", "tool_result", "container_upload"];
pub(super) const OF_ASSISTANT: [&str; 4] = ["text", "thinking", "redacted_thinking", "tool_use"];

/// Refuses a block that is not well formed.
pub(super) fn check(block: &Place<'_>, allowed: &[&str]) -> Result<(), Fault> {
    match block.need("type")?.one_of(allowed)? {
        "text" => text(block),
        "image" => image(block),
        "document" => document(block),
        "tool_use" => tool_use(block),
        "tool_result" => tool_result(block),
        "thinking" => thinking(block),
        "redacted_thinking" => block.need("data")?.text().map(|_| ()),
        _ => Ok(()),
    }
}

pub(super) fn text(block: &Place<'_>) -> Result<(), Fault> {
    block.only(&["type", "text", "cache_control", "citations"])?;
    let empty = block.need("text")?.text()?.is_empty();
    demand(!empty, || "messages: text content blocks must be non-empty".to_owned())
}

fn image(block: &Place<'_>) -> Result<(), Fault> {
    block.only(&["type", "source", "cache_control", "transformations"])?;
    let source = block.need("source")?;
    match source.need("type")?.one_of(&["base64", "url", "file"])? {
        "base64" => base64(&source, &IMAGES),
        "url" => url(&source),
        _ => source.need("file_id")?.text().map(|_| ()),
    }
}

fn document(block: &Place<'_>) -> Result<(), Fault> {
    block.only(&["type", "source", "cache_control", "citations", "context", "title"])?;
    let source = block.need("source")?;
    match source.need("type")?.one_of(&["base64", "text", "url", "content", "file"])? {
        "base64" => base64(&source, &["application/pdf"]),
        "text" => {
            source.need("media_type")?.one_of(&["text/plain"])?;
            source.need("data")?.text().map(|_| ())
        }
        "url" => url(&source),
        "content" => source.need("content").map(|_| ()),
        _ => source.need("file_id")?.text().map(|_| ()),
    }
}

fn base64(source: &Place<'_>, kinds: &[&str]) -> Result<(), Fault> {
    source.only(&["type", "media_type", "data"])?;
    source.need("media_type")?.one_of(kinds)?;
    let data = source.need("data")?;
    let decodes = STANDARD.decode(data.text()?).is_ok_and(|bytes| !bytes.is_empty());
    if decodes { Ok(()) } else { Err(data.refused("invalid base64 data")) }
}

fn url(source: &Place<'_>) -> Result<(), Fault> {
    source.only(&["type", "url"])?;
    let url = source.need("url")?;
    let reachable = url.text()?.starts_with("https://") || url.text()?.starts_with("http://");
    if reachable { Ok(()) } else { Err(url.refused("Only HTTPS URLs are supported.")) }
}

fn tool_use(block: &Place<'_>) -> Result<(), Fault> {
    block.only(&["type", "id", "name", "input", "cache_control", "caller", "toolset_name"])?;
    let id = block.need("id")?;
    if !is_name(id.text()?, ID_MAX_CHARS) {
        return Err(id.refused("String should match pattern '^[a-zA-Z0-9_-]+$'"));
    }
    block.need("name")?.text()?;
    let input = block.need("input")?;
    if input.value.is_object() { Ok(()) } else { Err(input.refused("Input should be a valid dictionary")) }
}

fn tool_result(block: &Place<'_>) -> Result<(), Fault> {
    block.only(&["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"])?;
    block.need("tool_use_id")?.text()?;
    let Some(content) = block.member("content").filter(|content| !content.value.is_string()) else {
        return Ok(());
    };
    for part in content.list()? {
        check(&part, &["text", "image", "document", "search_result"])?;
    }
    Ok(())
}

fn thinking(block: &Place<'_>) -> Result<(), Fault> {
    block.only(&["type", "thinking", "signature", "cache_control"])?;
    let text = block.need("thinking")?.text()?;
    let signature = block.need("signature")?.text()?;
    // Thinking that was not shown comes back empty.
    let about = Some(text).filter(|text| !text.is_empty());
    let unchanged = seal::holds(super::render::SEAL, about, signature);
    demand(unchanged, || format!("{}: Invalid `signature` in `thinking` block", block.path()))
}
