//! Retries on one target, the deadline, the silence before the first content, and breakers that close again.

use std::time::Duration;

use alphagate_bed::{Bed, Options};
use alphagate_tests::read_events;
use anyhow::Result;
use serde_json::json;

use crate::{A_MAX_MS, Pair, bed};

const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than a breaker's first pause, and than its longest.
const PAUSES_MS: [i64; 2] = [11_000, 301_000];

#[tokio::test]
async fn after_its_pause_one_probe_is_sent_and_its_content_closes_the_breaker() -> Result<()> {
    // Its clock is moved: nobody else may be on it.
    let own = Bed::start(Options::default().with_knobs()).await?;
    let own: &'static Bed = Box::leak(Box::new(own));
    let pair = Pair::new(own, json!({}), json!({})).await?;
    pair.manners(json!({"status": 500}), json!({})).await?;
    for _ in 0..4 {
        pair.ask(true).await?.assert_from('B', "A is ill");
    }
    assert_eq!(pair.calls_of_a().counts().started, 3);

    own.shift_edge_clock(PAUSES_MS[0]).await?;
    pair.ask(true).await?.assert_from('B', "the probe fails");
    pair.ask(true).await?.assert_from('B', "open again");
    assert_eq!(pair.calls_of_a().counts().started, 4, "one probe");

    own.shift_edge_clock(PAUSES_MS[0] + PAUSES_MS[1]).await?;
    // While a probe is under way, others are served by B.
    pair.manners(json!({"wait_for_release": true}), json!({})).await?;
    let probe = pair.ask(false);
    let others = async {
        pair.calls_of_a().wait_until(|counts| counts.held == 1, PATIENCE).await?;
        pair.ask(false).await?.assert_from('B', "a probe is under way");
        own.provider().release();
        anyhow::Ok(())
    };
    let (probe, others) = tokio::join!(probe, others);
    others?;
    // The head of a whole answer comes with it: the probe may take as long as A is given.
    drop(probe?);
    pair.manners(json!({}), json!({})).await?;
    own.shift_edge_clock(PAUSES_MS[0] + 2 * PAUSES_MS[1]).await?;
    pair.ask(true).await?.assert_from('A', "it is well again");
    pair.ask(true).await?.assert_from('A', "for everybody");
    Ok(())
}

#[tokio::test]
async fn a_target_is_asked_again_as_often_as_the_version_says() -> Result<()> {
    for stream in [true, false] {
        let pair = Pair::new(bed().await?, json!({"retries": 2}), json!({})).await?;
        pair.manners(json!({"status": 500}), json!({})).await?;
        let heard = pair.ask(stream).await?;
        heard.assert_from('B', "after A's retries");
        assert_eq!(heard.attempts.as_deref(), Some("4; 0=status_500, 0=status_500, 0=status_500"));
        assert_eq!(pair.calls_of_a().counts().started, 3);
    }
    Ok(())
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_and_a_long_one_is_not() -> Result<()> {
    for (seconds, calls) in [("1", 2), ("30", 1)] {
        let pair = Pair::new(bed().await?, json!({"retries": 1}), json!({})).await?;
        pair.manners(json!({"status": 429, "retry_after": seconds}), json!({})).await?;
        pair.ask(true).await?.assert_from('B', seconds);
        assert_eq!(pair.calls_of_a().counts().started, calls, "retry-after: {seconds}");
    }
    Ok(())
}

#[tokio::test]
async fn keep_alives_go_out_while_targets_are_tried_and_a_final_failure_is_events() -> Result<()> {
    static IMPATIENT: tokio::sync::OnceCell<Bed> = tokio::sync::OnceCell::const_new();
    let options = Options::default().edge_var("AG_KEEPALIVE_MS", 100);
    let impatient = IMPATIENT.get_or_try_init(|| Bed::start(options)).await?;
    let pair = Pair::new(impatient, json!({}), json!({})).await?;
    pair.manners(json!({"delay_headers_ms": 10 * A_MAX_MS}), json!({})).await?;
    let heard = pair.ask(true).await?;
    assert!(heard.body.starts_with(": keep-alive\n\n") && heard.body.contains("from B"), "{heard:?}");
    assert_eq!(heard.target.as_deref(), Some("0"), "the headers say what was known then");
    let event = pair.usage_of(&heard).await?;
    assert_eq!((&event["target"], &event["passed_over"]), (&json!(1), &json!(["0=timeout"])));

    pair.manners(json!({"delay_headers_ms": 10 * A_MAX_MS}), json!({"status": 500})).await?;
    let heard = pair.ask(true).await?;
    let events = read_events(heard.body.as_bytes());
    let kinds: Vec<String> =
        events.iter().map(|event| event.json()["type"].as_str().unwrap_or(&event.data).to_owned()).collect();
    assert_eq!(kinds, ["response.created", "error", "response.failed", "[DONE]"]);
    assert_eq!(events[1].json()["code"], "upstream_error");
    assert_eq!(pair.org().admin.usage().await?.len(), 1, "the second request cost nothing");
    Ok(())
}

#[tokio::test]
async fn a_preamble_is_shown_once_byte_for_byte_and_by_the_target_that_goes_on() -> Result<()> {
    let pair = Pair::new(bed().await?, json!({}), json!({})).await?;
    let straight = pair.ask(true).await?;
    straight.assert_from('A', "A is well");
    pair.manners(json!({"truncate_after_events": 4}), json!({"chunk_bytes": 7})).await?;
    let heard = pair.ask(true).await?;
    heard.assert_from('B', "A dies in its preamble");
    let kinds = |body: &str| -> Vec<String> {
        read_events(body.as_bytes()).iter().map(|event| event.name.clone()).collect()
    };
    assert_eq!(kinds(&heard.body), kinds(&straight.body));
    let numbers: Vec<_> = read_events(heard.body.as_bytes())
        .iter()
        .map(|event| event.json()["sequence_number"].clone())
        .collect();
    assert_eq!(numbers, (0..numbers.len()).map(|at| json!(at)).collect::<Vec<_>>());
    Ok(())
}
