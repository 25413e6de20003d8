//! What holds for all adapters at once: golden streams in any pieces, and bytes that nobody meant.
//!
//! Streams and bodies lie in `fuzz/corpus/<target>`; what once went wrong is kept there as a file, and is tried again for ever.

mod corpus;
mod golden;
mod hostile;
mod mutation;

use crate::{
    call::Malformed,
    event::Event,
    fact::Fact,
    lifecycle::{Lifecycle, tests::client},
    protocol::Protocol,
    request::Request,
    response::{Echo, Failure, Identity},
};
use serde_json::{Value, json};

const NOW_S: u64 = 1_800_000_009;

fn lifecycle(protocol: Protocol) -> Lifecycle {
    let body = json!({"model": "m", "input": "hi"});
    let request = Request::read(body.as_object().expect("an object")).expect("a request");
    let identity = Identity { id: "resp_1".into(), created_at_s: 1_800_000_000, model: "poet".into() };
    Lifecycle::new(identity, Echo::of(&request), protocol.name())
}

/// The events and the last response of facts, and of how they ended.
fn events(protocol: Protocol, facts: Vec<Fact>, ended: Result<(), Malformed>) -> (Vec<Event>, Value) {
    let mut lifecycle = lifecycle(protocol);
    let mut events: Vec<Event> = facts.into_iter().flat_map(|fact| lifecycle.fact(fact)).collect();
    events.extend(match ended {
        Ok(()) => lifecycle.end(NOW_S),
        Err(error) => lifecycle.abort(Failure::new("server_error", "upstream_incomplete", error.to_string())),
    });
    assert_eq!(client::read(&events), lifecycle.response());
    (events, lifecycle.response())
}

/// What a stream says, in these pieces.
fn read<'a>(
    protocol: Protocol,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Fact>, Result<(), Malformed>) {
    let (mut reader, mut facts) = (protocol.reader(), Vec::new());
    for piece in pieces {
        if let Err(error) = reader.feed(piece, &mut facts) {
            return (facts, Err(error));
        }
    }
    let ended = reader.finish(&mut facts);
    (facts, ended)
}
