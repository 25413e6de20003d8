//! Google's Gemini API as a provider: what is asked of `generateContent` and `streamGenerateContent`, and what it answers.
//!
//! Written after <https://ai.google.dev/api/generate-content>, <https://ai.google.dev/gemini-api/docs/function-calling>,
//! <https://ai.google.dev/gemini-api/docs/thought-signatures>, <https://ai.google.dev/gemini-api/docs/generate-content/thinking>,
//! <https://ai.google.dev/gemini-api/docs/file-input-methods> and the types of
//! <https://github.com/googleapis/python-genai> 3.6.1.
//!
//! ```text
//!  Request ──▶ request ─┬─ contents   the conversation ── media, mark     ──▶ Call
//!                       ├─ tools      functions, and which may be called
//!                       └─ config     everything else
//!  Event, body ──▶ stream ──▶ answer ── wire, mark, citation, finish ──▶ Fact
//!  error body  ──▶ error                                             ──▶ ProviderError
//! ```
//!
//! What differs from the Responses protocol, and what is done about it:
//!
//! - **Thought signatures** stand on the very part that they belong to, and must come back on it. `mark` says how they
//!   travel through reasoning items.
//! - **Arguments** are objects here and text there: what the model wrote becomes compact text with its keys in their order.
//!   What the caller gives back is the same object, with its keys in any order.
//! - **Instructions** have one place: system and developer messages stand in it in their order, wherever they were in the input.
//! - **A function's output** must be an object: it is `{"output": text}`, or `{"output": [text, …]}` for several texts,
//!   which is how the API's reference says "this is the output".
//! - **A file's name** has no place; it only tells the media type if nothing else does. So has a schema's name.
//! - **Summaries** have one form: `auto`, `concise` and `detailed` ask for the same.
//!
//! Invariant: whatever a provider sends, the facts name each call's arguments whole and as an object.

mod answer;
mod citation;
mod config;
mod contents;
mod error;
mod finish;
mod mark;
mod media;
mod request;
mod stream;
mod tools;
mod wire;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub use error::{error, retry_delay_ms};
pub use request::call;
pub use stream::{Reader, whole};

/// The name under which thoughts of this provider are sealed.
pub const PROVIDER: &str = "gemini";

/// Whether a model is of the first or second generation: they take a thinking budget in place of a level, know no media
/// resolution of a single part and no media in a function's output, and ask for no signatures. Aliases such as
/// `gemini-flash-latest` name newer models.
fn is_second_generation(model: &str) -> bool {
    let name = model.strip_prefix("models/").unwrap_or(model);
    name.starts_with("gemini-1") || name.starts_with("gemini-2")
}

/// An object with one member more.
fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    if let Value::Object(members) = &mut object {
        members.insert(name.to_owned(), value.into());
    }
    object
}
