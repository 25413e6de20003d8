//! A request in any protocol: who is asked, whether for a stream, and for what.
//!
//! Invariant: a body is refused before it is answered, in the way of its protocol.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::connection::Head;
use super::fault::Fault;
use super::knobs::{Eol, Knobs};
use super::protocol::Protocol;
use super::script::{Input, Script};
use super::{anthropic, chat, embeddings, gemini, moderations, responses};

/// A request.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) x_fake: Option<Knobs>,
    wish: Wish<'a>,
}

/// What is asked for.
#[derive(Debug)]
enum Wish<'a> {
    /// Apart from the others: large bodies are not taken apart.
    Response(Box<responses::Call<'a>>),
    Vectors(&'a [u8]),
    Scores(&'a [u8]),
    Turn(Turn<'a>),
}

/// The next turn of a conversation.
#[derive(Debug)]
struct Turn<'a> {
    protocol: Protocol,
    conversation: &'a str,
    body: Value,
}

/// The members of a body that are needed before it is checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Outline<'a> {
    model: String,
    stream: bool,
    x_fake: Option<Knobs>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
}

impl<'a> Ask<'a> {
    /// Reads a body, as far as it can be read without judging it.
    pub(super) fn read(protocol: Protocol, head: &Head, body: &'a [u8]) -> Result<Self, Fault> {
        let unread = |error: serde_json::Error| Fault::invalid(error.to_string());
        if protocol == Protocol::Responses {
            let mut call: responses::Call<'_> = serde_json::from_slice(body).map_err(unread)?;
            let (model, stream, x_fake) = (call.model.clone(), call.stream, call.x_fake.take());
            return Ok(Self { model, stream, x_fake, wish: Wish::Response(Box::new(call)) });
        }
        let outline: Outline<'_> = serde_json::from_slice(body).map_err(unread)?;
        let Outline { mut model, mut stream, x_fake, messages, contents } = outline;
        if protocol == Protocol::Embeddings {
            return Ok(Self { model, stream: false, x_fake, wish: Wish::Vectors(body) });
        }
        if protocol == Protocol::Moderations {
            return Ok(Self { model, stream: false, x_fake, wish: Wish::Scores(body) });
        }
        if let Some(target) = gemini::target(head.route()).filter(|_| protocol == Protocol::Gemini) {
            (model, stream) = (target.model.to_owned(), target.stream && head.query().contains("alt=sse"));
        }
        let conversation = messages.or(contents).map(RawValue::get).unwrap_or_default();
        let mut body = serde_json::from_slice(body).map_err(unread)?;
        if protocol == Protocol::Gemini {
            body = gemini::as_spelled(body);
        }
        Ok(Self { model, stream, x_fake, wish: Wish::Turn(Turn { protocol, conversation, body }) })
    }

    /// The answer that the knobs want, unless the provider would refuse the request.
    pub(super) fn answer(&self, head: &Head, knobs: &Knobs, body_bytes: usize) -> Result<Answer, Fault> {
        match &self.wish {
            Wish::Response(call) => {
                call.check()?;
                let answer = call.answer(knobs, body_bytes);
                Ok(if head.route().ends_with("/compact") { call.compacted(&answer) } else { answer })
            }
            Wish::Vectors(body) => {
                embeddings::answer(body).map(|list| Answer::new(list, Vec::new())).map_err(Fault::invalid)
            }
            Wish::Scores(body) => moderations::answer(body)
                .map(|scores| Answer::new(scores, Vec::new()))
                .map_err(Fault::invalid),
            Wish::Turn(turn) => {
                let Turn { protocol, conversation, body } = turn;
                let input = |after_tools| Input { text: conversation, after_tools, body_bytes };
                let script = |after_tools| Script::of(knobs, input(after_tools));
                match protocol {
                    Protocol::Anthropic => {
                        let after_tools = anthropic::check(body, &self.model, head)?;
                        Ok(anthropic::answer(body, &script(after_tools)))
                    }
                    Protocol::Gemini => {
                        let after_tools = gemini::check(body, &self.model)?;
                        let answer = gemini::answer(body, &self.model, &script(after_tools), knobs);
                        Ok(gemini::as_asked(answer, head))
                    }
                    Protocol::Chat | Protocol::Responses | Protocol::Embeddings | Protocol::Moderations => {
                        let after_tools = chat::check(body)?;
                        Ok(chat::answer(body, &script(after_tools), knobs))
                    }
                }
            }
        }
    }
}

/// The manner of lines that an answer has unless the knobs say otherwise.
pub(super) fn with_manners(mut knobs: Knobs, eol: Eol) -> Knobs {
    knobs.eol.get_or_insert(eol);
    knobs
}
