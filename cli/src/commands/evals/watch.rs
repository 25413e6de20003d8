//! Watching a run to its end, event by event. An interruption stops the run: it costs money.

use crate::{client::Client, context::Context, failure::Failure, follow::follow, progress::Bar};
use serde_json::Value;
use std::ops::ControlFlow;

/// The run once it has ended.
pub(super) async fn watch(
    context: &Context,
    client: &Client,
    eval: &str,
    run: &str,
) -> Result<Value, Failure> {
    let bar = Bar::new(context.output);
    let path = ["v1", "evals", eval, "runs", run, "events"];
    let to_the_end = follow(client, &path, |event| {
        let Some(data) = event.data.as_deref().filter(|_| event.event.as_deref() == Some("run")) else {
            return Ok(ControlFlow::Continue(()));
        };
        let run: Value = serde_json::from_str(data)
            .map_err(|error| Failure::said(format!("an event of the run is no JSON: {error}")))?;
        show(&bar, &run);
        Ok(if is_over(&run) { ControlFlow::Break(run) } else { ControlFlow::Continue(()) })
    });
    tokio::select! {
        ended = to_the_end => ended,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            client.post_once(&["v1", "evals", eval, "runs", run, "cancel"]).await
        }
    }
}

fn is_over(run: &Value) -> bool {
    matches!(run["status"].as_str(), Some("completed" | "failed" | "canceled"))
}

fn show(bar: &Bar, run: &Value) {
    let progress = &run["alphagate"]["progress"];
    let count = |name: &str| progress[name].as_u64().unwrap_or_default();
    let counts = &run["result_counts"];
    let message =
        format!("{} passed, {} failed, {} errored", counts["passed"], counts["failed"], counts["errored"]);
    bar.show(count("ended"), count("total"), message);
}
