//! The Responses protocol and its providers: what a caller asks in Responses is asked of any provider, and what the
//! provider answers becomes a response, whole or as events.
//!
//! Nothing here does I/O, reads a clock or draws a random number; it builds for wasm32.
//!
//! ```text
//!  body    ──▶ Request ──▶ chat · anthropic · gemini ──▶ Call    what the provider is asked, or a Refusal that names the field
//!  bytes   ──▶ sse ──▶ chat · anthropic · gemini ──▶ Fact       what the provider says, whichever it is (`protocol`)
//!  Fact    ──▶ Lifecycle ──▶ Event, response object      ids, order, numbering, every required member
//!  bytes   ──▶ Pipeline ──▶ bytes                 all of the above for one answer, in the caller's protocol
//!  chat request ──▶ completions ──▶ Request, and Event ──▶ completions ──▶ chat chunks: the same for callers of chat
//! ```
//!
//! Invariant: nothing that a caller asks for is dropped in silence. What a provider cannot do is refused by the
//! field's name; what is not understood and changes nothing is kept.

pub mod anthropic;
pub mod call;
pub mod chat;
pub mod compaction;
pub mod completions;
pub mod event;
pub mod fact;
pub mod gemini;
pub mod item;
pub mod lifecycle;
mod members;
pub mod pipeline;
pub mod protocol;
pub mod replay;
pub mod request;
pub mod response;
pub mod schema;
pub mod sse;

/// The README's example, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests;
