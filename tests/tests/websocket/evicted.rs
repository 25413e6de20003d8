//! What the platform may take away under an open connection: the org's object, and the isolate with the connection.

use alphagate_bed::{Bed, Options};
use alphagate_tests::Stage;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::socket::Socket;
use crate::{last_sent, speaking};

fn continuing(response: &Value, text: &str) -> Value {
    json!({"store": false, "previous_response_id": response["id"], "input": text})
}

#[tokio::test]
async fn an_org_object_that_is_evicted_between_two_turns_admits_and_counts_the_next() -> Result<()> {
    let stage = speaking("chat", json!({})).await?;
    let mut socket = Socket::open(&stage.caller).await?;
    let one = json!({"store": false, "input": "Remember cobalt."});
    let one = socket.completed(&stage.caller, one).await?;
    ensure!(stage.bed.evict_object(&stage.org.id).await?, "the org's object was not in memory");
    let two = socket.completed(&stage.caller, continuing(&one, "Which word?")).await?;
    assert_eq!(two["previous_response_id"], one["id"]);
    assert!(last_sent(&stage)?.contains("Remember cobalt."));
    stage.usage(2).await?;
    Ok(())
}

#[tokio::test]
async fn an_isolate_that_dies_takes_the_connection_and_what_was_only_remembered_but_nothing_kept()
-> Result<()> {
    let bed: &'static Bed = Box::leak(Box::new(Bed::start(Options::default()).await?));
    let stage = Stage::new(bed, json!({"retain": {"days": 1}})).await?;
    let caller = &stage.caller;
    let mut socket = Socket::open(caller).await?;
    let kept = socket.completed(caller, json!({"input": "Remember cobalt."})).await?;
    let remembered = socket.completed(caller, continuing(&kept, "And teal.")).await?;
    // What has not been settled when workerd dies is charged when its reservation ends, minutes later.
    stage.usage(2).await?;
    bed.restart_edge().await?;
    assert_eq!(socket.next().await?, None, "the caller sees that the connection has ended");
    let mut again = Socket::open(caller).await?;
    let lost = again.refused(caller, continuing(&remembered, "Which words?")).await?;
    assert_eq!((lost.0, lost.1.as_str()), (400, "previous_response_not_found"));
    again.completed(caller, continuing(&kept, "Which word?")).await?;
    let sent = last_sent(&stage)?;
    assert!(sent.contains("Remember cobalt.") && !sent.contains("And teal."), "{sent}");
    stage.usage(3).await?;
    Ok(())
}
