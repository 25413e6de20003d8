//! What a provider is asked, and why a request cannot be asked of it.
//!
//! Invariant: a refusal names the member of the caller's request, never one of the provider's.

use serde_json::Value;

/// One HTTP request to a provider, without its origin and its credential.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What follows the target's base URL, with a query if there is one, e.g. `/chat/completions`.
    pub path: String,
    /// Headers besides `content-type` and the credential's.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Value,
}

/// The caller's request cannot be asked of this provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{param}: {message}")]
pub struct Refusal {
    /// Whether the value can be no value at all, or is one that this provider cannot serve.
    pub kind: RefusalKind,
    /// Path of the member in the caller's request, e.g. `input[2].content[0].file_id`.
    pub param: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// Not a request of the Responses protocol: `invalid_parameter`.
    Invalid,
    /// A request that this provider cannot serve: `unsupported_parameter`.
    Unsupported,
}

impl Refusal {
    /// The value is none that the protocol knows.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Invalid, param: param.into(), message: message.into() }
    }

    /// The provider has no way to do this.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Unsupported, param: param.into(), message: message.into() }
    }
}

/// A provider's answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer cannot be read: {0}")]
pub struct Malformed(pub String);
