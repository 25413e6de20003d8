//! Server-sent events against the standard's own words, whatever the line ends and the pieces.

use super::*;
use proptest::prelude::*;

fn read(pieces: &[&[u8]]) -> Result<Vec<Event>, Malformed> {
    let (mut parser, mut events) = (Parser::default(), Vec::new());
    for piece in pieces {
        parser.feed(piece, &mut events)?;
    }
    events.extend(parser.finish()?);
    Ok(events)
}

fn event(name: &str, data: &str) -> Event {
    Event { name: name.into(), data: data.into() }
}

#[test]
fn streams_are_read_as_the_standard_says() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("\n\n\n", &[]),
        ("data: a\n\n", &[("message", "a")]),
        ("data:a\n\n", &[("message", "a")]),
        ("data:  a\n\n", &[("message", " a")]),
        ("data: a\ndata: b\n\n", &[("message", "a\nb")]),
        ("data\ndata\n\n", &[("message", "\n")]),
        ("data:\n\n", &[("message", "")]),
        ("event: x\ndata: a: b\n\n", &[("x", "a: b")]),
        ("data: a\nevent: x\n\n", &[("x", "a")]),
        ("event: x\nevent: y\ndata: a\n\n", &[("y", "a")]),
        ("event:\ndata: a\n\n", &[("message", "a")]),
        ("event: x\n\ndata: a\n\n", &[("message", "a")]),
        (": note\n\n:\n\ndata: a\n\n", &[("message", "a")]),
        ("data: a\n: note\ndata: b\n\n", &[("message", "a\nb")]),
        ("id: 1\nretry: 5\nother: x\nDATA: no\n data: no\ndata: a\n\n", &[("message", "a")]),
        ("\u{feff}data: a\n\n", &[("message", "a")]),
        ("\u{feff}\u{feff}data: a\n\n", &[]),
        ("data: a\n\n\u{feff}data: b\n\n", &[("message", "a")]),
        ("data: a\n\ndata: b\n", &[("message", "a"), ("message", "b")]),
        ("data: a\n\ndata: b", &[("message", "a"), ("message", "b")]),
        ("data: \u{1f600}é\n\n", &[("message", "\u{1f600}é")]),
    ];
    for (text, expected) in cases {
        let expected: Vec<Event> = expected.iter().map(|(name, data)| event(name, data)).collect();
        for line_end in ["\n", "\r", "\r\n"] {
            let text = text.replace('\n', line_end);
            assert_eq!(read(&[text.as_bytes()]).unwrap(), expected, "{text:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes).unwrap(), expected, "{text:?} byte by byte");
        }
    }
}

#[test]
fn an_event_is_given_with_the_byte_that_ends_it() {
    let (mut parser, mut events) = (Parser::default(), Vec::new());
    for piece in ["data: a\r\n\r", "\ndata: b\n", "\n"] {
        parser.feed(piece.as_bytes(), &mut events).unwrap();
        events.push(event("piece", ""));
    }
    let piece = event("piece", "");
    assert_eq!(events, [event("message", "a"), piece.clone(), piece.clone(), event("message", "b"), piece]);
}

#[test]
fn what_is_not_text_or_too_large_is_malformed() {
    assert!(read(&[b"data: \xff\n\n"]).is_err());
    assert!(read(&[b"data: \xc3"]).is_err());
    let large = vec![b'a'; EVENT_MAX_BYTES];
    assert!(read(&[b"data: ", &large]).is_err(), "in one line");
    let comments = b": many\n".repeat(EVENT_MAX_BYTES / 6 + 1);
    assert!(read(&[&comments]).is_err(), "in lines that are passed over");
    let fits = vec![b'a'; EVENT_MAX_BYTES - 6];
    assert_eq!(read(&[b"data: ", &fits, b"\n\ndata: ", &fits, b"\n\n"]).unwrap().len(), 2);
}

/// Streams that are dense in what matters: line ends, fields, marks.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"data".to_vec()),
        Just(b"event".to_vec()),
        Just(b":".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(BYTE_ORDER_MARK.to_vec()),
        "[a-zé\u{1f600}]{0,3}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..2),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn pieces_do_not_matter(stream in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        prop_assert_eq!(read(&pieces), read(&[&stream]));
    }

    #[test]
    fn what_is_written_is_read_again(name in "[a-z._]{1,20}", data in "(?s).{0,80}") {
        let written = event(&name, &data).write();
        prop_assert!(written.ends_with("\n\n"));
        let line_feeds = data.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(read(&[written.as_bytes()]).unwrap(), vec![event(&name, &line_feeds)]);
    }
}
