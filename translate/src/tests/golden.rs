//! Every golden stream, through its adapter and the lifecycle: the response as a golden file, the same events in any pieces.
//!
//! Invariant: where a stream is cut changes nothing, wherever it is cut.

use super::{
    corpus::{Sample, samples},
    events, read,
};
use crate::{protocol::Protocol, request::tests::any_request::requests};
use proptest::prelude::*;
use std::sync::LazyLock;

static STREAMS: LazyLock<Vec<(Protocol, Vec<Sample>)>> = LazyLock::new(|| {
    Protocol::ALL.into_iter().map(|protocol| (protocol, samples(&target(protocol)))).collect()
});

fn target(protocol: Protocol) -> String {
    format!("{}_stream", protocol.name())
}

#[test]
fn every_golden_stream_becomes_its_response() {
    for protocol in Protocol::ALL {
        for sample in samples(&target(protocol)) {
            let (facts, ended) = read(protocol, [sample.bytes.as_slice()]);
            let (_, response) = events(protocol, facts, ended);
            let shown = ["status", "incomplete_details", "error", "output", "usage"];
            let shown: serde_json::Map<_, _> =
                shown.iter().map(|member| ((*member).to_owned(), response[*member].clone())).collect();
            insta::assert_json_snapshot!(format!("{}_{}", protocol.name(), sample.name), shown);
        }
    }
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_events() {
    for protocol in Protocol::ALL {
        for sample in samples(&target(protocol)) {
            let whole = read(protocol, [sample.bytes.as_slice()]);
            for at in 0..sample.bytes.len() {
                let (before, after) = sample.bytes.split_at(at);
                assert_eq!(read(protocol, [before, after]), whole, "{} cut at {at}", sample.name);
            }
            assert_eq!(read(protocol, sample.bytes.chunks(1)), whole, "{} byte by byte", sample.name);
        }
    }
}

#[test]
fn whatever_line_ends_the_events_are_the_same() {
    for protocol in Protocol::ALL {
        for sample in samples(&target(protocol)) {
            let whole = read(protocol, [sample.bytes.as_slice()]);
            let text = String::from_utf8(sample.bytes).expect("text").replace("\r\n", "\n");
            for line_end in ["\n", "\r", "\r\n"] {
                let text = format!("\u{feff}: hello\n\n{text}").replace('\n', line_end);
                assert_eq!(read(protocol, [text.as_bytes()]), whole, "{} with {line_end:?}", sample.name);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_request_is_asked_or_refused_by_a_member_of_its_own(request in requests()) {
        let body = request.write();
        for protocol in Protocol::ALL {
            match protocol.call(&request) {
                Ok(call) => prop_assert!(call.path.starts_with('/') && call.body.is_object()),
                Err(refusal) => {
                    let member = refusal.param.split(['.', '[']).next().unwrap_or_default();
                    prop_assert!(body.contains_key(member), "{protocol:?} refuses {refusal}");
                }
            }
        }
    }

    #[test]
    fn any_pieces_of_any_stream_give_the_same_events(
        stream in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(1_usize..200, 1..30),
    ) {
        for (protocol, samples) in &*STREAMS {
            let (protocol, sample) = (*protocol, stream.get(samples));
            let mut rest = sample.bytes.as_slice();
            let mut sizes = sizes.iter().cycle();
            let pieces = std::iter::from_fn(|| {
                let size = sizes.next().copied().unwrap_or(1).min(rest.len());
                let (piece, after) = rest.split_at(size);
                rest = after;
                (!piece.is_empty()).then_some(piece)
            });
            let (facts, ended) = read(protocol, pieces);
            let whole = read(protocol, [sample.bytes.as_slice()]);
            prop_assert_eq!(events(protocol, facts, ended), events(protocol, whole.0, whole.1));
        }
    }
}
