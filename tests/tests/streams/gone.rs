//! Callers who leave: the provider's call ends within a second, and what was reserved is settled once.

use std::time::{Duration, Instant};

use alphagate_bed::{
    Bed,
    provider::{Counts, Outcome},
};
use alphagate_tests::{Raw, Stage};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// What the issue promises.
const ABORT_MAX: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// A moment at which a caller leaves.
struct Moment {
    name: &'static str,
    stream: bool,
    knobs: Value,
    /// What the caller has read by then.
    read: &'static str,
    leave: Leave,
}

#[derive(Clone, Copy)]
enum Leave {
    /// A reset is seen at once, also in a silence.
    Reset,
    /// A plain end of the connection is seen at the next write.
    Close,
}

fn moments() -> Vec<Moment> {
    let streaming = |name, knobs, read, leave| Moment { name, stream: true, knobs, read, leave };
    let whole = |name, knobs, read| Moment { name, stream: false, knobs, read, leave: Leave::Reset };
    let slowly = || json!({"words": 1_000, "delay_event_ms": 50});
    vec![
        streaming("while it speaks", slowly(), "output_text.delta", Leave::Reset),
        streaming("while it speaks, by closing", slowly(), "output_text.delta", Leave::Close),
        streaming("before its headers", json!({"wait_for_release": true}), "", Leave::Reset),
        streaming("before its first event", json!({"silent_after_events": 0}), "\r\n\r\n", Leave::Reset),
        streaming("between events", json!({"silent_after_events": 5}), "output_text.delta", Leave::Reset),
        streaming("within an event", json!({"silent_mid_line": 5}), "output_text.delta", Leave::Reset),
        whole("before its headers", json!({"wait_for_release": true}), ""),
        whole("within its answer", json!({"hold_after_events": 1}), ""),
    ]
}

#[tokio::test]
async fn e15_a_caller_who_leaves_ends_the_providers_call_within_a_second_and_is_settled_once() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let moments = moments();
    for moment in &moments {
        leave(&stage, moment)
            .await
            .with_context(|| format!("{} (stream: {})", moment.name, moment.stream))?;
    }
    let events = stage.usage(moments.len()).await?;
    for event in &events {
        assert_eq!(
            (event["outcome"].as_str(), &event["estimated"]),
            (Some("aborted"), &json!(true)),
            "{event}"
        );
    }
    Ok(())
}

/// Calls, waits for the moment, leaves, and looks at the provider.
async fn leave(stage: &Stage, moment: &Moment) -> Result<()> {
    let body =
        json!({"model": stage.caller.name, "input": "x", "stream": moment.stream, "x_fake": moment.knobs});
    let before = stage.calls().counts();
    let mut raw = Raw::call(&stage.caller, &body.to_string()).await?;
    stage.calls().wait_until(|now| now.started > before.started, PATIENCE).await?;
    raw.read_until(moment.read).await?;
    // A provider that has begun to answer: nothing says so to a caller who waits for the whole.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let left_at = Instant::now();
    match moment.leave {
        Leave::Reset => raw.reset()?,
        Leave::Close => raw.close(),
    }
    let gone = |now: &Counts| now.aborted > before.aborted;
    stage.calls().wait_until(gone, PATIENCE).await?;
    let seen = stage.calls().requests().pop().context("no call")?;
    let Outcome::Aborted(at) = seen.outcome else { bail!("the call ended as {:?}", seen.outcome) };
    let took = at.saturating_duration_since(left_at);
    anyhow::ensure!(took <= ABORT_MAX, "the provider's call ended after {took:?}");
    Ok(())
}
