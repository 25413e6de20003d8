//! What a provider refuses, before it is written in the words of a protocol.
//!
//! Invariant: a fault says what a caller must change; which envelope it comes in is the protocol's.

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) message: String,
    /// The member of the body that is wrong, in the provider's own notation.
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

impl Fault {
    pub(super) fn of(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// A request that does not make sense.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::of(400, message)
    }

    /// One that does not make sense at this place.
    pub(super) fn at(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::invalid(message) }
    }

    pub(super) fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}

/// Refuses with what `message` says unless it holds.
pub(super) fn demand(holds: bool, message: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::invalid(message())) }
}
