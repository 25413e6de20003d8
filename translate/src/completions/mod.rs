//! Callers that speak chat completions, served by any target: their request as one of the Responses protocol, and the
//! response, whole or as events, as theirs.
//!
//! After <https://developers.openai.com/api/reference/resources/chat/subresources/completions/methods/create> and
//! <https://developers.openai.com/api/docs/guides/migrate-to-responses>. Defaults are chat's: what the two protocols
//! default to differently (`store`, a function's `strict`) is said.
//!
//! - Members of chat that Responses lacks (`stop`, `seed`, …) keep their names: adapters serve or refuse them, and
//!   [`Asked::native`] refuses them for targets that speak Responses themselves.
//! - Refused for every target: `n` above 1, `functions` and `function_call` (their results in a conversation are read),
//!   custom tools, audio output, web search, participants' names.
//! - Thoughts are shown as `reasoning_content`, as DeepSeek does. Given back, they reach providers of chat completions
//!   alone: chat has no place for what others need to go on from them.
//!
//! Invariant: ids, order and arguments go through byte for byte; a refusal is told in the caller's names.

mod answer;
mod error;
mod messages;
mod places;
mod request;
mod stream;
mod usage;

pub use answer::completion;
pub use request::{Asked, ask};
pub use stream::Writer;

#[cfg(test)]
mod tests;
