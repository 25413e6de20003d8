//! Bytes: what the provider says arrives as it was said, whatever its chunks and line ends; only lifecycle events
//! differ, and only where the publisher's business would show.

use alphagate_bed::Bed;
use alphagate_tests::{Event, Stage, read_events};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Characters of one to four bytes: a proxy that cuts or re-encodes them shows at once.
const TEXT: &str = "Déjà vu: 風 in the naïve café’s 🌸 rain,\n\n🇯🇵 e\u{301} — done…";
const SECRET: &str = "You are the publisher's own poet.";
const OWN: &str = "Be brief.";
/// Digits after the prefix of an id of the provider: random, so they differ from call to call.
const ID_DIGITS: usize = 48;
const LIFECYCLE: [&str; 5] = [
    "response.created",
    "response.in_progress",
    "response.completed",
    "response.incomplete",
    "response.failed",
];

/// Every manner that the specification of server-sent events allows, alone and together.
fn manners() -> Vec<Value> {
    let everything = json!({
        "eol": "crlf", "bom": true, "comments": true, "non_event_lines": true, "drop_event_lines": true,
        "no_final_blank_line": true,
    });
    vec![
        json!({}),
        json!({"eol": "crlf"}),
        json!({"eol": "cr"}),
        json!({"bom": true}),
        json!({"comments": true}),
        json!({"non_event_lines": true}),
        json!({"drop_event_lines": true}),
        json!({"drop_event_lines": true, "eol": "cr", "comments": true}),
        json!({"no_final_blank_line": true}),
        json!({"done_marker": true}),
        json!({"done_marker": true, "eol": "crlf"}),
        json!({"terminal": "incomplete"}),
        everything,
    ]
}

async fn stage() -> Result<Stage> {
    let config = json!({
        "instructions": SECRET, "defaults": {"temperature": 0.2, "metadata": {"tier": "gold"}},
    });
    Stage::new(Bed::shared().await?, config).await
}

#[tokio::test]
async fn e12_e13_every_event_is_the_providers_byte_for_byte_and_in_order() -> Result<()> {
    let stage = stage().await?;
    for manner in manners() {
        for chunk_bytes in [1, 7, 1_000_000] {
            let mut knobs = json!({"text": TEXT, "chunk_bytes": chunk_bytes});
            knobs
                .as_object_mut()
                .context("no object")?
                .extend(manner.as_object().cloned().unwrap_or_default());
            let case = knobs.to_string();
            compare(&stage, knobs).await.with_context(|| case)?;
        }
    }
    Ok(())
}

/// The same call through the edge and to the provider itself.
async fn compare(stage: &Stage, knobs: Value) -> Result<()> {
    let call = json!({"stream": true, "instructions": OWN, "x_fake": knobs});
    let response = stage.caller.post(call).await?.error_for_status()?;
    let through_edge = without_ids(response.bytes().await?.to_vec());
    let direct = without_ids(ask_provider(stage).await?);
    let (expected, found) = (read_whole(&direct), read_events(&through_edge));
    ensure!(expected.len() == found.len(), "{} events instead of {}", found.len(), expected.len());
    for (expected, found) in expected.iter().zip(&found) {
        compare_event(stage, expected, found)?;
    }
    ensure!(deltas(&found) == TEXT, "the text is {:?}", deltas(&found));
    same_bytes(&direct, &through_edge)
}

/// Repeats at the provider what the edge sent there last.
async fn ask_provider(stage: &Stage) -> Result<Vec<u8>> {
    let seen = stage.calls().requests().pop().context("no call")?;
    let url = format!("{}/responses", stage.bed.provider().base_url());
    let request = stage.caller.http.post(url).bearer_auth("sk-stage").body(seen.body);
    Ok(request.send().await?.error_for_status()?.bytes().await?.to_vec())
}

/// As the edge does, takes a last event without its blank line for whole.
fn read_whole(stream: &[u8]) -> Vec<Event> {
    read_events(&[stream, b"\n\n"].concat())
}

fn deltas(events: &[Event]) -> String {
    let deltas = events.iter().filter(|event| event.json()["type"] == "response.output_text.delta");
    deltas.filter_map(|event| event.json()["delta"].as_str().map(str::to_owned)).collect()
}

fn is_lifecycle(event: &Event) -> bool {
    LIFECYCLE.iter().any(|kind| event.json()["type"] == *kind)
}

fn compare_event(stage: &Stage, expected: &Event, found: &Event) -> Result<()> {
    if !is_lifecycle(expected) {
        ensure!(expected == found, "{found:?} instead of {expected:?}");
        return Ok(());
    }
    let (mut expected_data, mut found_data) = (expected.json(), found.json());
    disguise(&mut expected_data["response"], &stage.caller.name);
    for data in [&mut expected_data, &mut found_data] {
        without_times(&mut data["response"]);
    }
    ensure!(expected.name == found.name, "{} instead of {}", found.name, expected.name);
    ensure!(expected_data == found_data, "{found_data} instead of {expected_data}");
    Ok(())
}

/// What the caller may see of a response object.
fn disguise(response: &mut Value, name: &str) {
    response["model"] = name.into();
    response["instructions"] = OWN.into();
    response["temperature"] = json!(1.0);
    response["metadata"] = json!({});
}

/// The two calls were made at two times.
fn without_times(response: &mut Value) {
    for field in ["created_at", "completed_at"] {
        if response[field].is_number() {
            response[field] = 0.into();
        }
    }
}

fn without_ids(mut stream: Vec<u8>) -> Vec<u8> {
    for prefix in ["\"resp_", "\"msg_"] {
        let starts: Vec<usize> = stream
            .windows(prefix.len())
            .enumerate()
            .filter(|(_, window)| *window == prefix.as_bytes())
            .map(|(at, _)| at + prefix.len())
            .collect();
        for start in starts {
            stream[start..start + ID_DIGITS].fill(b'0');
        }
    }
    stream
}

/// Every block of the provider's stream but the lifecycle events lies in the caller's, in order and with nothing in
/// between but those.
fn same_bytes(direct: &[u8], mut through_edge: &[u8]) -> Result<()> {
    let direct = direct.strip_prefix(b"\xef\xbb\xbf").unwrap_or(direct);
    for block in blocks(direct) {
        let [event] = &read_whole(block)[..] else {
            through_edge = after(through_edge, block)?;
            continue;
        };
        if !is_lifecycle(event) {
            through_edge = after(through_edge, block)?;
            continue;
        }
        let end = through_edge.windows(2).position(|pair| pair == b"\n\n").context("no end of an event")?;
        through_edge = &through_edge[end + 2..];
        // The line feed of a carriage return that had already ended the event.
        through_edge = through_edge.strip_prefix(b"\n").unwrap_or(through_edge);
    }
    ensure!(through_edge.is_empty(), "more: {:?}", String::from_utf8_lossy(through_edge));
    Ok(())
}

fn after<'a>(stream: &'a [u8], block: &[u8]) -> Result<&'a [u8]> {
    stream.strip_prefix(block).with_context(|| {
        let found = &stream[..block.len().min(stream.len())];
        format!("{:?} instead of {:?}", String::from_utf8_lossy(found), String::from_utf8_lossy(block))
    })
}

/// A stream cut after every blank line.
fn blocks(stream: &[u8]) -> Vec<&[u8]> {
    let blank: &[u8] = match stream.iter().position(|byte| b"\r\n".contains(byte)) {
        Some(at) if stream[at] == b'\n' => b"\n\n",
        Some(at) if stream.get(at + 1) == Some(&b'\n') => b"\r\n\r\n",
        _ => b"\r\r",
    };
    let mut blocks = Vec::new();
    let mut rest = stream;
    while let Some(at) = rest.windows(blank.len()).position(|window| window == blank) {
        let (block, after) = rest.split_at(at + blank.len());
        blocks.push(block);
        rest = after;
    }
    if !rest.is_empty() {
        blocks.push(rest);
    }
    blocks
}

#[tokio::test]
async fn e23_neither_model_nor_instructions_of_the_publisher_reach_the_caller_in_either_mode() -> Result<()> {
    let stage = stage().await?;
    for terminal in ["completed", "incomplete", "failed"] {
        for own in [json!(OWN), Value::Null] {
            let knobs = json!({"terminal": terminal, "text": "ok"});
            for stream in [true, false] {
                let call = json!({"stream": stream, "instructions": own, "x_fake": knobs});
                let response = stage.caller.post(call).await?;
                let shown = format!("{:?} {}", response.headers().clone(), response.text().await?);
                for hidden in [SECRET, &stage.model, "gold", "sk-stage"] {
                    ensure!(!shown.contains(hidden), "{hidden:?} shows in {shown}");
                }
                ensure!(
                    shown.contains(&format!("\"model\":\"{}\"", stage.caller.name)),
                    "no name in {shown}"
                );
            }
            let sent = stage.calls().requests().pop().and_then(|seen| seen.json()).context("no call")?;
            ensure!(sent["instructions"].as_str().is_some_and(|text| text.starts_with(SECRET)), "{sent}");
            whole_is_rewritten(&stage, &own).await?;
        }
    }
    Ok(())
}

/// Without a stream it is the same response object, and differs in the same places.
async fn whole_is_rewritten(stage: &Stage, own: &Value) -> Result<()> {
    let response = stage.caller.post(json!({"instructions": own, "x_fake": {"text": TEXT}})).await?;
    let through_edge = without_ids(response.bytes().await?.to_vec());
    let direct = without_ids(ask_provider(stage).await?);
    let (mut expected, mut found): (Value, Value) =
        (serde_json::from_slice(&direct)?, serde_json::from_slice(&through_edge)?);
    disguise(&mut expected, &stage.caller.name);
    expected["instructions"] = own.clone();
    without_times(&mut expected);
    without_times(&mut found);
    assert_eq!(expected, found);
    Ok(())
}
