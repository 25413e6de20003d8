//! What is found and what is not, and that nothing else of a request changes.

use super::{find::find, *};
use proptest::prelude::*;
use serde_json::{Value, json};

fn all(action: PiiAction) -> Actions {
    PiiKind::ALL.into_iter().map(|kind| (kind, action)).collect()
}

/// The text with placeholders.
fn redacted(text: &str) -> String {
    let edits: Vec<_> = find(text, &all(PiiAction::Redact))
        .into_iter()
        .map(|(range, kind)| (range, kind.placeholder().to_owned()))
        .collect();
    texts::replaced(text, &edits)
}

#[test]
fn what_is_written_plainly_is_found() {
    let cases = [
        ("Mail joe.o'neil+x@mail.example.com.", "Mail [EMAIL]."),
        ("<a_b@x.co>, 'b@y.org' and c@z.de", "<[EMAIL]>, '[EMAIL]' and [EMAIL]"),
        ("jürgen@bücher.example", "[EMAIL]"),
        ("写信给joe@x.com。", "写信给[EMAIL]。"),
        ("joe@x.com415-555-0132", "[EMAIL][PHONE]"),
        ("4155550132@x.com", "[EMAIL]"),
        ("Call 415-555-0132 or (415) 555-0132!", "Call [PHONE] or [PHONE]!"),
        ("tel:4155550132;+1 (415) 555 0132", "tel:[PHONE];[PHONE]"),
        ("1-415-555-0132, 415.555.0132", "[PHONE], [PHONE]"),
        ("+49 (0) 30 901820, +442079460958", "[PHONE], [PHONE]"),
        ("电话4155550132", "电话[PHONE]"),
        ("My SSN is 078-05-1120 (or 219 09 9999).", "My SSN is [US_SSN] (or [US_SSN])."),
        ("4111 1111 1111 1111 12/27", "[PAYMENT_CARD] 12/27"),
        ("4111-1111-1111-1111, 378282246310005", "[PAYMENT_CARD], [PAYMENT_CARD]"),
        ("from 192.168.0.1:8080 to 10.0.0.255.", "from [IP_ADDRESS]:8080 to [IP_ADDRESS]."),
        ("[2001:db8::1] and fe80::1.", "[[IP_ADDRESS]] and [IP_ADDRESS]."),
        ("::ffff:192.0.2.128", "[IP_ADDRESS]"),
    ];
    for (text, expected) in cases {
        assert_eq!(redacted(text), expected);
    }
}

#[test]
fn what_only_resembles_it_is_left_alone() {
    let cases = [
        "@joe, at x@y and a@b.c, or a@.com, @",
        "Meet me @ 5.30 pm",
        "order 1700000000, 20241131, 123456789",
        "000-12-3456 666-12-3456 912-12-3456 123-00-4567 123-45-0000 12-345-6789",
        "4111 1111 1111 1112",
        "1.2.3, 256.1.1.1, 1.2.3.4.5, v01.2.3.4",
        "at 10:30:45, std::vec, a::b, 1::x",
        "0198c0de00007000800000000000000a",
        "115-555-0132, 415-155-0132, 415-555-01321, +12, x4155550132",
        "3.14159265358979, 2026-11-30",
    ];
    for text in cases {
        assert_eq!(redacted(text), text);
    }
}

#[test]
fn only_kinds_that_are_acted_on_are_looked_for() {
    let actions = Actions::from([(PiiKind::Phone, PiiAction::Redact)]);
    let found = find("joe@x.com 415-555-0132 078-05-1120", &actions);
    assert_eq!(found, [(10..22, PiiKind::Phone)]);
}

/// So long that a search which begins anew at every place would not end.
const LONG_BYTES: usize = 100_000;

#[test]
fn a_long_text_takes_as_long_as_it_is_whatever_it_is() {
    for piece in [
        "@",
        "a@",
        "a@a.",
        "1",
        "1 ",
        "4-",
        "(",
        "+1 ",
        "f:",
        "::",
        "1.",
        "a.b-",
        "é@é.",
        "4111 1111 1111 111 ",
    ] {
        let text = piece.repeat(LONG_BYTES / piece.len());
        find(&text, &all(PiiAction::Redact));
    }
}

fn screened(body: &Value, actions: &Actions, api: Api) -> Result<(Value, Vec<PiiKind>), Problem> {
    let text = body.to_string();
    let screened = screen(&Members::read(text.as_bytes()).unwrap(), actions, api)?;
    let body = screened.body.map_or(body.clone(), |body| serde_json::from_slice(&body).unwrap());
    Ok((body, screened.redacted.into_iter().collect()))
}

#[test]
fn the_callers_texts_are_redacted_wherever_they_stand() {
    let body = json!({
        "model": "a@x.com", "temperature": 0.5,
        "instructions": "I am a@x.com",
        "input": [
            {"type": "message", "role": "user", "content": "a@x.com"},
            {"role": "user", "content": [{"type": "input_text", "text": "\"415-555-0132\"\n"},
                {"type": "input_image", "image_url": "https://a@x.com/415-555-0132"}]},
            {"type": "function_call", "call_id": "415-555-0132", "name": "f",
                "arguments": "{\"to\":\"a@x.com\",\"phone\":4155550132,\"n\":[1]}"},
            {"type": "function_call_output", "call_id": "c", "output": "10.0.0.1"},
        ],
        "metadata": {"type": "a@x.com"}, "user": "a@x.com",
        "tools": [{"type": "function", "name": "f", "description": "Ask a@x.com"}],
    });
    let (changed, found) = screened(&body, &all(PiiAction::Redact), Api::Responses).unwrap();
    let mut expected = body.clone();
    expected["instructions"] = json!("I am [EMAIL]");
    expected["input"][0]["content"] = json!("[EMAIL]");
    expected["input"][1]["content"][0]["text"] = json!("\"[PHONE]\"\n");
    expected["input"][2]["arguments"] = json!("{\"to\":\"[EMAIL]\",\"phone\":\"[PHONE]\",\"n\":[1]}");
    expected["input"][3]["output"] = json!("[IP_ADDRESS]");
    expected["metadata"]["type"] = json!("[EMAIL]");
    expected["user"] = json!("[EMAIL]");
    assert_eq!(changed, serde_json::from_str::<Value>(&expected.to_string()).unwrap());
    assert_eq!(found, [PiiKind::Email, PiiKind::Phone, PiiKind::IpAddress]);
    let chat = json!({"messages": [{"role": "user", "content": "a@x.com"}]});
    let (changed, _) = screened(&chat, &all(PiiAction::Redact), Api::Chat).unwrap();
    assert_eq!(changed["messages"][0]["content"], "[EMAIL]");
}

#[test]
fn what_has_none_is_not_copied() {
    let text = json!({"input": "Write a line.", "user": "u"}).to_string();
    let members = Members::read(text.as_bytes()).unwrap();
    assert_eq!(screen(&members, &all(PiiAction::Redact), Api::Responses), Ok(Screened::default()));
}

#[test]
fn what_is_refused_is_named_by_its_kind_and_never_shown() {
    let actions = Actions::from([(PiiKind::Email, PiiAction::Redact), (PiiKind::UsSsn, PiiAction::Refuse)]);
    let body = json!({"input": "a@x.com has 078-05-1120"});
    let problem = screened(&body, &actions, Api::Responses).unwrap_err();
    assert_eq!((problem.code, problem.param.as_deref()), (Code::ContentPolicyViolation, Some("input")));
    assert!(problem.message.contains("us_ssn") && !problem.body().contains("078"), "{}", problem.body());
    assert!(screened(&json!({"input": "a@x.com"}), &actions, Api::Responses).is_ok());
}

#[test]
fn tokens_cannot_be_looked_at() {
    let tokens = json!({"input": [[1, 2], [3]]});
    let problem = screened(&tokens, &all(PiiAction::Redact), Api::Embeddings).unwrap_err();
    assert_eq!((problem.code, problem.param.as_deref()), (Code::ParameterUnsupported, Some("input")));
    assert!(screened(&tokens, &Actions::new(), Api::Embeddings).is_ok());
}

proptest! {
    #[test]
    fn what_is_found_lies_in_order_and_is_not_found_again(text in "[a-f0-9@.:+() é_-]{0,80}|\\PC{0,60}") {
        let found = find(&text, &all(PiiAction::Redact));
        let mut end = 0;
        for (range, _) in &found {
            prop_assert!(range.start >= end && range.end > range.start && text.get(range.clone()).is_some());
            end = range.end;
        }
    }

    #[test]
    fn whatever_stands_around_it_nothing_of_it_is_left(
        before in "[a-z ,.;(]{0,12}[ ,;(]", after in "[ ,;)!?]{1,2}[a-z ]{0,12}",
        secret in prop_oneof![
            Just("joe@mail.example.com"), Just("415-555-0132"), Just("078-05-1120"), Just("4111 1111 1111 1111"),
            Just("192.168.17.4"),
        ],
    ) {
        let text = format!("{before}{secret}{after}");
        let shown = redacted(&text);
        prop_assert!(!shown.contains(secret) && shown.contains('['), "{}", shown);
        prop_assert_eq!(redacted(&shown), shown.clone(), "once is enough");
    }
}
