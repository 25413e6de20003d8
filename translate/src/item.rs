//! The items of a conversation: what stands in `input`, and what a response's `output` holds.
//!
//! Invariant: ids, order and the text of arguments are kept byte for byte.

/// One item of `input`.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Something that somebody said.
    Message(Message),
    /// A call of a function tool, by the model.
    FunctionCall(FunctionCall),
    /// What the function gave.
    FunctionCallOutput(FunctionCallOutput),
    /// What the model thought.
    Reasoning(Reasoning),
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said, part by part; a plain string is one text.
    pub content: Vec<Content>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The caller's user.
    User,
    /// The model.
    Assistant,
    /// Whoever runs the model.
    System,
    /// Whoever builds on the model; as `System`, where a provider knows one of the two.
    Developer,
}

/// A part of a message, or of a function's output.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// `input_text` and `output_text`.
    Text(String),
    /// `refusal`.
    Refusal(String),
    /// `input_image`.
    Image {
        /// Where it is.
        source: Source,
        /// `low`, `high` or `auto`.
        detail: Option<String>,
    },
    /// `input_file`.
    File {
        /// Where it is.
        source: Source,
        /// Its name.
        name: Option<String>,
    },
    /// `input_audio`.
    Audio {
        /// The bytes, in base64.
        base64: String,
        /// `wav` or `mp3`.
        format: String,
    },
}

/// Where an image or file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// At a URL that the provider fetches.
    Url(String),
    /// Here, as base64.
    Inline {
        /// Its media type, e.g. `image/png`.
        media_type: String,
        /// The bytes.
        base64: String,
    },
    /// In the provider's store.
    FileId(String),
}

/// A call of a function tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCall {
    /// Ties the output to the call; the caller gives it back as it came.
    pub call_id: String,
    /// The function's name.
    pub name: String,
    /// JSON text, as the model wrote it.
    pub arguments: String,
}

/// What a function gave.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionCallOutput {
    /// Of the call.
    pub call_id: String,
    /// The output, part by part; a plain string is one text.
    pub output: Vec<Content>,
}

/// What a model thought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// Its summary, part by part.
    pub summary: Vec<String>,
    /// The thoughts themselves, where the provider shows them.
    pub text: Vec<String>,
    /// `encrypted_content`: what its provider needs to go on from it.
    pub sealed: Option<String>,
}
