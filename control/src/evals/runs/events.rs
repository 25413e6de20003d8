//! `GET /v1/evals/{id}/runs/{run}/events`: how a run goes on, as server-sent events. Ours: OpenAI has none.
//!
//! An event `run` carries the run's object, at first and whenever it has changed; with the end of the run the stream ends.

use super::read::find;
use crate::{app::App, error::Answer, params::Ids, principal::Evaluator};
use alphagate_contract::id::{EvalId, OrgId, RunId};
use axum::{
    extract::State,
    response::{
        IntoResponse as _,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use std::{convert::Infallible, time::Duration};

/// Shortest time between two events: a run of short items changes hundreds of times a second.
const PAUSE: Duration = Duration::from_millis(500);

/// Who watches a run.
struct Watching {
    app: App,
    org: OrgId,
    eval: EvalId,
    run: RunId,
    watch: crate::events::Watch,
    said: Option<String>,
    over: bool,
}

/// Tells how a run goes on, as server-sent events `run`, each with the run's object; with its end the stream ends.
#[utoipa::path(
    get,
    path = "/v1/evals/{id}/runs/{run}/events",
    params(("id" = EvalId, Path), ("run" = RunId, Path)),
    responses((status = 200, body = String, content_type = "text/event-stream")),
)]
pub(crate) async fn events(
    caller: Evaluator,
    State(app): State<App>,
    Ids(eval, run): Ids<EvalId, RunId>,
) -> Answer {
    let watch = app.hub().watch(run.uuid());
    let mut tx = app.tenants().begin(caller.org).await?;
    find(&app, &mut tx, caller.org, eval, run).await?;
    drop(tx);
    let watching = Watching { app, org: caller.org, eval, run, watch, said: None, over: false };
    let events = stream::unfold(watching, async |mut watching| {
        let event = watching.next().await?;
        Some((Ok::<_, Infallible>(event), watching))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

impl Watching {
    /// The next change; none when there will be no more, the run is gone, or the program stops.
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        loop {
            if self.said.is_some() {
                tokio::time::sleep(PAUSE).await;
            }
            let mut tx = self.app.tenants().begin(self.org).await.ok()?;
            let run = find(&self.app, &mut tx, self.org, self.eval, self.run).await.ok()?;
            drop(tx);
            let text = serde_json::to_string(&run).ok()?;
            if self.said.as_ref() != Some(&text) {
                self.over = run.status.is_over();
                self.said = Some(text.clone());
                return Some(Event::default().event("run").data(text));
            }
            if self.watch.is_stopping() {
                return None;
            }
            self.watch.changed().await;
        }
    }
}
