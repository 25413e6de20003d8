//! Anthropic's Messages API, `POST {base}/messages`, asked in Responses and answered in facts.
//!
//! After the API reference (<https://platform.claude.com/docs/en/api/messages/create>), its pages on streaming
//! (<https://platform.claude.com/docs/en/build-with-claude/streaming>), thinking
//! (<https://platform.claude.com/docs/en/build-with-claude/thinking>), effort
//! (<https://platform.claude.com/docs/en/build-with-claude/effort>), structured outputs
//! (<https://platform.claude.com/docs/en/build-with-claude/structured-outputs>), stop reasons
//! (<https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons>) and errors
//! (<https://platform.claude.com/docs/en/api/errors>), and the types of anthropic-sdk-python 2.14.
//!
//! What is said differently there, and how it is said here:
//!
//! - `instructions` and all system and developer messages become `system`, in their order, wherever they stood.
//! - `max_tokens` is required: without `max_output_tokens` it is [`MAX_TOKENS_DEFAULT`].
//! - Thoughts come back only to the provider that thought them: a reasoning item that another provider sealed, or that
//!   is not sealed, is left out.
//! - A schema's constraints that the API does not know are told to the model in words (see `schema`).
//! - What a certain model does not take (sampling members since Claude 4.7, `effort: none` where thoughts are always on,
//!   a forced tool on some) the API itself refuses, by name: there is no list of models here that would grow stale. The
//!   one thing read from the model's name is the form in which thoughts are asked for (see `thinking`).
//!
//! Invariant: a request is refused by the name of the caller's member, or asked whole; of the answer, only what cannot
//! have been asked for through this crate (blocks of the provider's own tools) is passed over.

mod answer;
mod blocks;
mod content;
mod ending;
mod error;
mod messages;
mod other;
mod request;
mod schema;
mod stream;
mod thinking;
mod tools;

#[cfg(test)]
mod tests;

pub use answer::whole;
pub use error::error;
pub use request::{MAX_TOKENS_DEFAULT, call};
pub use stream::Reader;

/// The provider whose thoughts these are: the name under which `replay` seals them.
pub const PROVIDER: &str = "anthropic";
