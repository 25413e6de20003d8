//! `alphagate usage`: served requests, as a caller or as the publisher of what was called.

use super::reference;
use crate::{
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, dollars, text},
};
use alphagate_contract::id::{InstallId, KeyId};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;

/// What is shown of a served request.
pub(crate) const COLUMNS: [Column; 8] = [
    ("TIME", |row| text(&row["at"])),
    ("REQUEST", |row| text(&row["id"])),
    ("VERSION", |row| text(&row["version"])),
    ("OUTCOME", |row| text(&row["outcome"])),
    ("IN", |row| text(&row["input_tokens"])),
    ("OUT", |row| text(&row["output_tokens"])),
    ("COST", |row| dollars(&row["cost_micros"])),
    ("MS", |row| text(&row["total_ms"])),
];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate usage --endpoint poet --from 2026-12-01T00:00:00Z --all --json
  alphagate usage --as-publisher --endpoint haiku")]
pub(crate) struct Usage {
    /// What everybody called of the org's endpoints, not what the org called
    #[arg(long)]
    as_publisher: bool,
    /// With this key
    #[arg(long, value_name = "ID")]
    key_id: Option<KeyId>,
    /// Of this endpoint: an id, or the name of one's own
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    /// Through this install
    #[arg(long, value_name = "ID")]
    install: Option<InstallId>,
    /// From then on
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Before that
    #[arg(long, value_name = "TIME")]
    to: Option<DateTime<Utc>>,
    #[command(flatten)]
    paging: Paging,
}

impl Usage {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let mut filters: Vec<(&str, String)> = Vec::new();
        if self.as_publisher {
            filters.push(("as", "publisher".into()));
        }
        if let Some(endpoint) = &self.endpoint {
            let id = match endpoint.parse::<alphagate_contract::id::EndpointId>() {
                // It may be another org's, which cannot be read.
                Ok(id) => id.to_string(),
                Err(_) => reference::id(&reference::endpoint(&client, endpoint).await?)?.to_owned(),
            };
            filters.push(("endpoint", id));
        }
        filters.extend(self.key_id.map(|id| ("key", id.to_string())));
        filters.extend(self.install.map(|id| ("install", id.to_string())));
        filters.extend(self.from.map(|at| ("from", time(at))));
        filters.extend(self.to.map(|at| ("to", time(at))));
        let found = fetch(&client, &["v1", "usage"], &filters, Walk::Cursor, self.paging).await?;
        context.output.list(&COLUMNS, &found)
    }
}

/// A time as a query has it.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
