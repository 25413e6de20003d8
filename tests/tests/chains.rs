//! Responses that a version keeps: stored, shown, continued, branched from, deleted and forgotten, whatever target serves.
//!
//! Invariant: the provider is the witness: it is sent the whole conversation, and is never asked to keep anything.

use alphagate_bed::{
    Bed, Options,
    provider::{Outcome, Provider},
};
use alphagate_tests::{Caller, Stage, read_events};
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

async fn bed() -> Result<&'static Bed> {
    static BED: OnceCell<Bed> = OnceCell::const_new();
    BED.get_or_try_init(|| Bed::start(Options::default().with_knobs())).await
}

async fn stage(bed: &'static Bed) -> Result<Stage> {
    Stage::new(bed, json!({"retain": {"days": 2}})).await
}

async fn call(caller: &Caller, method: Method, rest: &str) -> Result<(u16, Value)> {
    let url = format!("{}/v1/responses/{rest}", caller.edge_url);
    let answer = caller.http.request(method, url).bearer_auth(&caller.key.secret).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

async fn get(caller: &Caller, rest: &str) -> Result<(u16, Value)> {
    call(caller, Method::GET, rest).await
}

/// A turn that must succeed: the response object.
async fn turn(caller: &Caller, text: &str, answer: &str, extra: Value) -> Result<Value> {
    let mut body = json!({"input": text, "x_fake": {"text": answer}});
    if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
        body.extend(extra);
    }
    Ok(caller.post(body).await?.error_for_status()?.json().await?)
}

fn id(response: &Value) -> Result<&str> {
    response["id"].as_str().context("no id")
}

/// The texts of the last conversation that the provider was sent, and that nothing else of it was state.
fn sent(stage: &Stage) -> Result<Vec<String>> {
    let last = stage.calls().requests().pop().context("no call")?;
    let body: Value = serde_json::from_slice(&last.body)?;
    assert_eq!((&body["store"], &body["previous_response_id"]), (&json!(false), &Value::Null));
    let texts =
        |item: &Value| item["content"][0]["text"].as_str().or(item["content"].as_str()).map(str::to_owned);
    match &body["input"] {
        Value::String(text) => Ok(vec![text.clone()]),
        input => Ok(input.as_array().context("no input")?.iter().filter_map(texts).collect()),
    }
}

#[tokio::test]
async fn a_conversation_is_continued_and_branched_from_an_older_response() -> Result<()> {
    let stage = stage(bed().await?).await?;
    let one = turn(&stage.caller, "one?", "one.", json!({})).await?;
    assert_eq!(one["store"], true);
    let two = turn(&stage.caller, "two?", "two.", json!({"previous_response_id": one["id"]})).await?;
    assert_eq!(two["previous_response_id"], one["id"]);
    assert_eq!(sent(&stage)?, ["one?", "one.", "two?"]);
    turn(&stage.caller, "three?", "three.", json!({"previous_response_id": two["id"]})).await?;
    assert_eq!(sent(&stage)?, ["one?", "one.", "two?", "two.", "three?"]);
    turn(&stage.caller, "other?", "other.", json!({"previous_response_id": one["id"]})).await?;
    assert_eq!(sent(&stage)?, ["one?", "one.", "other?"], "a branch");
    Ok(())
}

#[tokio::test]
async fn a_response_is_shown_as_it_was_with_its_input_in_pages_until_it_is_deleted() -> Result<()> {
    let stage = stage(bed().await?).await?;
    let one = turn(&stage.caller, "one?", "one.", json!({})).await?;
    let two = turn(&stage.caller, "two?", "two.", json!({"previous_response_id": one["id"]})).await?;
    assert_eq!(get(&stage.caller, id(&two)?).await?, (200, two.clone()));

    let path = format!("{}/input_items?order=asc&limit=2", id(&two)?);
    let (_, page) = get(&stage.caller, &path).await?;
    assert_eq!((page["data"].as_array().map(Vec::len), &page["has_more"]), (Some(2), &json!(true)));
    let last = page["last_id"].as_str().context("no last id")?;
    let (_, rest) = get(&stage.caller, &format!("{path}&after={last}")).await?;
    assert_eq!(rest["data"][0]["content"][0]["text"], "two?");
    assert_eq!(rest["has_more"], false);

    let (status, deleted) = call(&stage.caller, Method::DELETE, id(&one)?).await?;
    assert_eq!((status, &deleted["deleted"]), (200, &json!(true)));
    assert_eq!(get(&stage.caller, id(&one)?).await?.0, 404);
    assert_eq!(call(&stage.caller, Method::DELETE, id(&one)?).await?.0, 404);
    for previous in [&one, &two] {
        let answer = stage.caller.post(json!({"previous_response_id": previous["id"]})).await?;
        assert_eq!(answer.status(), 400, "its conversation is not whole any more");
        assert_eq!(answer.json::<Value>().await?["error"]["code"], "previous_response_not_found");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_is_kept_when_its_caller_reads_its_end() -> Result<()> {
    let stage = stage(bed().await?).await?;
    let answer = stage.caller.post(json!({"stream": true, "x_fake": {"text": "streamed"}})).await?;
    let events = read_events(&answer.bytes().await?);
    let responses: Vec<Value> =
        events.iter().map(|event| event.json()["response"].take()).filter(Value::is_object).collect();
    let last = responses.last().context("no response")?;
    assert!(responses.iter().all(|response| response["id"] == last["id"] && response["store"] == true));
    assert_eq!(get(&stage.caller, id(last)?).await?, (200, last.clone()));
    turn(&stage.caller, "and?", "yes", json!({"previous_response_id": last["id"]})).await?;
    assert_eq!(sent(&stage)?, ["Write a line.", "streamed", "and?"]);
    Ok(())
}

#[tokio::test]
async fn what_is_not_to_be_kept_or_failed_is_not_there() -> Result<()> {
    let stage = stage(bed().await?).await?;
    let silent = turn(&stage.caller, "one?", "one.", json!({"store": false})).await?;
    assert_eq!(silent["store"], false);
    assert_eq!(get(&stage.caller, id(&silent)?).await?.0, 404);

    let broken = json!({"stream": true, "x_fake": {"text": "a b c d", "truncate_after_events": 6}});
    let events = read_events(&stage.caller.post(broken).await?.bytes().await?);
    let failed = events.iter().find(|event| event.name == "response.failed").context("it did not fail")?;
    assert_eq!(get(&stage.caller, id(&failed.json()["response"])?).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn forged_foreign_and_unknown_ids_look_alike_and_reach_no_provider() -> Result<()> {
    let bed = bed().await?;
    let (stage, other) = (stage(bed).await?, stage(bed).await?);
    let one = turn(&stage.caller, "one?", "one.", json!({})).await?;
    let mut forged = id(&one)?.to_owned();
    let digit = if forged.pop() == Some('0') { '1' } else { '0' };
    forged.push(digit);
    let missing = get(&other.caller, "resp_never").await?;
    assert_eq!(missing.0, 404);
    assert_eq!(get(&stage.caller, &forged).await?, missing);
    assert_eq!(get(&other.caller, id(&one)?).await?, missing);
    assert_eq!(call(&other.caller, Method::DELETE, id(&one)?).await?, missing);
    for text in [&forged, id(&one)?, "resp_never"] {
        let answer = other.caller.post(json!({"previous_response_id": text})).await?;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json::<Value>().await?["error"]["code"], "previous_response_not_found");
    }
    assert_eq!(other.calls().counts().started, 0);
    assert_eq!(get(&stage.caller, id(&one)?).await?.0, 200, "it is still there");
    Ok(())
}

#[tokio::test]
async fn a_version_that_keeps_nothing_refuses_as_ever() -> Result<()> {
    let stage = Stage::new(bed().await?, json!({})).await?;
    let one = turn(&stage.caller, "one?", "one.", json!({})).await?;
    assert_eq!(get(&stage.caller, id(&one)?).await?.0, 404);
    let answer = stage.caller.post(json!({"previous_response_id": one["id"]})).await?;
    assert_eq!(answer.json::<Value>().await?["error"]["code"], "unsupported_parameter");
    Ok(())
}

#[tokio::test]
async fn the_whole_conversation_goes_to_whoever_takes_over() -> Result<()> {
    let bed = bed().await?;
    let stage = stage(bed).await?;
    let one = turn(&stage.caller, "one?", "one.", json!({})).await?;
    let other = Provider::start().await?;
    let credential = stage.org.admin.create_credential("B", &other.url(), "sk-b").await?;
    let first =
        json!({"base_url": bed.provider().base_url(), "model": stage.model, "credential": stage.credential});
    let second = json!({"base_url": other.base_url(), "model": "b", "credential": credential, "order": 1});
    let config = json!({"retain": {"days": 2}, "targets": [first, second]});
    let version = stage.add_version(config).await?;
    stage.org.admin.publish(&stage.endpoint, version, Some(1)).await?;
    bed.provider().set_model(&stage.model, serde_json::from_value(json!({"status": 500}))?);
    let two = stage.caller.post(json!({"input": "two?", "previous_response_id": one["id"]})).await?;
    let two: Value = two.error_for_status()?.json().await?;
    let seen = other.calls_of("b").requests().pop().context("B was not asked")?;
    assert!(matches!(seen.outcome, Outcome::Completed), "{:?}", seen.outcome);
    let body: Value = serde_json::from_slice(&seen.body)?;
    assert_eq!(body["input"].as_array().map(Vec::len), Some(3));
    assert_eq!(get(&stage.caller, id(&two)?).await?, (200, two.clone()));
    Ok(())
}

#[tokio::test]
async fn after_its_time_a_response_is_gone() -> Result<()> {
    // Its clock is moved: nobody else may be on it.
    let own: &'static Bed = Box::leak(Box::new(Bed::start(Options::default().with_knobs()).await?));
    let stage = stage(own).await?;
    let one = turn(&stage.caller, "one?", "one.", json!({})).await?;
    own.shift_edge_clock(DAY_MS).await?;
    assert_eq!(get(&stage.caller, id(&one)?).await?.0, 200);
    own.shift_edge_clock(2 * DAY_MS + 60_000).await?;
    assert_eq!(get(&stage.caller, id(&one)?).await?.0, 404);
    Ok(())
}

/// What may not be called any more cannot be read or deleted, either, from the next request on.
#[tokio::test]
async fn a_suspended_org_a_withdrawn_endpoint_and_a_revoked_key_see_nothing_that_is_kept() -> Result<()> {
    let bed = bed().await?;
    let suspended = stage(bed).await?;
    let kept = turn(&suspended.caller, "one?", "one.", json!({})).await?;
    let path = format!("/operator/v1/orgs/{}", suspended.org.id);
    for (is_suspended, expected) in [(true, 403), (false, 200)] {
        let body = json!({"suspended": is_suspended});
        let reply = bed.operator()?.call(Method::PATCH, &path, Some(&body)).await?;
        assert!(reply.status.is_success(), "{}", reply.body);
        assert_eq!(get(&suspended.caller, id(&kept)?).await?.0, expected);
    }
    let withdrawn = stage(bed).await?;
    let kept = turn(&withdrawn.caller, "one?", "one.", json!({})).await?;
    let path = format!("/v1/endpoints/{}/withdraw", withdrawn.endpoint);
    let reply = withdrawn.org.admin.call(Method::POST, &path, Some(&json!({}))).await?;
    assert!(reply.status.is_success(), "{}", reply.body);
    assert_eq!(get(&withdrawn.caller, id(&kept)?).await?.0, 404);

    let revoked = stage(bed).await?;
    let kept = turn(&revoked.caller, "one?", "one.", json!({})).await?;
    assert_eq!(get(&revoked.caller, id(&kept)?).await?.0, 200);
    revoked.org.admin.revoke_key(&revoked.caller.key.id).await?;
    assert_eq!(get(&revoked.caller, id(&kept)?).await?.0, 401);
    assert_eq!(call(&revoked.caller, Method::DELETE, id(&kept)?).await?.0, 401);
    Ok(())
}
