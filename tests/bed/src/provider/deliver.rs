//! An answer on its way, with the faults that were asked for.
//!
//! Invariant: every end is told apart: written to its end, ended by a knob, or the client hung up.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::answer::{Answer, Event};
use super::knobs::Knobs;
use super::ledger::Entry;
use super::sse;
use super::wire::Wire;

/// What became of the answer, and with it of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Written to its end: the connection may serve the next request.
    Complete,
    /// A knob wants the connection reset.
    Reset,
    /// A knob ended the answer too early, by HTTP's rules.
    Truncated,
    /// A knob ended the answer too early, against HTTP's rules: the connection must close.
    Cut,
}

/// The end of an answer, or `None`: the client has hung up.
type Fate = Option<End>;

/// One answer with what it needs on its way.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) knobs: &'a Knobs,
    pub(super) entry: &'a mut Entry,
    pub(super) release: watch::Receiver<u64>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Delivery<'_> {
    /// Waits, client watched, until the next release.
    pub(super) async fn hold(&mut self, connection: &mut super::connection::Connection) -> Option<()> {
        // In this order: who sees the call held may release it at once.
        self.release.mark_unchanged();
        self.entry.hold(true);
        let released = connection.unless_gone(self.release.changed()).await;
        self.entry.hold(false);
        released.map(|_| ())
    }

    /// The events, one write each or as small as the knobs want.
    pub(super) async fn stream(mut self, mut wire: Wire<'_>, answer: &Answer) -> Fate {
        self.headers.push(("content-type", "text/event-stream; charset=utf-8".to_owned()));
        self.headers.push(("cache-control", "no-store".to_owned()));
        wire.head("200 OK", &self.headers).await?;
        let count = answer.events.len();
        for (index, event) in answer.events.iter().enumerate() {
            if let Some(end) = self.fault_before(index, event, &mut wire).await? {
                return Some(self.close(end, wire).await);
            }
            let bytes = sse::encode(event, self.knobs, index == 0, index + 1 == count);
            wire.body(&bytes).await?;
            if let Some(delay_ms) = self.knobs.delay_event_ms {
                wire.connection().unless_gone(sleep(Duration::from_millis(delay_ms))).await?;
            }
        }
        if let Some(end) = self.fault_after_all(count, &mut wire).await? {
            return Some(self.close(end, wire).await);
        }
        if self.knobs.done_marker.unwrap_or(answer.done_marker) {
            wire.body(&sse::done_marker(self.knobs)).await?;
        }
        wire.end().await?;
        Some(End::Complete)
    }

    /// The whole answer as one JSON body.
    pub(super) async fn whole(mut self, mut wire: Wire<'_>, answer: &Answer) -> Fate {
        self.headers.push(("content-type", "application/json".to_owned()));
        let mut body = answer.whole.to_string();
        if Knobs::on(self.knobs.invalid_json) {
            body.truncate(body.len().min(1));
            body.push_str(" not json");
        }
        wire.head(&status_line(answer.status), &self.headers).await?;
        let (half, rest) = body.as_bytes().split_at(body.len() / 2);
        wire.body(half).await?;
        let knobs = self.knobs;
        if knobs.reset_after_events.is_some() {
            return Some(End::Reset);
        }
        if knobs.truncate_after_events.is_some() {
            return Some(End::Cut);
        }
        if knobs.silent_after_events.is_some() || knobs.silent_mid_line.is_some() {
            return wire.connection().unless_gone(std::future::pending()).await;
        }
        if knobs.hold_after_events.is_some() {
            self.hold(wire.connection()).await?;
        }
        wire.body(rest).await?;
        wire.end().await?;
        Some(End::Complete)
    }

    async fn fault_before(
        &mut self,
        index: usize,
        event: &Event,
        wire: &mut Wire<'_>,
    ) -> Option<Option<End>> {
        if hits(self.knobs.silent_mid_line, index) {
            let bytes = sse::encode(event, self.knobs, index == 0, false);
            wire.body(bytes.get(..bytes.len() / 2).unwrap_or_default()).await?;
            wire.connection().unless_gone(std::future::pending::<()>()).await?;
        }
        self.fault_after_all(index, wire).await
    }

    /// Faults that come after `sent` events.
    async fn fault_after_all(&mut self, sent: usize, wire: &mut Wire<'_>) -> Option<Option<End>> {
        if hits(self.knobs.hold_after_events, sent) {
            self.hold(wire.connection()).await?;
        }
        if hits(self.knobs.silent_after_events, sent) {
            wire.connection().unless_gone(std::future::pending::<()>()).await?;
        }
        if hits(self.knobs.reset_after_events, sent) {
            return Some(Some(End::Reset));
        }
        if hits(self.knobs.truncate_after_events, sent) {
            return Some(Some(End::Truncated));
        }
        Some(None)
    }

    async fn close(&self, end: End, wire: Wire<'_>) -> End {
        if end == End::Truncated && wire.end().await.is_none() {
            return End::Cut;
        }
        end
    }
}

fn hits(knob: Option<u32>, index: usize) -> bool {
    knob.is_some_and(|after| usize::try_from(after) == Ok(index))
}

/// The status as it stands in the first line.
pub(super) fn status_line(status: u16) -> String {
    format!("{status} {}", if status == 200 { "OK" } else { "Fault" })
}
