//! Fault row E04: what is not JSON is refused here, and what is JSON reaches the provider byte for byte.
//!
//! Invariant: the edge checks the syntax of what it does not act on, and never rewrites it.

mod json {
    pub mod bad;
    pub mod good;
}

use std::collections::HashSet;

use alphagate_bed::{Bed, provider::Seen};
use alphagate_tests::{Caller, Stage};
use anyhow::{Context, Result, ensure};
use json::{bad, good};
use serde_json::Value;

/// As many as the well-known corpus of JSON parsers' tests has of each kind.
const BAD_MIN: usize = 188;
const GOOD_MIN: usize = 95;

/// A good body with `member` as its last one.
fn body_with(caller: &Caller, member: &[u8]) -> Vec<u8> {
    let mut body = format!(r#"{{"model":"{}","input":"x","#, caller.name).into_bytes();
    body.extend(member);
    body.push(b'}');
    body
}

async fn code_of(caller: &Caller, body: Vec<u8>) -> Result<(u16, Value)> {
    let response = caller.post_bytes(body).await?;
    let status = response.status().as_u16();
    let body: Value = response.json().await.context("the answer is no JSON")?;
    Ok((status, body["error"]["code"].clone()))
}

#[tokio::test]
async fn e04_malformed_bodies_are_refused_and_good_ones_pass_byte_for_byte() -> Result<()> {
    let bed = Bed::shared().await?;
    let stage = Stage::new(bed, serde_json::json!({})).await?;
    refuse_malformed(&stage.caller).await?;
    assert_eq!(bed.provider().calls().counts().started, 0, "a malformed body reached the provider");
    pass_good(&stage.caller, bed).await
}

async fn refuse_malformed(caller: &Caller) -> Result<()> {
    let values = bad::values();
    let distinct: HashSet<&Vec<u8>> = values.iter().collect();
    assert!(
        distinct.len() == values.len() && values.len() >= BAD_MIN,
        "{} distinct bad values",
        distinct.len()
    );
    for value in &values {
        let member = [b"\"x_case\":".as_slice(), value].concat();
        refuse(caller, body_with(caller, &member)).await?;
        refuse(caller, value.clone()).await?;
    }
    for body in bad::documents(&body_with(caller, br#""x_case":[1,{"a":"b"}]"#)) {
        refuse(caller, body).await?;
    }
    Ok(())
}

async fn refuse(caller: &Caller, body: Vec<u8>) -> Result<()> {
    let shown = String::from_utf8_lossy(body.get(..300).unwrap_or(&body)).into_owned();
    let (status, code) = code_of(caller, body).await?;
    ensure!((status, code.as_str()) == (400, Some("body_malformed")), "{status} {code} for {shown}");
    Ok(())
}

async fn pass_good(caller: &Caller, bed: &Bed) -> Result<()> {
    let values = good::values();
    let distinct: HashSet<&Vec<u8>> = values.iter().collect();
    assert!(
        distinct.len() == values.len() && values.len() >= GOOD_MIN,
        "{} distinct good values",
        distinct.len()
    );
    for value in &values {
        pass(caller, bed, &[b"\"x_case\":".as_slice(), value].concat()).await?;
        if let Some(members) = members(value) {
            pass(caller, bed, members).await?;
        }
    }
    for space in good::SPACES {
        let member = format!("\"x_case\"{space}:{space}[1]{space}");
        pass(caller, bed, member.as_bytes()).await?;
    }
    Ok(())
}

/// The inside of an object that has one.
fn members(value: &[u8]) -> Option<&[u8]> {
    let inside = value.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    (!inside.trim_ascii().is_empty()).then_some(inside)
}

/// Sends `member` at the end of a good body, and finds its very bytes in what the provider got.
async fn pass(caller: &Caller, bed: &Bed, member: &[u8]) -> Result<()> {
    let shown = String::from_utf8_lossy(member).into_owned();
    let before = last_id(bed);
    let (_, code) = code_of(caller, body_with(caller, member)).await?;
    ensure!(code != "body_malformed", "refused: {shown}");
    let requests = bed.provider().calls().requests();
    let seen: Vec<&Seen> = requests.iter().filter(|seen| seen.id > before).collect();
    let [seen] = seen.as_slice() else { anyhow::bail!("{} calls, {code}: {shown}", seen.len()) };
    let start = br#","input":"x","#;
    let at = position(&seen.body, start).context("the body's start has changed")? + start.len();
    let rest = seen.body.get(at..).unwrap_or_default();
    let after = rest.strip_prefix(member).with_context(|| format!("changed: {shown}"))?;
    // What the endpoint adds comes behind the caller's last member.
    ensure!(after.starts_with(b",\"") || after == b"}", "{shown}: then {}", String::from_utf8_lossy(after));
    Ok(())
}

fn last_id(bed: &Bed) -> u64 {
    bed.provider().calls().requests().last().map_or(0, |seen| seen.id)
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
