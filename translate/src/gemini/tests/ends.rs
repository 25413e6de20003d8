//! How answers end.
//!
//! Invariant: every reason that the API documents stands in the table.

use super::{last, told};
use crate::fact::{ErrorKind, Fact, Finish};
use crate::gemini::whole;
use serde_json::json;

#[test]
fn every_reason_is_an_end_of_ours() {
    let done = ["STOP"];
    let length = ["MAX_TOKENS", "CONTINUATION"];
    let filter = [
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
        "ESCALATION",
    ];
    let cases = [(&done[..], Finish::Done), (&length[..], Finish::Length), (&filter[..], Finish::Filter)];
    for (reasons, finish) in cases {
        for reason in reasons {
            let facts = ended_by(reason);
            assert_eq!(facts.last(), Some(&Fact::Finished(finish)), "{reason}");
        }
    }
}

#[test]
fn an_answer_that_went_wrong_has_failed() {
    let model = [
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "OTHER",
        "IMAGE_OTHER",
        "NO_IMAGE",
        "FINISH_REASON_UNSPECIFIED",
        "SOMETHING_NEW",
    ];
    let kinds = model.map(|reason| (reason, ErrorKind::Model));
    let others = [
        ("MISSING_THOUGHT_SIGNATURE", ErrorKind::InvalidRequest),
        ("PUP_LIMITED_DISABLED", ErrorKind::Credential),
    ];
    for (reason, kind) in kinds.into_iter().chain(others) {
        let facts = ended_by(reason);
        let Some(Fact::Failed(error)) = facts.last() else { panic!("{reason}: {facts:?}") };
        assert_eq!((error.kind, error.code.as_deref()), (kind, Some(reason)));
    }
}

#[test]
fn the_providers_message_says_why_it_failed() {
    let mut answer = last(&json!([]));
    answer["candidates"][0]["finishReason"] = json!("MALFORMED_FUNCTION_CALL");
    answer["candidates"][0]["finishMessage"] = json!("Malformed function call: weather(");
    let facts = told(&[answer]);
    let [Fact::Failed(error)] = facts.as_slice() else { panic!("{facts:?}") };
    assert_eq!(error.message, "Malformed function call: weather(");
}

#[test]
fn a_blocked_prompt_is_filtered_whatever_it_is_blocked_for() {
    for reason in [
        "SAFETY",
        "OTHER",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "IMAGE_SAFETY",
        "BLOCKED_REASON_UNSPECIFIED",
        "NEW",
    ] {
        let body =
            json!({"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 4}});
        let facts = whole(body.to_string().as_bytes()).unwrap();
        assert!(matches!(facts.as_slice(), [Fact::Usage(_), Fact::Finished(Finish::Filter)]), "{reason}");
    }
}

fn ended_by(reason: &str) -> Vec<Fact> {
    let mut answer = last(&json!([{"text": "Gray"}]));
    answer["candidates"][0]["finishReason"] = json!(reason);
    let facts = told(std::slice::from_ref(&answer));
    assert_eq!(whole(answer.to_string().as_bytes()), Ok(facts.clone()), "whole and as a stream");
    facts
}

#[test]
fn the_message_of_an_answer_that_was_cut_short_stays_open() {
    let mut answer = last(&json!([{"text": "Gray"}, {"text": "", "thoughtSignature": "c2ln"}]));
    answer["candidates"][0]["finishReason"] = json!("MAX_TOKENS");
    let facts = told(&[answer]);
    assert!(matches!(facts.as_slice(), [Fact::Text { .. }, Fact::Finished(Finish::Length)]), "{facts:?}");
}
