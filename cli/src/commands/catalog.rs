//! `alphagate catalog`: what other orgs offer, for `installs create`.

use crate::{
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, text},
};
use clap::Args;

const COLUMNS: [Column; 6] = [
    ("ENDPOINT", |row| text(&row["endpoint"])),
    ("NAME", |row| text(&row["name"])),
    ("PUBLISHER", |row| text(&row["publisher"]["name"])),
    ("VERSION", |row| text(&row["version"])),
    ("PAYER", |row| text(&row["installs"]["payer"])),
    ("DESCRIPTION", |row| text(&row["description"])),
];

#[derive(Debug, Args)]
pub(crate) struct Catalog {
    /// Words, or their beginnings, of a name, a description or a publisher's name
    search: Option<String>,
    /// Only endpoints with this tag
    #[arg(long)]
    tag: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

impl Catalog {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let filters = [("q", self.search), ("tag", self.tag)];
        let filters: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let found =
            fetch(&context.client()?, &["v1", "catalog"], &filters, Walk::Cursor, self.paging).await?;
        context.output.list(&COLUMNS, &found)
    }
}
