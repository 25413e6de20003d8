//! `alphagate queue`: how many of the org's jobs wait, and how fast they go.

use crate::{
    context::Context,
    failure::Failure,
    table::{self, Column, text},
};
use serde_json::{Value, json};

const PRIORITIES: [Column; 3] = [
    ("PRIORITY", |row| text(&row["priority"])),
    ("WAITING", |row| text(&row["depth"])),
    ("OLDEST S", |row| (row["oldest_age_ms"].as_i64().unwrap_or_default() / 1_000).to_string()),
];

/// Asks and shows.
pub(crate) async fn show(context: &Context) -> Result<(), Failure> {
    let queue = context.client()?.get(&["v1", "queue"], &[]).await?;
    context.output.show(&queue, |queue| {
        let summary = json!({
            "queued": queue["queued"], "starting": queue["starting"], "running": queue["running"],
            "ended in the last minute": queue["throughput"]["last_minute"],
            "ended in the last hour": queue["throughput"]["last_hour"],
            "runners": queue["runners"],
        });
        let priorities = queue["priorities"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut shown = table::record(&summary);
        if priorities.iter().any(|row: &Value| row["depth"] != 0) {
            shown.push_str("\n\n");
            shown.push_str(&table::table(&PRIORITIES, priorities));
        }
        shown
    })
}
