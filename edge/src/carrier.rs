//! Carries one answer from a target to a caller where the two do not speak the same: piece by piece, or whole.
//!
//! Pure: the clock is a parameter. Invariant: what the caller reads is whole events with one terminal event, and shows nothing
//! of the provider's that [`Disguise`] hides.

use crate::{
    carry::Carry,
    disguise::{Disguise, Usage},
    fault,
    lifecycle::Lifecycle,
    sse,
};
use alphagate_contract::{
    problem::{Code, Problem},
    usage::Outcome,
};
use alphagate_translate::{
    fact,
    pipeline::{Audience, Concealer, Pipeline, Teller, tell_whole},
    response::{Failure, Status},
    sse::Parser,
};
use serde_json::Value;

/// What the caller reads of a piece, and what it means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What the caller reads; may be empty.
    pub text: String,
    /// Whether the response has ended with it.
    pub terminal: bool,
    /// Whether anything that was generated has come so far.
    pub content: bool,
    /// Whether the model has said that it is done: only its usage may follow.
    pub finished: bool,
}

/// The state of one stream.
pub struct Carrier(Way);

enum Way {
    Adapted(Box<Pipeline>),
    /// A target that speaks Responses, and a caller who does not.
    Retold(Box<Retold>),
}

struct Retold {
    parser: Parser,
    teller: Teller,
    content: bool,
}

impl Carrier {
    /// For an attempt of which nothing has come; none: its bytes are the caller's.
    #[must_use]
    pub fn new(carry: &Carry, disguise: &Disguise, id: &str, created_s: u64) -> Option<Self> {
        if let Some(parties) = carry.parties(&disguise.model, id, created_s) {
            return Some(Self(Way::Adapted(Box::new(Pipeline::new(&parties, concealer(disguise))))));
        }
        if carry.is_native() {
            return None;
        }
        let teller = Teller::new(carry.audience, &disguise.model);
        Some(Self(Way::Retold(Box::new(Retold { parser: Parser::default(), teller, content: false }))))
    }

    /// Reads on.
    pub fn feed(&mut self, life: &mut Lifecycle, bytes: &[u8], now_s: u64) -> Told {
        match &mut self.0 {
            Way::Adapted(pipeline) => {
                let was_over = *pipeline.status() != Status::InProgress;
                let text = pipeline.feed(bytes, now_s);
                told(pipeline, text, was_over)
            }
            Way::Retold(retold) => retold.feed(life, bytes),
        }
    }

    /// Nothing more will come.
    pub fn finish(&mut self, life: &mut Lifecycle, now_s: u64) -> Told {
        match &mut self.0 {
            Way::Adapted(pipeline) => {
                let was_over = *pipeline.status() != Status::InProgress;
                let text = pipeline.finish(now_s);
                told(pipeline, text, was_over)
            }
            Way::Retold(retold) => {
                let last = std::mem::take(&mut retold.parser).finish().ok().flatten();
                last.map_or_else(Told::default, |event| retold.events(life, &[event]))
            }
        }
    }

    /// What ends a stream that has not ended.
    pub fn fail(&mut self, life: &mut Lifecycle, problem: &Problem) -> String {
        match &mut self.0 {
            Way::Adapted(pipeline) => pipeline.abort(failure(problem)),
            Way::Retold(way) => {
                let Retold { teller, .. } = &mut **way;
                retold(teller, &life.fail(problem, &[]))
            }
        }
    }

    /// How the response ended, and what it used.
    #[must_use]
    pub fn ended(&self, life: &Lifecycle) -> Option<(Outcome, Option<Usage>)> {
        match &self.0 {
            Way::Adapted(pipeline) => Some((outcome(pipeline.status())?, pipeline.usage().map(used))),
            Way::Retold(_) => life.ended(),
        }
    }

    /// Whether the provider says that it failed because of what it was asked.
    #[must_use]
    pub fn is_callers_fault(&self, life: &Lifecycle) -> bool {
        match &self.0 {
            Way::Adapted(pipeline) => is_callers(pipeline.status()),
            Way::Retold(_) => life.is_callers_fault(),
        }
    }
}

impl Retold {
    fn feed(&mut self, life: &mut Lifecycle, bytes: &[u8]) -> Told {
        let mut events = Vec::new();
        let read = self.parser.feed(bytes, &mut events);
        let mut told = self.events(life, &events);
        if read.is_err() && !told.terminal {
            let own = life.fail(&Code::UpstreamIncomplete.into(), &[]);
            told.text += &retold(&mut self.teller, &own);
            told.terminal = true;
        }
        told
    }

    fn events(&mut self, life: &mut Lifecycle, events: &[alphagate_translate::sse::Event]) -> Told {
        let mut told = Told::default();
        for event in events {
            if life.ended().is_some() {
                break;
            }
            let shown = life.show(event.write().as_bytes());
            self.content |= shown.kind.as_deref().is_some_and(is_content);
            told.terminal |= shown.terminal;
            let data = shown.text.as_deref().and_then(sse::data).unwrap_or_else(|| event.data.clone());
            if let Ok(data) = serde_json::from_str(&data) {
                self.teller.retell(&data, &mut told.text);
            }
        }
        told.content = self.content;
        told
    }
}

/// Events of the Responses protocol that are our own, as the caller's protocol says them.
#[must_use]
pub fn in_words_of(audience: Audience, model: &str, own: String) -> String {
    match audience {
        Audience::Responses => own,
        Audience::Chat { .. } => retold(&mut Teller::new(audience, model), &own),
    }
}

fn retold(teller: &mut Teller, own: &str) -> String {
    let (mut out, mut events) = (String::new(), Vec::new());
    // Our own events can be read.
    let _ = Parser::default().feed(own.as_bytes(), &mut events);
    for data in events.iter().filter_map(|event| serde_json::from_str::<Value>(&event.data).ok()) {
        teller.retell(&data, &mut out);
    }
    out
}

/// Whether an event brings something that was generated; as `isContent` in `events.js`.
fn is_content(kind: &str) -> bool {
    !matches!(
        kind,
        "response.created"
            | "response.queued"
            | "response.in_progress"
            | "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "error"
            | "response.output_item.added"
            | "response.content_part.added"
            | "response.reasoning_summary_part.added"
    )
}

fn told(pipeline: &Pipeline, text: String, was_over: bool) -> Told {
    let terminal = !was_over && *pipeline.status() != Status::InProgress;
    Told { text, terminal, content: pipeline.content_began(), finished: pipeline.has_finished() }
}

/// An answer in one piece, as the caller reads it.
#[derive(Debug)]
pub struct Answer {
    /// The body; or, where the caller's protocol has no word for a failed response, why there is none.
    pub body: Result<String, Problem>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Option<Usage>,
    /// Whether it failed because of what was asked.
    pub callers_fault: bool,
}

/// Reads a whole answer.
///
/// # Errors
/// The provider's body is not what its protocol says.
pub fn whole(
    carry: &Carry,
    disguise: &Disguise,
    body: &[u8],
    (id, created_s, now_s): (&str, u64, u64),
) -> Result<Answer, Problem> {
    let unreadable = || Problem::new(Code::UpstreamIncomplete);
    let Some(parties) = carry.parties(&disguise.model, id, created_s) else {
        let shown = disguise.response_text(body).map_err(|_| unreadable())?;
        let response = serde_json::from_slice(&shown).map_err(|_| unreadable())?;
        return Ok(Answer {
            body: told_whole(carry.audience, response, &disguise.model),
            outcome: Usage::outcome(body),
            usage: Usage::read(body),
            callers_fault: fault::of_response(body),
        });
    };
    let whole = parties.whole(body, &concealer(disguise), now_s).map_err(|_| unreadable())?;
    Ok(Answer {
        outcome: outcome(&whole.status).unwrap_or(Outcome::Failed),
        usage: whole.usage.map(used),
        callers_fault: is_callers(&whole.status),
        body: told_whole(carry.audience, whole.response, &disguise.model),
    })
}

fn told_whole(audience: Audience, response: Value, model: &str) -> Result<String, Problem> {
    let told = tell_whole(audience, response, model);
    told.map(|body| body.to_string()).map_err(|envelope| {
        let callers = fault::of_error(&envelope);
        let problem = Problem::new(if callers { Code::UpstreamRejected } else { Code::UpstreamError });
        match envelope.pointer("/error/message").and_then(Value::as_str) {
            Some(message) => problem.message(message),
            None => problem,
        }
    })
}

fn concealer(disguise: &Disguise) -> Concealer {
    let disguise = disguise.clone();
    Box::new(move |message| disguise.message(message))
}

fn failure(problem: &Problem) -> Failure {
    let error = problem.error_object();
    Failure::new(error.kind, error.code, error.message)
}

const fn outcome(status: &Status) -> Option<Outcome> {
    match status {
        Status::InProgress => None,
        Status::Completed { .. } => Some(Outcome::Completed),
        Status::Incomplete { .. } => Some(Outcome::Incomplete),
        Status::Failed(_) => Some(Outcome::Failed),
    }
}

fn is_callers(status: &Status) -> bool {
    matches!(status, Status::Failed(failure) if failure.kind == "invalid_request_error")
}

const fn used(usage: fact::Usage) -> Usage {
    let fact::Usage { input_tokens, cached_tokens, output_tokens, reasoning_tokens } = usage;
    Usage { input_tokens, output_tokens, cached_tokens, reasoning_tokens }
}

#[cfg(test)]
#[path = "carrier_tests.rs"]
mod tests;
