//! What a provider says in its answer, whichever provider it is: the one language that the lifecycle understands.
//!
//! Invariant: adapters say facts in the order in which the provider told them, and decide nothing about ids, indices or
//! event names; the lifecycle opens and closes items by itself.

use serde_json::Value;

/// One thing that the provider said.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Text of the answer. It goes on in the open text part, or opens one.
    Text {
        /// The text; may be empty.
        text: String,
        /// Log probabilities in the form of the Responses protocol, if the provider told them.
        logprobs: Vec<Value>,
    },
    /// An annotation of the text so far, in the form of the Responses protocol.
    Annotation(Value),
    /// Text of a refusal, in the open message or a new one.
    Refusal(String),
    /// A summary of the model's thoughts; goes on in the open reasoning item, or opens one.
    ReasoningSummary(String),
    /// The summary's present part ends; more of it is another part.
    ReasoningSummaryEnd,
    /// The model's thoughts themselves, where the provider shows them.
    ReasoningText(String),
    /// What the provider needs to go on from these thoughts; see `replay`. It goes into the open reasoning item, or into a
    /// new one without text. Several in one item follow each other.
    ReasoningSealed(Value),
    /// The open message or reasoning item ends. Calls end with the answer, or with [`Fact::CallEnd`].
    ItemEnd,
    /// The model calls a function.
    Call {
        /// The provider's own number of the call in this answer: what tells apart calls whose arguments are interleaved.
        slot: u64,
        /// Ties the output to the call; none: the provider has no ids, and the lifecycle makes one.
        call_id: Option<String>,
        /// The function's name.
        name: String,
    },
    /// More of a call's arguments, JSON text.
    Arguments {
        /// Of which call.
        slot: u64,
        /// The text.
        delta: String,
    },
    /// The call's arguments are whole.
    CallEnd {
        /// Which call.
        slot: u64,
    },
    /// Tokens used so far; a later one replaces it.
    Usage(Usage),
    /// The model has ended. What the provider sends afterwards is usage only.
    Finished(Finish),
    /// The provider gave up.
    Failed(ProviderError),
}

/// Tokens used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the input, cached ones included.
    pub input_tokens: u64,
    /// Of these, read from the provider's cache.
    pub cached_tokens: u64,
    /// Of the output, thoughts included.
    pub output_tokens: u64,
    /// Of these, thoughts.
    pub reasoning_tokens: u64,
}

/// Why the model ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It was done, or wants its calls answered: `completed`.
    Done,
    /// `incomplete`, reason `max_output_tokens`.
    Length,
    /// `incomplete`, reason `content_filter`.
    Filter,
}

/// A provider's error, of an answer that is none or in the middle of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// Whose fault it is.
    pub kind: ErrorKind,
    /// The provider's own code or type, if it gave one.
    pub code: Option<String>,
    /// The provider's message; empty if it gave none.
    pub message: String,
}

/// What a provider's error means, after the error types of the Open Responses specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request cannot be served as it is: 400, 413, 422.
    InvalidRequest,
    /// The provider does not accept the credential: 401, 403.
    Credential,
    /// The model is not there: 404.
    NotFound,
    /// Too many requests, or a quota is used up: 429.
    TooManyRequests,
    /// The provider is overloaded or broken: 5xx, 529.
    Server,
    /// The model failed on this request.
    Model,
}
