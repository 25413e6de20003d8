//! Which protocol a provider speaks, and its adapter behind the same doors.
//!
//! Invariant: the facts depend on the provider's bytes alone, never on how they were cut into pieces.

use crate::{
    anthropic,
    call::{Call, Malformed, Refusal},
    chat,
    fact::{Fact, ProviderError},
    gemini,
    request::Request,
    sse,
};

/// A provider's protocol, where it is not Responses itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Chat completions, as OpenAI and many others speak it.
    Chat,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Anthropic, Self::Gemini];

    /// The name under which thoughts are sealed for replay; see [`crate::replay`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => chat::PROVIDER,
            Self::Anthropic => anthropic::PROVIDER,
            Self::Gemini => gemini::PROVIDER,
        }
    }

    /// What the provider is asked.
    ///
    /// # Errors
    ///
    /// The request cannot be asked of it; the refusal names the member of the request.
    pub fn call(self, request: &Request) -> Result<Call, Refusal> {
        match self {
            Self::Chat => chat::call(request),
            Self::Anthropic => anthropic::call(request),
            Self::Gemini => gemini::call(request),
        }
    }

    /// Reads an answer that comes as events.
    #[must_use]
    pub fn reader(self) -> Reader {
        let events = match self {
            Self::Chat => Events::Chat(chat::Reader::default()),
            Self::Anthropic => Events::Anthropic(anthropic::Reader::default()),
            Self::Gemini => Events::Gemini(gemini::Reader::default()),
        };
        Reader { parser: sse::Parser::default(), events }
    }

    /// Reads an answer that comes in one piece.
    ///
    /// # Errors
    ///
    /// The body is not an answer of this protocol.
    pub fn whole(self, body: &[u8]) -> Result<Vec<Fact>, Malformed> {
        match self {
            Self::Chat => chat::whole(body),
            Self::Anthropic => anthropic::whole(body),
            Self::Gemini => gemini::whole(body),
        }
    }

    /// Reads an answer that is none: of a status that is not 2xx, whatever its body is.
    #[must_use]
    pub fn error(self, status: u16, body: &[u8]) -> ProviderError {
        match self {
            Self::Chat => chat::error(status, body),
            Self::Anthropic => anthropic::error(status, body),
            Self::Gemini => gemini::error(status, body),
        }
    }
}

/// Reads a provider's stream, piece by piece.
#[derive(Debug)]
pub struct Reader {
    parser: sse::Parser,
    events: Events,
}

#[derive(Debug)]
enum Events {
    Chat(chat::Reader),
    Anthropic(anthropic::Reader),
    Gemini(gemini::Reader),
}

impl Reader {
    /// Reads on, and appends what the provider says.
    ///
    /// # Errors
    ///
    /// The stream is not one of this protocol. What it said before is appended all the same; what follows cannot be read.
    pub fn feed(&mut self, bytes: &[u8], facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        let mut events = Vec::new();
        let parsed = self.parser.feed(bytes, &mut events);
        for event in &events {
            self.events.read(event, facts)?;
        }
        parsed
    }

    /// The stream has ended: appends what an event says that the end cut off.
    ///
    /// # Errors
    ///
    /// As [`Reader::feed`]: the stream broke off within an event.
    pub fn finish(mut self, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        match self.parser.finish()? {
            Some(event) => self.events.read(&event, facts),
            None => Ok(()),
        }
    }
}

impl Events {
    /// An event without data says nothing in any of these protocols: some servers send such to keep the connection alive.
    fn read(&mut self, event: &sse::Event, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        if event.data.is_empty() {
            return Ok(());
        }
        facts.extend(match self {
            Self::Chat(reader) => reader.event(event),
            Self::Anthropic(reader) => reader.event(event),
            Self::Gemini(reader) => reader.event(event),
        }?);
        Ok(())
    }
}
