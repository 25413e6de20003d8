//! A provider's answer on its way to the caller: the provider's bytes in, the caller's bytes out, piece by piece or whole.
//!
//! Invariant: what comes out is whole events; after the terminal one nothing comes. What the caller reads of a provider's own
//! error has gone through the concealer.

use crate::{
    call::Malformed,
    completions::{Writer, completion},
    event::{DONE, Event},
    fact::{Fact, Finish, Usage},
    lifecycle::Lifecycle,
    protocol::{Protocol, Reader},
    response::{Echo, Failure, Identity, Status},
    sse,
};
use serde_json::Value;

/// What is said of a stream that cannot be read.
const UNREADABLE: &str = "The provider's answer is not what its protocol says.";

/// Which of the caller's two protocols an answer is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Responses.
    Responses,
    /// Chat completions.
    Chat {
        /// Whether a stream ends with a chunk that tells the usage.
        include_usage: bool,
    },
}

/// Writes the events of a response as its caller reads them.
#[derive(Debug)]
pub struct Teller(Option<Writer>);

impl Teller {
    /// For a caller who knows the model by this name.
    #[must_use]
    pub fn new(audience: Audience, model: &str) -> Self {
        Self(match audience {
            Audience::Responses => None,
            Audience::Chat { include_usage } => Some(Writer::new(model, include_usage)),
        })
    }

    /// Appends these events.
    pub fn tell(&mut self, events: &[Event], out: &mut String) {
        for event in events {
            match &mut self.0 {
                Some(_) => self.retell(&event.data, out),
                None => {
                    out.push_str(&event.to_sse());
                    if event.is_terminal() {
                        out.push_str(DONE);
                    }
                }
            }
        }
    }

    /// Appends what a chat's caller reads of an event that came from elsewhere, by its data.
    pub fn retell(&mut self, data: &Value, out: &mut String) {
        for data in self.0.iter_mut().flat_map(|writer| writer.event(data)) {
            out.push_str(&sse::write("", &data));
        }
    }
}

/// A whole answer as its caller reads it: the response object, or the completion.
///
/// # Errors
/// The error envelope of a response that failed, where the caller's protocol has no word for such.
pub fn tell_whole(audience: Audience, response: Value, model: &str) -> Result<Value, Value> {
    match audience {
        Audience::Responses => Ok(response),
        Audience::Chat { .. } => completion(&response, model),
    }
}

/// A provider's message without what the caller must not see.
pub type Concealer = Box<dyn Fn(&str) -> String>;

/// What makes a response that is whole fail all the same.
pub type Check = Box<dyn Fn(&Value) -> Option<Failure>>;

/// Whose answer it is, and for whom.
#[derive(Debug, Clone)]
pub struct Parties {
    /// What the provider speaks.
    pub protocol: Protocol,
    /// Who the response is.
    pub identity: Identity,
    /// What it shows of the request.
    pub echo: Echo,
    /// What the caller reads.
    pub audience: Audience,
}

impl Parties {
    fn lifecycle(&self) -> Lifecycle {
        Lifecycle::new(self.identity.clone(), self.echo.clone(), self.protocol.name())
    }

    /// The events of a response for which nothing was generated and nothing used. `now_s` is in Unix seconds.
    #[must_use]
    pub fn silence(&self, now_s: u64) -> String {
        let (mut lifecycle, mut out) = (self.lifecycle(), String::new());
        let mut events = lifecycle.fact(Fact::Usage(Usage::default()));
        events.extend(lifecycle.fact(Fact::Finished(Finish::Done)));
        events.extend(lifecycle.end(now_s));
        Teller::new(self.audience, &self.identity.model).tell(&events, &mut out);
        out
    }

    /// The response that an answer in one piece is.
    ///
    /// # Errors
    /// The body is not an answer of the provider's protocol.
    pub fn whole(&self, body: &[u8], conceal: &Concealer, now_s: u64) -> Result<Whole, Malformed> {
        let mut lifecycle = self.lifecycle();
        for fact in self.protocol.whole(body)? {
            lifecycle.fact(concealed(fact, conceal));
        }
        lifecycle.end(now_s);
        let (status, usage) = (lifecycle.status().clone(), lifecycle.usage());
        Ok(Whole { response: lifecycle.response(), status, usage })
    }
}

/// An answer in one piece.
#[derive(Debug)]
pub struct Whole {
    /// The response object.
    pub response: Value,
    /// How it ended.
    pub status: Status,
    /// Tokens used, if the provider told them.
    pub usage: Option<Usage>,
}

/// The way of one stream.
pub struct Pipeline {
    reader: Option<Reader>,
    lifecycle: Lifecycle,
    teller: Teller,
    conceal: Concealer,
    check: Option<Check>,
}

impl Pipeline {
    /// A stream of which nothing has come.
    #[must_use]
    pub fn new(parties: &Parties, conceal: Concealer) -> Self {
        Self {
            reader: Some(parties.protocol.reader()),
            lifecycle: parties.lifecycle(),
            teller: Teller::new(parties.audience, &parties.identity.model),
            conceal,
            check: None,
        }
    }

    /// Looks at the response, with all that it holds, before it is told to be complete.
    #[must_use]
    pub fn checked(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }

    /// Whether the provider has begun to say something of the answer.
    #[must_use]
    pub const fn content_began(&self) -> bool {
        self.lifecycle.content_began()
    }

    /// Whether the provider has said why the model ended: only usage can follow.
    #[must_use]
    pub const fn has_finished(&self) -> bool {
        self.lifecycle.has_finished()
    }

    /// How far the response is.
    #[must_use]
    pub const fn status(&self) -> &Status {
        self.lifecycle.status()
    }

    /// Tokens used, as far as the provider has told.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.lifecycle.usage()
    }

    /// Reads on: what the caller reads of it. `now_s` is in Unix seconds.
    pub fn feed(&mut self, bytes: &[u8], now_s: u64) -> String {
        let mut facts = Vec::new();
        let Some(reader) = &mut self.reader else { return String::new() };
        let read = reader.feed(bytes, &mut facts);
        let has_ended = reader.has_ended();
        let mut out = self.say(facts);
        // Once the model has said that it was done, what cannot be read is not part of the answer.
        if has_ended || read.is_err() && self.lifecycle.has_finished() {
            self.end(now_s, &mut out);
        } else if read.is_err() {
            out += &self.abort(Failure::new("server_error", "upstream_incomplete", UNREADABLE));
        }
        if *self.status() != Status::InProgress {
            self.reader = None;
        }
        out
    }

    /// The provider's stream has ended, or nothing more is expected of it. If the model had said that it was done, so is the
    /// response; else it is not ended yet: [`Pipeline::abort`] ends it.
    pub fn finish(&mut self, now_s: u64) -> String {
        let mut facts = Vec::new();
        let Some(reader) = self.reader.take() else { return String::new() };
        // What cannot be read was cut off; whether that matters the facts before it say.
        let _ = reader.finish(&mut facts);
        let mut out = self.say(facts);
        if self.lifecycle.has_finished() {
            self.end(now_s, &mut out);
        }
        out
    }

    fn end(&mut self, now_s: u64, out: &mut String) {
        let check = self.check.as_ref().filter(|_| self.lifecycle.is_done());
        let events = match check.and_then(|check| check(&self.lifecycle.response())) {
            Some(failure) => self.lifecycle.abort(failure),
            None => self.lifecycle.end(now_s),
        };
        self.teller.tell(&events, out);
    }

    /// The response ends here, failed; nothing if it has ended.
    pub fn abort(&mut self, failure: Failure) -> String {
        let mut out = String::new();
        let events = self.lifecycle.abort(failure);
        self.teller.tell(&events, &mut out);
        self.reader = None;
        out
    }

    fn say(&mut self, facts: Vec<Fact>) -> String {
        let mut out = String::new();
        for fact in facts {
            let events = self.lifecycle.fact(concealed(fact, &self.conceal));
            self.teller.tell(&events, &mut out);
        }
        out
    }
}

fn concealed(fact: Fact, conceal: &Concealer) -> Fact {
    match fact {
        Fact::Failed(mut error) => {
            error.message = conceal(&error.message);
            Fact::Failed(error)
        }
        fact => fact,
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
