//! Requests that are too large, too slow, malformed, or reach too far (E05, E06, E07, E08, E24).

use std::time::{Duration, Instant};

use alphagate_bed::Bed;
use alphagate_tests::{Caller, Raw, Stage, raw::Answer};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{BODY_DEADLINE_MS, BODY_MAX_BYTES, narrow};

async fn one_request(stage: &Stage) -> Result<()> {
    let quotas = json!([
        {"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 1}},
        {"subject": {"kind": "org"}, "limit": {"concurrency": 1}},
    ]);
    stage.org.admin.put_quotas(&quotas).await.map(drop)
}

/// A call of exactly so many bytes.
fn body_of(caller: &Caller, bytes: usize) -> String {
    let start = format!(r#"{{"model":"{}","input":""#, caller.name);
    let padding = bytes - start.len() - 2;
    format!("{start}{}\"}}", "x".repeat(padding))
}

async fn send(caller: &Caller, request: &[u8]) -> Result<Answer> {
    let mut raw = Raw::connect(&caller.edge_url).await?;
    // The edge may answer, and close, before it has read everything.
    let _ = raw.send(request).await;
    raw.answer().await
}

fn chunked(body: &str) -> String {
    let chunks: String = body
        .as_bytes()
        .chunks(16_000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)))
        .collect();
    chunks + "0\r\n\r\n"
}

#[tokio::test]
async fn e05_a_body_over_the_limit_is_413_declared_or_chunked_and_costs_nothing() -> Result<()> {
    let stage = Stage::new(narrow().await?, json!({})).await?;
    one_request(&stage).await?;
    let too_large = body_of(&stage.caller, BODY_MAX_BYTES + 1);
    let declared = format!("content-length: {}\r\n", too_large.len());
    let cases = [
        ("declared", Raw::request(&stage.caller, &declared, &too_large)),
        ("declared and not sent", Raw::request(&stage.caller, &declared, "")),
        ("chunked", Raw::request(&stage.caller, "transfer-encoding: chunked\r\n", &chunked(&too_large))),
    ];
    for (name, request) in cases {
        let answer = send(&stage.caller, request.as_bytes()).await?;
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "{name}");
    }
    let calls = stage.bed.provider().calls().counts();
    assert_eq!((stage.calls().counts().started, calls.incomplete), (0, 0));
    let just_fits = body_of(&stage.caller, BODY_MAX_BYTES);
    for (lines, body) in [
        (format!("content-length: {}\r\n", just_fits.len()), just_fits.clone()),
        ("transfer-encoding: chunked\r\n".into(), chunked(&just_fits)),
    ] {
        let answer = send(&stage.caller, Raw::request(&stage.caller, &lines, &body).as_bytes()).await?;
        // The one unit of quota is there for the first of them.
        let expected = if lines.starts_with("content") { 200 } else { 429 };
        assert_eq!(answer.status, expected, "{lines}");
    }
    Ok(())
}

/// What a provider may read of a request; `cf-worker` is the platform's own, with the zone's name.
const LEAVES: [&str; 10] = [
    "host",
    "content-type",
    "content-length",
    "transfer-encoding",
    "accept",
    "accept-encoding",
    "user-agent",
    "x-request-id",
    "authorization",
    "cf-worker",
];

/// Heads that two servers may read in two ways, or that claim what only a proxy may say.
fn odd_heads(length: usize) -> Vec<String> {
    let with = |lines: &str| format!("content-length: {length}\r\n{lines}");
    vec![
        with("transfer-encoding: chunked\r\n"),
        with("transfer-encoding: identity\r\n"),
        with("transfer-encoding: xchunked\r\n"),
        with("transfer-encoding : chunked\r\n"),
        with(&format!("content-length: {}\r\n", length + 1)),
        with(&format!("content-length: {}\r\n", length - 1)),
        format!("content-length: +{length}\r\n"),
        format!("content-length: 0x{length:x}\r\n"),
        format!("content-length: {length}, {length}\r\n"),
        with("connection: x-secret\r\nx-secret: 1\r\n"),
        with("connection: close, authorization\r\n"),
        with("x-forwarded-for: 10.0.0.1\r\nx-forwarded-host: evil\r\nx-forwarded-proto: gopher\r\n"),
        with(
            "forwarded: for=10.0.0.1\r\nvia: 1.1 evil\r\ncf-connecting-ip: 10.0.0.1\r\nx-real-ip: 10.0.0.1\r\n",
        ),
        with("x-request-id: mine\r\nuser-agent: mine\r\nopenai-organization: mine\r\ncookie: mine\r\n"),
        with("x-a: b\r\n folded: c\r\n"),
        with("x-a: b\r\n\tfolded\r\n"),
        with("host: other\r\n"),
        with("te: trailers\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nexpect: 100-continue\r\n"),
        with("x-nul: a\0b\r\n"),
    ]
}

#[tokio::test]
async fn e06_what_could_smuggle_is_refused_or_stripped_and_only_listed_headers_leave() -> Result<()> {
    // Not behind the knobs: they read the URL themselves.
    let stage = Stage::new(narrow().await?, json!({})).await?;
    let body = json!({"model": stage.caller.name, "input": "x"}).to_string();
    for lines in odd_heads(body.len()) {
        let before = stage.calls().counts().started;
        // What comes after the body is a second call, if one server reads the first as shorter than another.
        let second = Raw::request(&stage.caller, "content-length: 5\r\nx-smuggled: 1\r\n", "{}   ");
        let request = Raw::request(&stage.caller, &lines, &(body.clone() + &second));
        let outcome = send(&stage.caller, request.as_bytes()).await;
        let status = outcome.as_ref().map_or(0, |answer| answer.status);
        assert!([0, 200, 400, 501].contains(&status), "{status} for {lines:?}");
        let started = stage.calls().counts().started - before;
        assert_eq!(started, u64::from(status == 200), "{lines:?}");
    }
    for seen in stage.calls().requests() {
        for (name, value) in &seen.headers {
            let name = name.to_ascii_lowercase();
            assert!(LEAVES.contains(&name.as_str()), "{name}: {value} left");
            assert!(!value.contains("mine") && !value.contains("evil"), "{name}: {value} left");
        }
        assert_eq!(seen.header("authorization"), Some("Bearer sk-stage"), "the caller's key left");
        assert!(seen.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
    }
    Ok(())
}

#[tokio::test]
async fn e07_odd_urls_are_refused_and_the_log_stays_json() -> Result<()> {
    let stage = Stage::new(narrow().await?, json!({})).await?;
    let long = format!("/v1/models/{}", "x".repeat(20_000));
    let long_query = format!("/v1/models?{}", "x".repeat(20_000));
    let urls: [(&[u8], &[u16]); 14] = [
        (b"/v1/models/\xff\xfe", &[400, 404]),
        (b"/v1/models/%ff%fe", &[400, 404]),
        (b"/v1/models/a%00b", &[400, 404]),
        (b"/v1/models/a\0b", &[400, 404]),
        (b"/v1/%2e%2e/internal/v1/records", &[400, 404, 405]),
        (b"/v1/../internal/v1/records", &[400, 404, 405]),
        (b"/v1/models/..%2f..%2finternal", &[400, 404]),
        (b"/v1//models", &[400, 404]),
        (b"/v1/models/\"},{\"message\":\"forged", &[400, 404]),
        (b"/v1/models/%0d%0ax-forged:%201", &[400, 404]),
        (b"//evil/v1/models", &[400, 404]),
        (b"http://evil/v1/nothing", &[400, 404]),
        (long.as_bytes(), &[414]),
        (long_query.as_bytes(), &[414]),
    ];
    for (url, statuses) in urls {
        let key = stage.caller.key.secret.as_bytes();
        let lines: [&[u8]; 5] =
            [b"GET ", url, b" HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer ", key, b"\r\n\r\n"];
        let answer = send(&stage.caller, &lines.concat()).await?;
        let shown = String::from_utf8_lossy(&url[..url.len().min(60)]).into_owned();
        assert!(statuses.contains(&answer.status), "{} for {shown:?}", answer.status);
        assert!(!answer.head.contains("x-forged"), "{shown:?}");
    }
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200, "and it goes on");
    let log = stage.bed.log("edge");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("\"message\"")).collect();
    assert!(lines.len() > 5, "{log}");
    for line in lines {
        ensure!(serde_json::from_str::<Value>(line).is_ok(), "no JSON: {line}");
        ensure!(line.len() < 1_000, "a line as long as its caller wants");
    }
    Ok(())
}

#[tokio::test]
async fn e08_a_slow_caller_is_cut_at_the_deadline_and_holds_no_quota_meanwhile() -> Result<()> {
    let stage = Stage::new(narrow().await?, json!({})).await?;
    one_request(&stage).await?;
    let body = body_of(&stage.caller, 1_000);
    let framings = [
        (format!("content-length: {}\r\n", body.len()), ""),
        ("transfer-encoding: chunked\r\n".into(), "3e8\r\n"),
    ];
    let mut slow = Vec::new();
    for (lines, start) in framings {
        let mut raw = Raw::connect(&stage.caller.edge_url).await?;
        raw.send(Raw::request(&stage.caller, &lines, start).as_bytes()).await?;
        slow.push(raw);
    }
    // While they trickle, the only unit there is goes to somebody else.
    let start = Instant::now();
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    for byte in body.bytes().take((BODY_DEADLINE_MS / 300) as usize) {
        for raw in &mut slow {
            // On a slow machine the edge has cut it by now.
            let _ = raw.send(&[byte]).await;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    for mut raw in slow {
        let answer = raw.answer().await?;
        assert_eq!((answer.status, answer.code().as_str()), (408, "body_timeout"));
    }
    let took = start.elapsed();
    ensure!(took < Duration::from_millis(3 * BODY_DEADLINE_MS), "cut after {took:?}");
    assert_eq!(stage.calls().counts().started, 1);
    assert_eq!(stage.usage(1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn e08_a_caller_who_leaves_within_the_body_costs_nothing() -> Result<()> {
    let stage = Stage::new(narrow().await?, json!({})).await?;
    one_request(&stage).await?;
    for reset in [true, false] {
        let lines = "content-length: 1000\r\n";
        let mut raw = Raw::connect(&stage.caller.edge_url).await?;
        raw.send(Raw::request(&stage.caller, lines, "{\"model\":").as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if reset { raw.reset()? } else { raw.close() }
    }
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    assert_eq!(stage.calls().counts().started, 1);
    Ok(())
}

/// What reaches into the publisher's account, and the parameter that the refusal names.
fn reaching() -> Vec<(Value, &'static str)> {
    let file = |content: Value| json!({"input": [{"role": "user", "content": [content]}]});
    vec![
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"conversation": {"id": "conv_1"}}), "conversation"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (json!({"background": true}), "background"),
        (file(json!({"type": "input_file", "file_id": "file-1"})), "input.file_id"),
        (file(json!({"type": "input_image", "file_id": "file-1"})), "input.file_id"),
        (json!({"input": [{"type": "item_reference", "id": "msg_1"}]}), "input.item_reference"),
        (json!({"input": [{"id": "msg_1"}]}), "input.item_reference"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (
            json!({"tools": [{"type": "function", "name": "f"}, {"type": "mcp", "server_url": "https://x"}]}),
            "tools[1].type",
        ),
        (json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}), "tools[0].type"),
        (json!({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "computer_use_preview"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "image_generation"}]}), "tools[0].type"),
    ]
}

#[tokio::test]
async fn e24_what_reaches_into_the_publishers_account_is_400_unless_the_version_allows_it() -> Result<()> {
    let bed = Bed::shared().await?;
    let strict = Stage::new(bed, json!({})).await?;
    let allow = json!({"allow": {
        "previous_response_id": true, "conversation": true, "prompt": true, "background": true, "file_ids": true,
        "store": true,
        "tools": ["web_search", "mcp", "file_search", "code_interpreter", "computer_use_preview", "image_generation"],
    }});
    let open = Stage::new(bed, allow).await?;
    for (call, param) in reaching() {
        let answer = strict.caller.post(call.clone()).await?;
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await?);
        assert_eq!((status, &body["error"]["code"]), (400, &json!("unsupported_parameter")), "{call}");
        assert_eq!(body["error"]["param"], param, "{call}");
        assert_eq!(open.caller.post(call.clone()).await?.status().as_u16(), 200, "{call}");
        let sent = open.calls().requests().pop().and_then(|seen| seen.json()).context("no call")?;
        for (field, value) in call.as_object().into_iter().flatten() {
            assert_eq!(&sent[field], value);
        }
    }
    assert_eq!(strict.calls().counts().started, 0);
    for (stage, stored) in [(&strict, false), (&open, true)] {
        assert_eq!(stage.caller.post(json!({"store": true})).await?.status().as_u16(), 200);
        let sent = stage.calls().requests().pop().and_then(|seen| seen.json()).context("no call")?;
        assert_eq!(sent["store"], stored, "`store` is forced off unless it is allowed");
    }
    Ok(())
}
