//! `alphagate endpoints logs`: an endpoint's served requests, oldest first, and on as they come.
//!
//! Control has no stream of them, so following asks again and again. The edge hands them over in batches, a little late
//! and not in order: what came within the last minutes is asked for each time, and shown once.

use crate::{
    client::Client,
    commands::{
        reference::{endpoint, id},
        usage::{COLUMNS, time},
    },
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table,
};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::Value;
use std::{collections::HashSet, time::Duration};

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);
/// How late a request may come to light: the edge's ledger hands over within seconds, unless control was away.
const LATE_MAX: TimeDelta = TimeDelta::minutes(10);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate endpoints logs haiku --follow
  alphagate endpoints logs haiku --tail 100 --json")]
pub(crate) struct Logs {
    /// Its id or name
    endpoint: String,
    /// How many of the newest to begin with
    #[arg(long, value_name = "N", default_value_t = 20)]
    tail: u32,
    /// Go on as they come, until interrupted
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let endpoint = endpoint(&client, &self.endpoint).await?;
        // The publisher's side: calls of every org.
        let filters = vec![("as", "publisher".to_owned()), ("endpoint", id(&endpoint)?.to_owned())];
        let paging = Paging::first(self.tail.max(1));
        let mut newest = fetch(&client, &["v1", "usage"], &filters, Walk::Cursor, paging).await?.data;
        let mut shown = Shown::default();
        let since = shown.note(&newest).unwrap_or_default();
        newest.truncate(self.tail as usize);
        show(context, newest, true)?;
        if !self.follow {
            return Ok(());
        }
        let mut since = since;
        loop {
            tokio::time::sleep(PAUSE).await;
            let found = since_then(&client, &filters, since).await?;
            let fresh = shown.fresh(found);
            since = shown.note(&fresh).unwrap_or(since).max(since);
            show(context, fresh, false)?;
        }
    }
}

async fn since_then(
    client: &Client,
    filters: &[(&str, String)],
    since: DateTime<Utc>,
) -> Result<Vec<Value>, Failure> {
    let mut filters = filters.to_vec();
    filters.push((
        "from",
        time(since.checked_sub_signed(LATE_MAX).unwrap_or_default().max(DateTime::UNIX_EPOCH)),
    ));
    Ok(fetch(client, &["v1", "usage"], &filters, Walk::Cursor, Paging::EVERY).await?.data)
}

/// What was shown, so that it is shown once.
#[derive(Debug, Default)]
struct Shown {
    ids: HashSet<String>,
    /// From then on there may be more; what is older was there before the first look.
    from: DateTime<Utc>,
}

impl Shown {
    /// Notes these, and answers the time of the newest.
    fn note(&mut self, events: &[Value]) -> Option<DateTime<Utc>> {
        self.ids.extend(events.iter().filter_map(|event| Some(event["id"].as_str()?.to_owned())));
        let times: Vec<DateTime<Utc>> = events.iter().filter_map(at).collect();
        if self.from == DateTime::<Utc>::default() {
            self.from = times.iter().min().copied().unwrap_or_default();
        }
        times.into_iter().max()
    }

    /// Those that were not shown.
    fn fresh(&self, events: Vec<Value>) -> Vec<Value> {
        let is_fresh = |event: &Value| {
            let id = event["id"].as_str().unwrap_or_default();
            !self.ids.contains(id) && at(event).is_some_and(|at| at >= self.from)
        };
        events.into_iter().filter(is_fresh).collect()
    }
}

fn at(event: &Value) -> Option<DateTime<Utc>> {
    event["at"].as_str()?.parse().ok()
}

/// Oldest first; for programs a line each.
fn show(context: &Context, mut events: Vec<Value>, header: bool) -> Result<(), Failure> {
    events.reverse();
    if context.output.is_json() {
        return events.iter().try_for_each(|event| context.output.text(&event.to_string()));
    }
    if header {
        return context.output.text(&table::table(&COLUMNS, &events));
    }
    for event in &events {
        let cells: Vec<String> = COLUMNS.iter().map(|(_, show)| show(event)).collect();
        context.output.text(&cells.join("  "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(id: &str, second: u32) -> Value {
        json!({"id": id, "at": format!("2026-01-01T00:00:{second:02}Z")})
    }

    #[test]
    fn a_request_is_shown_once_even_if_it_comes_late() {
        let mut shown = Shown::default();
        let newest = shown.note(&[event("c", 30), event("b", 20)]);
        assert_eq!(newest, "2026-01-01T00:00:30Z".parse().ok());
        let fresh = shown.fresh(vec![event("d", 40), event("late", 25), event("c", 30), event("a", 10)]);
        let ids: Vec<_> = fresh.iter().map(|event| event["id"].as_str().unwrap_or_default()).collect();
        assert_eq!(ids, ["d", "late"], "what is older than the tail was left out on purpose");
        shown.note(&fresh);
        assert!(shown.fresh(vec![event("late", 25)]).is_empty());
    }
}
