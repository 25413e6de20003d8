//! What facts become: the events one by one for the usual answers, and their grammar for any.

pub(crate) mod any_fact;
pub(crate) mod client;
pub(crate) mod specification;

use super::*;
use crate::{
    fact::{ErrorKind, ProviderError},
    replay,
    request::{Request, tests::any_request},
};
use any_fact::facts;
use proptest::prelude::*;

const NOW_S: u64 = 1_800_000_009;

fn lifecycle(body: Value) -> Lifecycle {
    let mut whole = json!({"model": "m", "input": "hi"});
    whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    let request = Request::read(whole.as_object().unwrap()).unwrap();
    let identity = Identity { id: "resp_1a".into(), created_at_s: 1_800_000_000, model: "poet".into() };
    Lifecycle::new(identity, Echo::of(&request), "anthropic")
}

/// All events of an answer, and the lifecycle at its end.
fn play(facts: Vec<Fact>) -> (Vec<Event>, Lifecycle) {
    let mut lifecycle = lifecycle(json!({}));
    let mut events = lifecycle.begin();
    events.extend(facts.into_iter().flat_map(|fact| lifecycle.fact(fact)));
    events.extend(lifecycle.end(NOW_S));
    (events, lifecycle)
}

/// The events' names without what all share, each with what it says.
fn told(events: &[Event]) -> Vec<String> {
    let say = |event: &Event| {
        let data = &event.data;
        let name = event.kind.strip_prefix("response.").unwrap_or(event.kind);
        let at: Vec<String> = ["output_index", "content_index", "summary_index", "annotation_index"]
            .iter()
            .filter_map(|index| data.get(*index).map(Value::to_string))
            .collect();
        let said = ["delta", "text", "refusal", "arguments"].iter().find_map(|member| data.get(*member));
        let of_item =
            || ["type", "status"].map(|member| data["item"][member].as_str().unwrap_or("")).join(" ");
        let item = data.get("item").map(|_| json!(of_item().trim()));
        format!("{name} {} {}", at.join("."), said.cloned().or(item).unwrap_or_default())
    };
    events.iter().map(say).collect()
}

fn text(text: &str) -> Fact {
    Fact::Text { text: text.into(), logprobs: vec![] }
}

fn call(slot: u64, id: Option<&str>, name: &str) -> Fact {
    Fact::Call { slot, call_id: id.map(str::to_owned), name: name.into() }
}

fn arguments(slot: u64, delta: &str) -> Fact {
    Fact::Arguments { slot, delta: delta.into() }
}

#[test]
fn a_text_becomes_one_message() {
    let usage = Usage { input_tokens: 9, cached_tokens: 4, output_tokens: 3, reasoning_tokens: 1 };
    let facts = vec![text(""), text("Hel"), text("lo"), Fact::Finished(Finish::Done), Fact::Usage(usage)];
    let (events, lifecycle) = play(facts);
    let expected = [
        "created  null",
        "in_progress  null",
        "output_item.added 0 \"message in_progress\"",
        "content_part.added 0.0 null",
        "output_text.delta 0.0 \"Hel\"",
        "output_text.delta 0.0 \"lo\"",
        "output_text.done 0.0 \"Hello\"",
        "content_part.done 0.0 null",
        "output_item.done 0 \"message completed\"",
        "completed  null",
    ];
    assert_eq!(told(&events), expected);
    let response = client::read(&events);
    assert_eq!(response, lifecycle.response());
    insta::assert_json_snapshot!("text", response);
}

#[test]
fn parallel_calls_may_be_interleaved() {
    let facts = vec![
        text("Let me look."),
        call(0, Some("call_a"), "weather"),
        call(1, None, "time"),
        arguments(0, "{\"at\""),
        arguments(1, "{}"),
        arguments(0, ":\"sea\""),
        Fact::CallEnd { slot: 1 },
        arguments(0, "}"),
        Fact::Finished(Finish::Done),
    ];
    let (events, _) = play(facts);
    let expected = [
        "output_item.done 0 \"message completed\"",
        "output_item.added 1 \"function_call in_progress\"",
        "output_item.added 2 \"function_call in_progress\"",
        "function_call_arguments.delta 1 \"{\\\"at\\\"\"",
        "function_call_arguments.delta 2 \"{}\"",
        "function_call_arguments.delta 1 \":\\\"sea\\\"\"",
        "function_call_arguments.done 2 \"{}\"",
        "output_item.done 2 \"function_call completed\"",
        "function_call_arguments.delta 1 \"}\"",
        "function_call_arguments.done 1 \"{\\\"at\\\":\\\"sea\\\"}\"",
        "output_item.done 1 \"function_call completed\"",
        "completed  null",
    ];
    assert_eq!(told(&events)[7..], expected);
    let output = client::read(&events)["output"].clone();
    assert_eq!((&output[1]["call_id"], &output[2]["call_id"]), (&json!("call_a"), &json!("call_1a_2")));
    assert_eq!((&output[1]["id"], &output[2]["id"]), (&json!("fc_1a_1"), &json!("fc_1a_2")));
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let (events, _) = play(vec![call(0, None, "now"), arguments(0, ""), Fact::Finished(Finish::Done)]);
    assert_eq!(client::read(&events)["output"][0]["arguments"], "{}");
}

#[test]
fn thoughts_become_a_reasoning_item_with_what_replays_them() {
    let sealed = json!({"signature": "s"});
    let facts = vec![
        Fact::ReasoningSummary("Fir".into()),
        Fact::ReasoningSummary("st".into()),
        Fact::ReasoningSummaryEnd,
        Fact::ReasoningSummary("Second".into()),
        Fact::ReasoningText("hm".into()),
        Fact::ReasoningSealed(sealed.clone()),
        Fact::ReasoningSealed(json!(2)),
        text("Yes."),
        Fact::Finished(Finish::Done),
    ];
    let (events, _) = play(facts);
    let expected = [
        "output_item.added 0 \"reasoning\"",
        "reasoning_summary_part.added 0.0 null",
        "reasoning_summary_text.delta 0.0 \"Fir\"",
        "reasoning_summary_text.delta 0.0 \"st\"",
        "reasoning_summary_text.done 0.0 \"First\"",
        "reasoning_summary_part.done 0.0 null",
        "reasoning_summary_part.added 0.1 null",
        "reasoning_summary_text.delta 0.1 \"Second\"",
        "reasoning_summary_text.done 0.1 \"Second\"",
        "reasoning_summary_part.done 0.1 null",
        "content_part.added 0.0 null",
        "reasoning_text.delta 0.0 \"hm\"",
        "reasoning_text.done 0.0 \"hm\"",
        "content_part.done 0.0 null",
        "output_item.done 0 \"reasoning\"",
        "output_item.added 1 \"message in_progress\"",
    ];
    assert_eq!(told(&events)[2..18], expected);
    let item = &client::read(&events)["output"][0];
    let opened = replay::open("anthropic", item["encrypted_content"].as_str().unwrap());
    assert_eq!(opened, Some(vec![sealed, json!(2)]));
}

#[test]
fn a_refusal_and_a_text_are_parts_of_one_message() {
    let facts = vec![text("Well."), Fact::Refusal("No.".into()), Fact::Finished(Finish::Done)];
    let output = client::read(&play(facts).0)["output"].clone();
    assert_eq!(output.as_array().map(Vec::len), Some(1));
    assert_eq!(output[0]["content"][1], json!({"type": "refusal", "refusal": "No."}));
}

#[test]
fn how_the_model_ended_is_how_the_response_ends() {
    let failed = |kind| Fact::Failed(ProviderError { kind, code: None, message: String::new() });
    let cases: Vec<(Vec<Fact>, &str, &str, &str)> = vec![
        (vec![Fact::Finished(Finish::Done)], "completed", "", "completed"),
        (vec![Fact::Finished(Finish::Length)], "incomplete", "max_output_tokens", "incomplete"),
        (vec![Fact::Finished(Finish::Filter)], "incomplete", "content_filter", "incomplete"),
        (vec![], "failed", "upstream_incomplete", "incomplete"),
        (vec![failed(ErrorKind::Server)], "failed", "upstream_error", "incomplete"),
        (vec![failed(ErrorKind::TooManyRequests)], "failed", "upstream_rate_limited", "incomplete"),
        (vec![Fact::Finished(Finish::Done), text("late")], "completed", "", "completed"),
        (
            vec![Fact::Finished(Finish::Done), failed(ErrorKind::Model)],
            "failed",
            "upstream_error",
            "completed",
        ),
    ];
    for (facts, status, why, item) in cases {
        let facts: Vec<Fact> = [text("a")].into_iter().chain(facts).collect();
        let response = client::read(&play(facts.clone()).0);
        let details = [&response["incomplete_details"]["reason"], &response["error"]["code"]];
        let told = details.iter().find_map(|detail| detail.as_str()).unwrap_or("");
        assert_eq!((response["status"].as_str(), told), (Some(status), why), "{facts:?}");
        assert_eq!(response["output"][0]["status"], item, "{facts:?}");
        assert_eq!(response["output"][0]["content"][0]["text"], "a", "{facts:?}");
    }
}

#[test]
fn the_item_that_a_limit_cut_off_is_incomplete_though_its_provider_ended_it() {
    let cut = [text("a"), Fact::ItemEnd, call(0, None, "f"), arguments(0, "{\"b"), Fact::CallEnd { slot: 0 }];
    let statuses = |last: Fact| {
        let output = client::read(&play(cut.iter().cloned().chain([last]).collect()).0)["output"].clone();
        [output[0]["status"].clone(), output[1]["status"].clone()]
    };
    assert_eq!(statuses(Fact::Finished(Finish::Length)), ["completed", "incomplete"]);
    assert_eq!(statuses(Fact::Finished(Finish::Done)), ["completed", "completed"]);
}

#[test]
fn another_provider_may_be_asked_until_something_is_said() {
    let mut lifecycle = lifecycle(json!({}));
    assert_eq!(lifecycle.begin().len(), 2);
    assert!(lifecycle.begin().is_empty());
    for fact in [text(""), Fact::Usage(Usage::default()), arguments(7, "{}"), Fact::ItemEnd] {
        assert!(lifecycle.fact(fact).is_empty());
        assert!(!lifecycle.content_began());
    }
    assert_eq!(lifecycle.fact(text("a")).len(), 3);
    assert!(lifecycle.content_began());
}

#[test]
fn an_answer_without_end_fails_at_its_bound() {
    let mut lifecycle = lifecycle(json!({}));
    let long = "a".repeat(1024 * 1024);
    let mut events = Vec::new();
    for _ in 0..20 {
        events.extend(lifecycle.fact(text(&long)));
    }
    events.extend(lifecycle.end(NOW_S));
    assert_eq!(events.iter().filter(|event| event.kind == "response.output_text.delta").count(), 7);
    assert_eq!(events.last().map(|event| event.kind), Some("response.failed"));
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1);
}

#[test]
fn an_event_is_written_as_one_line_under_its_type() {
    let event = Event { kind: "response.output_text.delta", data: json!({"delta": "a\nb"}) };
    assert_eq!(event.to_sse(), "event: response.output_text.delta\ndata: {\"delta\":\"a\\nb\"}\n\n");
}

#[test]
fn a_response_shows_what_was_asked() {
    let asked = json!({
        "instructions": "Be brief.", "max_output_tokens": 50, "parallel_tool_calls": false, "temperature": 0.5, "top_p": 0.25,
        "tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "f"}, "top_logprobs": 2,
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "reasoning": {"effort": "minimal"}, "metadata": {"a": "b"}, "service_tier": "auto", "prompt_cache_key": "k",
        "safety_identifier": "s", "max_tool_calls": 3, "truncation": "auto", "presence_penalty": 0.5,
    });
    let response = lifecycle(asked).response();
    specification::check_response(&response);
    insta::assert_json_snapshot!("echo", response);
}

proptest! {
    #[test]
    fn any_request_is_shown_as_the_specification_says(request in any_request::requests()) {
        let identity = Identity { id: "resp_1".into(), created_at_s: 1, model: "m".into() };
        specification::check_response(&Lifecycle::new(identity, Echo::of(&request), "chat").response());
    }

    #[test]
    fn whatever_is_said_the_stream_is_one_that_a_client_can_read(
        facts in prop::collection::vec(facts(), 0..40),
        aborted in prop::option::of(0_usize..40),
    ) {
        let mut lifecycle = lifecycle(json!({}));
        let mut events = Vec::new();
        for (at, fact) in facts.into_iter().enumerate() {
            if aborted == Some(at) {
                events.extend(lifecycle.abort(Failure::new("server_error", "upstream_timeout", "Too slow.")));
            }
            events.extend(lifecycle.fact(fact));
        }
        events.extend(lifecycle.end(NOW_S));
        prop_assert_eq!(client::read(&events), lifecycle.response());
        prop_assert!(lifecycle.end(NOW_S).is_empty() && lifecycle.fact(text("late")).is_empty());
    }
}
