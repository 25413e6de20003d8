//! Chat completions, as OpenAI's reference has them, with what vLLM and DeepSeek add.
//!
//! Invariant: what OpenAI refuses is refused here, with the same `param` and, where it has one, `code`.

mod check;
mod messages;
mod render;
mod tools;

pub(super) use check::check;
pub(super) use render::answer;
