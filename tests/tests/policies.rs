//! Policies at the edge: what of a request a provider sees, what is refused before it is asked, and which answers are not
//! shown.
//!
//! Invariant: what a policy does not let through reaches neither the provider nor the caller, whatever the two speak.

use std::sync::atomic::{AtomicU64, Ordering};

use alphagate_bed::{
    Bed,
    provider::{Calls, Knobs},
};
use alphagate_tests::Stage;
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

/// What targets speak.
const PROTOCOLS: [&str; 4] = ["responses", "chat", "anthropic", "gemini"];
/// What no provider may see.
const SECRETS: [&str; 3] = ["joe@example.com", "415-555-0132", "192.168.17.4"];

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An org's moderation, by the provider.
struct Moderator {
    model: String,
    config: Value,
}

impl Moderator {
    async fn new(looks_at: &str) -> Result<Self> {
        let bed = Bed::shared().await?;
        let model = format!("omni-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let config = json!([{"base_url": bed.provider().base_url(), "model": model, "looks_at": looks_at,
            "thresholds": {"hate": 0.5, "violence": 0.3}}]);
        Ok(Self { model, config })
    }

    /// An endpoint that asks it with a credential: that of the endpoint's provider, which is the same one.
    async fn stage(&self) -> Result<Stage> {
        let stage = Stage::new(Bed::shared().await?, json!({})).await?;
        let mut moderation = self.config.clone();
        moderation[0]["credential"] = json!(stage.credential);
        let number = stage.add_version(json!({"moderation": moderation})).await?;
        stage.org.admin.publish(&stage.endpoint, number, Some(1)).await?;
        Ok(stage)
    }

    async fn calls(&self) -> Result<Calls> {
        Ok(Bed::shared().await?.provider().calls_of(&self.model))
    }

    /// The texts that it was shown.
    async fn shown(&self) -> Result<Vec<String>> {
        let seen = self.calls().await?.requests();
        let text = |seen: &alphagate_bed::provider::Seen| {
            Some(seen.json()?["input"].as_str().unwrap_or_default().to_owned())
        };
        Ok(seen.iter().filter_map(text).collect())
    }

    async fn set(&self, knobs: Value) -> Result<()> {
        Bed::shared().await?.provider().set_model(&self.model, serde_json::from_value::<Knobs>(knobs)?);
        Ok(())
    }
}

fn set(stage: &Stage, knobs: Value) -> Result<()> {
    stage.bed.provider().set_model(&stage.model, serde_json::from_value::<Knobs>(knobs)?);
    Ok(())
}

/// Posts a body under the caller's name; status and JSON.
async fn post(stage: &Stage, path: &str, mut body: Value) -> Result<(u16, Value)> {
    body["model"] = json!(stage.caller.name);
    let response = stage.caller.post_to(path, body.to_string().into_bytes()).await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

async fn ask(stage: &Stage, input: &str) -> Result<(u16, Value)> {
    post(stage, "/v1/responses", json!({"input": input})).await
}

fn code((status, body): &(u16, Value)) -> (u16, &str) {
    (*status, body["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_policy_of_the_org_redacts_what_a_provider_would_see_on_every_route_and_protocol() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = Stage::speaking(Bed::shared().await?, protocol, json!({})).await?;
        let policy = json!({"name": "pii", "preset": "pii"});
        let made = stage.org.admin.call(Method::POST, "/v1/policies", Some(&policy)).await?;
        anyhow::ensure!(made.status == 201, "{}", made.body);
        let number = stage.add_version(json!({"policies": [{"name": "pii"}]})).await?;
        stage.org.admin.publish(&stage.endpoint, number, Some(1)).await?;
        let text = format!("Mail {} or call {}\nfrom {}.", SECRETS[0], SECRETS[1], SECRETS[2]);
        let parts =
            json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]);
        let chat = json!([{"role": "user", "content": [{"type": "text", "text": text}]}]);
        let asked = [
            ("/v1/responses", json!({"input": parts})),
            ("/v1/responses", json!({"input": text, "stream": true})),
            ("/v1/chat/completions", json!({"messages": chat})),
            ("/v1/chat/completions", json!({"messages": chat, "stream": true})),
        ];
        for (path, body) in &asked {
            let (status, answer) = post(&stage, path, body.clone()).await?;
            anyhow::ensure!(status == 200, "{protocol} {path}: {answer}");
            let sent = String::from_utf8(stage.calls().requests().pop().context("no call")?.body)?;
            let expected = "Mail [EMAIL] or call [PHONE]\\nfrom [IP_ADDRESS].";
            assert!(sent.contains(expected), "{protocol} {path}: {sent}");
            for secret in SECRETS {
                assert!(!sent.contains(secret), "{protocol} {path}: {sent}");
            }
        }
        post(&stage, "/v1/responses", json!({"input": "Write a line."})).await?;
        let mut flags: Vec<Value> =
            stage.usage(asked.len() + 1).await?.into_iter().map(|event| event["flags"].clone()).collect();
        flags.sort_by_key(ToString::to_string);
        let (none, redacted) = (json!([]), json!(["pii:email", "pii:phone", "pii:ip_address"]));
        assert_eq!(flags, [vec![redacted; asked.len()], vec![none]].concat(), "{protocol}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_refused_costs_nothing_and_is_named_by_its_kind() -> Result<()> {
    let config = json!({"pii": {"us_ssn": "refuse", "payment_card": "refuse"}});
    let stage = Stage::new(Bed::shared().await?, config).await?;
    let answer = ask(&stage, "It is 4111 1111 1111 1111.").await?;
    assert_eq!(code(&answer), (400, "content_policy_violation"));
    let error = &answer.1["error"];
    assert_eq!((&error["param"], &error["type"]), (&json!("input"), &json!("invalid_request_error")));
    assert_eq!(error["details"], json!({"pii": ["payment_card"]}));
    assert!(!answer.1.to_string().contains("4111"), "{}", answer.1);
    let chat = json!({"messages": [{"role": "user", "content": "078-05-1120"}]});
    let answer = post(&stage, "/v1/chat/completions", chat).await?;
    assert_eq!(
        (code(&answer), &answer.1["error"]["param"]),
        ((400, "content_policy_violation"), &json!("messages"))
    );
    let tokens = post(&stage, "/v1/embeddings", json!({"input": [[1, 2]]})).await?;
    assert_eq!(code(&tokens), (400, "unsupported_parameter"));
    assert_eq!(stage.calls().requests().len(), 0);
    assert_eq!(ask(&stage, "It is 4111 1111 1111 1112.").await?.0, 200);
    stage.usage(1).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_policy_forbids_to_keep_is_not_kept_and_what_is_kept_is_redacted() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({"retain": {"days": 30}})).await?;
    for (name, max_days) in [("day", 1), ("nothing", 0)] {
        let policy = json!({"name": name, "policy": {"retention": {"max_days": max_days}, "pii": {"email": "redact"}}});
        let made = stage.org.admin.call(Method::POST, "/v1/policies", Some(&policy)).await?;
        anyhow::ensure!(made.status == 201, "{}", made.body);
    }
    let under = async |policy: &str, live: u64| {
        let config = json!({"retain": {"days": 30}, "policies": [{"name": policy}]});
        let number = stage.add_version(config).await?;
        stage.org.admin.publish(&stage.endpoint, number, Some(live)).await?;
        let (status, kept) = ask(&stage, "I am joe@example.com.").await?;
        anyhow::ensure!(status == 200, "{kept}");
        let url = format!("{}/v1/responses/{}", stage.caller.edge_url, kept["id"].as_str().context("id")?);
        let read = async |url: String| {
            anyhow::Ok(stage.caller.http.get(url).bearer_auth(&stage.caller.key.secret).send().await?)
        };
        let found = read(url.clone()).await?.status().as_u16();
        let items = read(format!("{url}/input_items")).await?.text().await?;
        anyhow::Ok((kept["store"].clone(), found, items))
    };
    let (store, found, items) = under("day", 1).await?;
    assert_eq!((store, found), (json!(true), 200));
    assert!(items.contains("I am [EMAIL].") && !items.contains("joe@"), "{items}");
    let (store, found, _) = under("nothing", 2).await?;
    assert_eq!((store, found), (json!(false), 404));
    Ok(())
}

#[tokio::test]
async fn an_input_over_a_threshold_is_refused_before_the_provider_is_asked_and_its_room_is_given_back()
-> Result<()> {
    let moderator = Moderator::new("input").await?;
    let stage = moderator.stage().await?;
    let quota =
        json!([{"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 2}}]);
    stage.org.admin.put_quotas(&quota).await?;
    for _ in 0..3 {
        let answer = ask(&stage, "This is hate=0.7 and violence=0.31, sexual=0.9.").await?;
        assert_eq!(code(&answer), (400, "content_policy_violation"), "{}", answer.1);
        let details = json!({"moderation": "input", "categories": ["hate", "violence"]});
        assert_eq!(answer.1["error"]["details"], details);
        assert_eq!(answer.1["error"]["param"], "input");
    }
    assert_eq!(stage.calls().requests().len(), 0);
    // Cancelling goes on after the answer.
    let served = alphagate_tests::until("room", std::time::Duration::from_secs(30), async || {
        let answer = ask(&stage, "This is hate=0.5.").await?;
        Ok((answer.0 == 200).then_some(answer))
    });
    served.await?;
    let chat = json!({"messages": [{"role": "user", "content": "Fine."}], "stream": true});
    assert_eq!(post(&stage, "/v1/chat/completions", chat).await?.0, 200);
    let shown = moderator.shown().await?;
    assert_eq!(shown.first().map(String::as_str), Some("This is hate=0.7 and violence=0.31, sexual=0.9.\n"));
    assert_eq!(shown.last().map(String::as_str), Some("Fine.\n"));
    let seen = moderator.calls().await?.requests().pop().context("no call")?;
    assert_eq!(seen.header("authorization"), Some("Bearer sk-stage"));
    stage.usage(2).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_redacted_is_seen_by_no_moderation() -> Result<()> {
    let moderator = Moderator::new("input").await?;
    let config = json!({"pii": {"email": "redact"}, "moderation": moderator.config});
    let stage = Stage::new(Bed::shared().await?, config).await?;
    // Without a credential, the provider does not say anything, and nothing is let through.
    let answer = ask(&stage, "I am joe@example.com.").await?;
    assert_eq!(code(&answer), (503, "moderation_unavailable"));
    assert_eq!(moderator.shown().await?, ["I am [EMAIL].\n"]);
    assert_eq!(stage.calls().requests().len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_answer_over_a_threshold_is_paid_for_and_not_shown() -> Result<()> {
    let moderator = Moderator::new("output").await?;
    let stage = moderator.stage().await?;
    set(&stage, json!({"text": "An answer of hate=0.6."}))?;
    let chat = json!({"messages": [{"role": "user", "content": "hate=0.9"}]});
    for (path, body) in [("/v1/responses", json!({"input": "hate=0.9"})), ("/v1/chat/completions", chat)] {
        let answer = post(&stage, path, body).await?;
        assert_eq!(code(&answer), (400, "content_policy_violation"), "{path}: {}", answer.1);
        assert_eq!(answer.1["error"]["details"], json!({"moderation": "output", "categories": ["hate"]}));
        assert!(!answer.1.to_string().contains("An answer"), "{}", answer.1);
    }
    let streamed = post(&stage, "/v1/responses", json!({"input": "x", "stream": true})).await?;
    assert_eq!(
        (code(&streamed), &streamed.1["error"]["param"]),
        ((400, "unsupported_parameter"), &json!("stream"))
    );
    assert_eq!(stage.calls().requests().len(), 2);
    for event in stage.usage(2).await? {
        assert_eq!(
            (&event["outcome"], &event["flags"]),
            (&json!("failed"), &json!(["moderation:output:hate"]))
        );
        assert_eq!(event["estimated"], false, "{event}");
    }
    set(&stage, json!({"text": "A fine answer."}))?;
    let (status, fine) = ask(&stage, "hate=0.9").await?;
    assert_eq!((status, &fine["output"][0]["content"][0]["text"]), (200, &json!("A fine answer.")));
    assert_eq!(moderator.shown().await?.last().map(String::as_str), Some("A fine answer.\n"));
    Ok(())
}

#[tokio::test]
async fn a_moderation_that_fails_lets_nothing_through() -> Result<()> {
    let moderator = Moderator::new("both").await?;
    let stage = moderator.stage().await?;
    for knobs in [json!({"status": 500}), json!({"refuse": "close"}), json!({"invalid_json": true})] {
        moderator.set(knobs.clone()).await?;
        let answer = ask(&stage, "Fine.").await?;
        assert_eq!(code(&answer), (503, "moderation_unavailable"), "{knobs}: {}", answer.1);
    }
    assert_eq!(stage.calls().requests().len(), 0);
    // It fails after the answer: paid for, and not shown.
    moderator.set(json!({})).await?;
    let held = json!({"wait_for_release": true, "text": "Held."});
    set(&stage, held)?;
    let asking = ask(&stage, "Fine.");
    let failing = async {
        let calls = stage.calls();
        alphagate_tests::until("the call", std::time::Duration::from_secs(30), async || {
            Ok((calls.counts().held > 0).then_some(()))
        })
        .await?;
        moderator.set(json!({"status": 503})).await?;
        stage.bed.provider().release();
        anyhow::Ok(())
    };
    let (answer, failed) = tokio::join!(asking, failing);
    failed?;
    assert_eq!(code(&answer?), (503, "moderation_unavailable"));
    let event = stage.usage(1).await?.pop().context("an event")?;
    let flags = json!(["moderation:output:unavailable"]);
    assert_eq!((&event["outcome"], &event["flags"]), (&json!("failed"), &flags));
    Ok(())
}
