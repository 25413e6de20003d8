//! A request as a call of the Gemini API.
//!
//! Invariant: the path has exactly the segments that this file writes, whatever a model is called.

use super::{config, contents, tools};
use crate::call::{Call, Refusal};
use crate::request::Request;
use serde_json::{Map, json};

/// What the API is asked. The path follows a base such as `https://generativelanguage.googleapis.com/v1beta`.
///
/// # Errors
///
/// With the path of the member that this provider cannot serve, or that fits no conversation.
pub fn call(request: &Request) -> Result<Call, Refusal> {
    let model = model_path(&request.model)?;
    let conversation = contents::of(request)?;
    let mut body = Map::new();
    body.insert("contents".to_owned(), conversation.contents.into());
    if !conversation.instructions.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({"parts": conversation.instructions}));
    }
    tools::put(request, &mut body)?;
    config::put(request, &mut body)?;
    let method = if request.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    Ok(Call { path: format!("/{model}:{method}"), headers: Vec::new(), body: body.into() })
}

/// `models/…` unless the name says `tunedModels/…`. Names of models are plain, so nothing needs to be encoded.
fn model_path(model: &str) -> Result<String, Refusal> {
    let (collection, name) = match model.split_once('/') {
        Some((collection @ ("models" | "tunedModels"), name)) => (collection, name),
        _ => ("models", model),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) || name.bytes().all(|byte| byte == b'.') {
        let message = "must be letters, digits, -, ., _ and ~, after models/ or tunedModels/ if at all";
        return Err(Refusal::invalid("model", message));
    }
    Ok(format!("{collection}/{name}"))
}
