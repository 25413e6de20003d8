//! What the API answers, as far as it is acted on: `GenerateContentResponse`, <https://ai.google.dev/api/generate-content>.
//!
//! Unknown members are passed over. A part that holds what no fact can say is named, not passed over: see [`Part::unsayable`].
//!
//! Invariant: a call's arguments are kept as the text that the provider wrote.

use crate::call::Malformed;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Number;
use serde_json::value::RawValue;

/// A whole answer, or a piece of one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Chunk {
    pub candidates: Option<Vec<Candidate>>,
    pub prompt_feedback: Option<PromptFeedback>,
    pub usage_metadata: Option<UsageMetadata>,
    /// In place of all others; `error` reads it.
    pub error: Option<IgnoredAny>,
}

impl Chunk {
    /// From JSON text.
    pub fn read(text: &str) -> Result<Self, Malformed> {
        serde_json::from_str(text).map_err(|error| Malformed(error.to_string()))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Candidate {
    pub content: Option<Content>,
    pub finish_reason: Option<String>,
    pub finish_message: Option<String>,
    pub citation_metadata: Option<CitationMetadata>,
    pub logprobs_result: Option<LogprobsResult>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content {
    pub parts: Option<Vec<Part>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part {
    pub text: Option<String>,
    pub thought: Option<bool>,
    pub thought_signature: Option<String>,
    pub function_call: Option<FunctionCall>,
    inline_data: Option<IgnoredAny>,
    file_data: Option<IgnoredAny>,
    executable_code: Option<IgnoredAny>,
    code_execution_result: Option<IgnoredAny>,
    tool_call: Option<IgnoredAny>,
    tool_response: Option<IgnoredAny>,
}

impl Part {
    /// What the part holds that no fact can say: media, and tools of the provider, which no request asks for.
    pub fn unsayable(&self) -> Option<&'static str> {
        let kinds = [
            (&self.inline_data, "inlineData"),
            (&self.file_data, "fileData"),
            (&self.executable_code, "executableCode"),
            (&self.code_execution_result, "codeExecutionResult"),
            (&self.tool_call, "toolCall"),
            (&self.tool_response, "toolResponse"),
        ];
        kinds.iter().find(|(value, _)| value.is_some()).map(|(_, name)| *name)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FunctionCall {
    pub id: Option<String>,
    pub name: Option<String>,
    pub args: Option<Box<RawValue>>,
    /// Arguments piece by piece, which no request asks for.
    pub partial_args: Option<IgnoredAny>,
    /// The call goes on in the next part.
    pub will_continue: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PromptFeedback {
    pub block_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UsageMetadata {
    pub prompt_token_count: Option<u64>,
    pub tool_use_prompt_token_count: Option<u64>,
    pub cached_content_token_count: Option<u64>,
    pub candidates_token_count: Option<u64>,
    pub thoughts_token_count: Option<u64>,
}

/// The Gemini API says `citationSources`, its twin in the cloud `citations`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CitationMetadata {
    pub citation_sources: Option<Vec<CitationSource>>,
    pub citations: Option<Vec<CitationSource>>,
}

/// Indices count bytes of the text; the first is left out if it is 0.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CitationSource {
    pub start_index: Option<usize>,
    pub end_index: Option<usize>,
    pub uri: Option<String>,
    pub title: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LogprobsResult {
    pub chosen_candidates: Option<Vec<Logprob>>,
    pub top_candidates: Option<Vec<TopCandidates>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TopCandidates {
    pub candidates: Option<Vec<Logprob>>,
}

/// A probability of 1 has the logarithm 0, which is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Logprob {
    pub token: Option<String>,
    pub log_probability: Option<Number>,
}
