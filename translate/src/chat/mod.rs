//! Providers that speak chat completions: OpenAI, vLLM, Ollama, DeepSeek, Mistral, OpenRouter, Portkey's gateway, ….
//!
//! After <https://developers.openai.com/api/reference/resources/chat/subresources/completions/methods/create>, with
//! what others add: <https://docs.vllm.ai/en/latest/features/reasoning_outputs/>,
//! <https://api-docs.deepseek.com/guides/thinking_mode>, <https://openrouter.ai/docs/api/reference/streaming>,
//! <https://docs.mistral.ai/api/endpoint/chat>, <https://docs.ollama.com/api/openai-compatibility>.
//!
//! Where these servers differ, what most of them understand is sent:
//!
//! - **Output limit**: `max_tokens`, but `max_completion_tokens` to OpenAI's own models, which refuse the former. Ollama
//!   and LM Studio ignore the latter in silence and Mistral refuses it; a limit must never be ignored.
//! - **Roles**: `system` also for `developer`: OpenAI reads it as `developer`, other models' templates know no such
//!   role. Instructions and all system messages that open the conversation become one, as many templates take only one.
//! - **Allowed tools**: only these are sent, with `auto` or `required`; `allowed_tools` itself is known to OpenAI alone.
//! - **A function's output** is text. An image or a file in it is refused: moved into a user's message, it would say with
//!   the user's voice what a tool said.
//! - **Thoughts** are shown as the provider shows them, and given back in the members in which they came
//!   (`reasoning_content`, `reasoning`, or a part of the content), if they were sealed here: vLLM reads one, DeepSeek the
//!   other, Mistral none. Those of other providers are left out.
//! - **Usage** is asked for with `stream_options`, but for Mistral's own platform, which refuses that and tells it anyhow.
//! - **`reasoning.summary`**: there is none; `auto` is content with the thoughts themselves, other values are refused.
//!
//! Invariant: what the model sees of ids and arguments is what the caller gave, byte for byte.

mod answer;
mod calls;
mod error;
mod messages;
mod models;
mod other;
mod request;
mod spoken;
mod stream;
mod usage;

pub use answer::whole;
pub use error::error;
pub use request::call;
pub use stream::Reader;

/// The name under which thoughts are sealed.
pub(crate) const PROVIDER: &str = "chat";
/// The members in which servers put the model's thoughts; some say the same in both.
const THOUGHTS: [&str; 2] = ["reasoning_content", "reasoning"];
/// The kind of the part of `content` in which Mistral puts them.
const THINKING: &str = "thinking";

#[cfg(test)]
mod tests;
