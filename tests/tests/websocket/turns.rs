//! Conversations on a connection: continued, begun anew after a loss, evicted, kept.
//!
//! The cases are those of the Open Responses compliance suite (`websocket-*`), on every kind of target.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::socket::{Socket, kinds};
use crate::{PROTOCOLS, last_sent, speaking, stage};

const NOT_FOUND: (u64, &str) = (400, "previous_response_not_found");

fn continuing(response: &Value, text: &str) -> Value {
    json!({"store": false, "previous_response_id": response["id"], "input": text})
}

fn is(found: &(u64, String), wanted: (u64, &str)) {
    assert_eq!((found.0, found.1.as_str()), wanted);
}

#[tokio::test]
async fn events_are_those_of_the_stream_and_a_conversation_goes_on_in_memory() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({})).await?;
        let caller = &stage.caller;
        let streamed = caller.post(json!({"stream": true, "store": false})).await?;
        let streamed = alphagate_tests::read_events(&streamed.bytes().await?);
        let streamed: Vec<String> =
            streamed.into_iter().map(|event| event.name).filter(|name| name != "message").collect();

        let mut socket = Socket::open(caller).await?;
        let one = json!({"store": false, "input": "Remember cobalt."});
        let frames = socket.tell(caller, one).await?;
        assert_eq!(kinds(&frames), streamed, "{protocol}");
        let numbers: Vec<_> = frames.iter().map(|frame| frame["sequence_number"].as_u64()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{protocol}: {numbers:?}");
        let one = frames.last().context("no frame")?["response"].clone();
        assert_eq!((&one["model"], &one["previous_response_id"]), (&json!(caller.name), &Value::Null));

        let two = socket.completed(caller, continuing(&one, "Which word?")).await?;
        assert_eq!(two["previous_response_id"], one["id"], "{protocol}");
        let sent = last_sent(&stage)?;
        for text in ["Remember cobalt.", crate::ANSWER, "Which word?"] {
            assert!(sent.contains(text), "{protocol}: no {text:?} in {sent}");
        }
        // Only the most recent response is remembered; one that is refused does not change that.
        is(&socket.refused(caller, continuing(&one, "And?")).await?, NOT_FOUND);
        let three = socket.completed(caller, continuing(&two, "Go on.")).await?;
        assert_eq!(three["previous_response_id"], two["id"], "{protocol}");
        assert!(last_sent(&stage)?.contains("Remember cobalt."), "{protocol}");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_not_stored_is_gone_with_the_connection_and_a_new_chain_begins() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({})).await?;
        let mut socket = Socket::open(&stage.caller).await?;
        let one = socket.completed(&stage.caller, json!({"store": false})).await?;
        let calls = stage.calls().counts().started;
        let mut again = Socket::open(&stage.caller).await?;
        is(&again.refused(&stage.caller, continuing(&one, "Go on.")).await?, NOT_FOUND);
        assert_eq!(stage.calls().counts().started, calls, "{protocol}: no provider was asked");
        again.completed(&stage.caller, json!({"store": false})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_continuation_that_fails_evicts_what_it_was_to_continue() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({})).await?;
        let mut socket = Socket::open(&stage.caller).await?;
        let one = socket.completed(&stage.caller, json!({"store": false})).await?;
        let mut stray = continuing(&one, "");
        stray["input"] = json!([{"type": "function_call_output", "call_id": "call_missing", "output": "?"}]);
        is(&socket.refused(&stage.caller, stray).await?, (400, "invalid_parameter"));
        is(&socket.refused(&stage.caller, continuing(&one, "Go on.")).await?, NOT_FOUND);
        socket.completed(&stage.caller, json!({})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_response_that_fails_on_its_way_ends_with_one_frame_and_evicts_too() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({})).await?;
        let mut socket = Socket::open(&stage.caller).await?;
        let one = socket.completed(&stage.caller, json!({"store": false})).await?;
        crate::set(&stage, json!({"text": "a b c d e f g h", "truncate_after_events": 4}))?;
        let frames = socket.tell(&stage.caller, continuing(&one, "Go on.")).await?;
        assert_eq!(kinds(&frames).last(), Some(&"response.failed"), "{protocol}");
        assert!(!kinds(&frames).contains(&"error"), "{protocol}");
        crate::set(&stage, json!({"text": crate::ANSWER}))?;
        is(&socket.refused(&stage.caller, continuing(&one, "Go on.")).await?, NOT_FOUND);
        socket.completed(&stage.caller, json!({"store": false})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_conversation_is_made_ready_without_a_provider_and_continued_from_there() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({})).await?;
        let mut socket = Socket::open(&stage.caller).await?;
        let ask = json!({"store": false, "generate": false, "input": "The word is cobalt."});
        let ready = socket.completed(&stage.caller, ask).await?;
        assert_eq!((&ready["output"], &ready["usage"]["total_tokens"]), (&json!([]), &json!(0)));
        assert_eq!((stage.calls().counts().started, &ready["model"]), (0, &json!(stage.caller.name)));
        assert!(!ready.to_string().contains(crate::HIDDEN), "{protocol}: {ready}");
        socket.completed(&stage.caller, continuing(&ready, "Which word?")).await?;
        assert!(last_sent(&stage)?.contains("The word is cobalt."), "{protocol}");
        stage.usage(1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn kept_responses_outlive_the_connection_and_others_are_remembered_beside_them() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({"retain": {"days": 1}})).await?;
        let caller = &stage.caller;
        let mut socket = Socket::open(caller).await?;
        let one = socket.completed(caller, json!({"input": "One?"})).await?;
        assert_eq!(one["store"], true, "{protocol}");
        let mut socket = Socket::open(caller).await?;
        let two = socket.completed(caller, continuing(&one, "Two?")).await?;
        assert_eq!((&two["store"], &two["previous_response_id"]), (&json!(false), &one["id"]));
        let mut three = continuing(&two, "Three?");
        three["store"] = json!(true);
        let three = socket.completed(caller, three).await?;
        assert_eq!((&three["store"], &three["previous_response_id"]), (&json!(true), &two["id"]));
        // Over HTTP all of it is there, what was only remembered too.
        let four = json!({"previous_response_id": three["id"], "input": "Four?"});
        caller.post(four).await?.error_for_status()?;
        let sent = last_sent(&stage)?;
        for text in ["One?", "Two?", "Three?", "Four?"] {
            assert!(sent.contains(text), "{protocol}: no {text} in {sent}");
        }
        let lost = caller.post(continuing(&two, "And?")).await?;
        assert_eq!(lost.status(), 400, "{protocol}: the second was never stored");
    }
    Ok(())
}

/// Where a provider may keep responses, what is sent to it is its own matter.
#[tokio::test]
async fn a_provider_that_may_keep_is_sent_the_id_as_it_came() -> Result<()> {
    let allow = json!({"allow": {"previous_response_id": true, "store": true}});
    let stage = stage(allow).await?;
    let mut socket = Socket::open(&stage.caller).await?;
    let ask = json!({"previous_response_id": "resp_of_the_provider"});
    socket.completed(&stage.caller, ask).await?;
    assert!(last_sent(&stage)?.contains("resp_of_the_provider"));
    Ok(())
}
