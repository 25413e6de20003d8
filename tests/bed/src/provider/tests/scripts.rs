//! One script, every protocol, whole and streamed: all say the same.

use serde_json::{Value, json};

use super::speakers::{ALL, Said, Speaker, events, with, with_knobs};
use crate::provider::{Knobs, Provider, ScriptedCall};

const TEXT: &str = "déjà vu 🌸 ende";

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

/// Name, knobs, and what everybody says then.
fn scripts() -> Vec<(&'static str, Value, Said)> {
    let usage = json!({"input_tokens": 90, "output_tokens": 40, "cached_tokens": 30, "reasoning_tokens": 10});
    let said = |end: &str| Said { end: end.to_owned(), usage: [90, 30, 40, 10], ..Said::default() };
    let with_usage = |knobs: Value| with(knobs, json!({"usage": usage}));
    let text = || Said { text: TEXT.to_owned(), ..said("end") };
    // Sorted members and no spaces: what a protocol with objects writes again is then the same, byte for byte.
    let calls = json!([
        {"name": "weather", "arguments": "{\"city\":\"Köln\",\"days\":3}"},
        {"name": "time", "arguments": "{\"zone\":\"Europe/Berlin\"}"},
    ]);
    let called =
        vec![call("weather", "{\"city\":\"Köln\",\"days\":3}"), call("time", "{\"zone\":\"Europe/Berlin\"}")];
    vec![
        ("text", json!({"text": TEXT}), text()),
        ("length", json!({"text": TEXT, "terminal": "incomplete"}), Said { end: "length".into(), ..text() }),
        ("filter", json!({"text": TEXT, "terminal": "filtered"}), Said { end: "filter".into(), ..text() }),
        (
            "reasoning",
            json!({"text": TEXT, "reasoning": "first this, then that"}),
            Said { reasoning: "first this, then that".into(), ..text() },
        ),
        ("calls", json!({"tool_calls": calls}), Said { calls: called.clone(), ..said("end") }),
        (
            "interleaved",
            json!({"tool_calls": calls, "interleave": true}),
            Said { calls: called.clone(), ..said("end") },
        ),
        (
            "everything",
            json!({"text": TEXT, "reasoning": "hm ", "tool_calls": calls}),
            Said { calls: called, reasoning: "hm ".into(), ..text() },
        ),
    ]
    .into_iter()
    .map(|(name, knobs, said)| (name, with_usage(knobs), said))
    .collect()
}

#[tokio::test]
async fn a_script_says_the_same_in_every_protocol_whole_and_streamed() {
    let provider = Provider::start().await.expect("start");
    for (name, knobs, wanted) in scripts() {
        for speaker in ALL {
            for stream in [false, true] {
                let raw = speaker.ask(&provider, &with_knobs(speaker.body(), &knobs), stream).await;
                assert_eq!(raw.status(), "200", "{name} {speaker:?} {stream}: {}", raw.text());
                assert_eq!(speaker.said(&raw, stream), wanted, "{name} {speaker:?} {stream}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_ends_normally_at_openai_and_as_a_filter_elsewhere() {
    let provider = Provider::start().await.expect("start");
    for speaker in ALL {
        for stream in [false, true] {
            let knobs = json!({"refusal": "I will not."});
            let raw = speaker.ask(&provider, &with_knobs(speaker.body(), &knobs), stream).await;
            let said = speaker.said(&raw, stream);
            let openai = matches!(speaker, Speaker::Responses | Speaker::Chat);
            let end = if openai { "end" } else { "filter" };
            assert_eq!(
                (said.refusal.as_str(), said.end.as_str()),
                ("I will not.", end),
                "{speaker:?} {stream}"
            );
            assert_eq!(said.text, "", "{speaker:?} {stream}");
        }
    }
}

#[tokio::test]
async fn a_failure_is_a_status_when_whole_and_an_error_within_a_stream() {
    let provider = Provider::start().await.expect("start");
    let statuses = ["200", "500", "529", "503"];
    for (speaker, status) in ALL.into_iter().zip(statuses) {
        let body = with_knobs(speaker.body(), &json!({"text": TEXT, "terminal": "failed"}));
        let whole = speaker.ask(&provider, &body, false).await;
        assert_eq!(whole.status(), status, "{speaker:?}");
        let error = &whole.json()["error"];
        assert!(error.is_object(), "{speaker:?}");
        let streamed = speaker.ask(&provider, &body, true).await;
        let said = speaker.said(&streamed, true);
        assert_eq!((said.text.as_str(), said.end.as_str()), (TEXT, "failed"), "{speaker:?}");
        let last = events(&streamed).pop().expect("an event");
        let last = if speaker == Speaker::Responses { &last["response"]["error"] } else { &last["error"] };
        assert!(last["message"].is_string(), "{speaker:?}: {last}");
        assert!(!streamed.text().contains("[DONE]"), "{speaker:?}");
    }
}

#[tokio::test]
async fn tools_are_called_once_and_their_results_are_answered() {
    let provider = Provider::start().await.expect("start");
    let calls = vec![ScriptedCall { name: "f".into(), arguments: "{\"a\":1}".into(), id: Some("c1".into()) }];
    let after = Some("done".to_owned());
    provider.set_model("m", Knobs { tool_calls: Some(calls), text_after_tools: after, ..Knobs::default() });
    let turns = |speaker: Speaker, first: &Value| match speaker {
        Speaker::Responses => json!({"input": [
            first["output"][0], {"type": "function_call_output", "call_id": "c1", "output": "2"},
        ]}),
        Speaker::Chat => json!({"messages": [
            {"role": "user", "content": "rain"}, first["choices"][0]["message"],
            {"role": "tool", "tool_call_id": "c1", "content": "2"},
        ]}),
        Speaker::Anthropic => json!({"thinking": null, "messages": [
            {"role": "user", "content": "rain"}, {"role": "assistant", "content": first["content"]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "2"}]},
        ]}),
        Speaker::Gemini => json!({"contents": [
            {"role": "user", "parts": [{"text": "rain"}]}, first["candidates"][0]["content"],
            {"role": "user", "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"result": 2}}},
            ]},
        ]}),
    };
    for speaker in ALL {
        let first = speaker.ask(&provider, &speaker.body(), false).await;
        assert_eq!(speaker.said(&first, false).calls, [call("f", "{\"a\":1}")], "{speaker:?}");
        let next = with(speaker.body(), turns(speaker, &first.json()));
        let second = speaker.ask(&provider, &next, false).await;
        assert_eq!(second.status(), "200", "{speaker:?}: {}", second.text());
        let said = speaker.said(&second, false);
        assert_eq!((said.text.as_str(), said.calls.len()), ("done", 0), "{speaker:?}");
    }
    let bodies: Vec<Value> =
        provider.calls_of("m").requests().iter().filter_map(|seen| seen.json()).collect();
    assert_eq!(bodies.len(), 2 * ALL.len());
    assert_eq!(bodies[3]["messages"][2]["content"], "2");
}

#[tokio::test]
async fn logprobs_and_reasoning_are_shown_to_who_asks_for_them() {
    let provider = Provider::start().await.expect("start");
    let knobs = json!({"text": "a b", "reasoning": "hm"});
    let bare = [
        json!({"model": "m", "input": "rain"}),
        json!({"model": "m", "messages": [{"role": "user", "content": "rain"}]}),
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "rain"}]}),
        json!({"contents": [{"parts": [{"text": "rain"}]}]}),
    ];
    for (speaker, bare) in ALL.into_iter().zip(bare) {
        let asked = speaker.ask(&provider, &with_knobs(speaker.body(), &knobs), false).await;
        let silent = speaker.ask(&provider, &with_knobs(bare, &knobs), false).await;
        assert_eq!(speaker.said(&asked, false).reasoning, "hm", "{speaker:?}");
        // Who serves a model with vLLM sees its reasoning always.
        let shown = if speaker == Speaker::Chat { "hm" } else { "" };
        assert_eq!(speaker.said(&silent, false).reasoning, shown, "{speaker:?}");
        let has =
            |raw: &super::Raw| raw.text().contains("\"logprob\":") || raw.text().contains("logProbability");
        assert_eq!((has(&asked), has(&silent)), (speaker != Speaker::Anthropic, false), "{speaker:?}");
    }
}

#[tokio::test]
async fn the_words_of_one_protocol_can_be_said_as_they_are() {
    let provider = Provider::start().await.expect("start");
    for (speaker, reason) in ALL.into_iter().zip(["strange", "function_call", "pause_turn", "RECITATION"]) {
        let knobs = json!({"stop_reason": reason, "terminal": "incomplete"});
        let raw = speaker.ask(&provider, &with_knobs(speaker.body(), &knobs), true).await;
        assert!(
            raw.text().contains(&format!("reason\":\"{reason}\""))
                || raw.text().contains(&format!("Reason\":\"{reason}\"")),
            "{speaker:?}"
        );
    }
    let knobs = json!({"reasoning": "hm", "reasoning_field": "reasoning"});
    let raw = Speaker::Chat.ask(&provider, &with_knobs(Speaker::Chat.body(), &knobs), false).await;
    assert_eq!(raw.json()["choices"][0]["message"]["reasoning"], "hm");
    let knobs = json!({"block_reason": "PROHIBITED_CONTENT"});
    for stream in [false, true] {
        let raw = Speaker::Gemini.ask(&provider, &with_knobs(Speaker::Gemini.body(), &knobs), stream).await;
        let body = if stream { events(&raw).remove(0) } else { raw.json() };
        assert_eq!(body["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
        assert!(body.get("candidates").is_none());
    }
}
