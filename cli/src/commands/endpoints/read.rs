//! Reading endpoints, versions and publications.

use crate::{
    commands::reference::{endpoint, id},
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, text},
};
use alphagate_contract::id::PublicationId;
use clap::Args;

const ENDPOINTS: [Column; 6] = [
    ("ID", |row| text(&row["id"])),
    ("NAME", |row| text(&row["name"])),
    ("LIVE", |row| text(&row["live"])),
    ("CANARY", |row| match &row["canary"] {
        canary if canary.is_object() => format!("{} at {}%", canary["version"], canary["percent"]),
        _ => "-".into(),
    }),
    ("VISIBILITY", |row| text(&row["visibility"])),
    ("WITHDRAWN", |row| text(&row["withdrawn_at"])),
];

const VERSIONS: [Column; 3] = [
    ("VERSION", |row| text(&row["version"])),
    ("CREATED", |row| text(&row["created_at"])),
    ("FIRST LIVE", |row| text(&row["first_live_at"])),
];

const PUBLICATIONS: [Column; 6] = [
    ("ID", |row| text(&row["id"])),
    ("VERSION", |row| text(&row["version"])),
    ("CANARY", |row| text(&row["canary_percent"])),
    ("STATE", |row| text(&row["state"])),
    ("REASON", |row| text(&row["reason"])),
    ("CREATED", |row| text(&row["created_at"])),
];

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    paging: Paging,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let found = fetch(&client, &["v1", "endpoints"], &[], Walk::Cursor, self.paging).await?;
        context.output.list(&ENDPOINTS, &found)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its id or name
    endpoint: String,
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        context.output.record(&endpoint(&client, &self.endpoint).await?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Versions {
    /// Its id or name
    endpoint: String,
    /// Show this version with its configuration
    version: Option<u32>,
    /// Show how this other version becomes it, as a JSON Patch
    #[arg(long, value_name = "N", requires = "version")]
    against: Option<u32>,
    #[command(flatten)]
    paging: Paging,
}

impl Versions {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let endpoint = endpoint(&client, &self.endpoint).await?;
        let path = ["v1", "endpoints", id(&endpoint)?, "versions"];
        let Some(version) = self.version else {
            return context
                .output
                .list(&VERSIONS, &fetch(&client, &path, &[], Walk::Cursor, self.paging).await?);
        };
        let number = version.to_string();
        let [root, endpoints, endpoint, versions] = path;
        if let Some(against) = self.against {
            let path = [root, endpoints, endpoint, versions, &number, "diff"];
            let diff = client.get(&path, &[("against", against.to_string())]).await?;
            return context.output.document(&diff);
        }
        let version = client.get(&[root, endpoints, endpoint, versions, &number], &[]).await?;
        // A configuration is a tree: JSON shows it to people, too.
        context.output.document(&version)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Publications {
    /// Its id or name
    endpoint: String,
    /// Show this publication with what became of each eval
    publication: Option<PublicationId>,
    /// Cancel it, if it is running
    #[arg(long, requires = "publication")]
    cancel: bool,
    #[command(flatten)]
    paging: Paging,
}

impl Publications {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let endpoint = endpoint(&client, &self.endpoint).await?;
        let (root, endpoint) = (["v1", "endpoints"], id(&endpoint)?);
        let path = [root[0], root[1], endpoint, "publications"];
        let Some(publication) = self.publication.map(|id| id.to_string()) else {
            let found = fetch(&client, &path, &[], Walk::Cursor, self.paging).await?;
            return context.output.list(&PUBLICATIONS, &found);
        };
        let path = ["v1", "endpoints", endpoint, "publications", &publication];
        let found = match self.cancel {
            true => client.post_once(&[path.as_slice(), &["cancel"]].concat()).await?,
            false => client.get(&path, &[]).await?,
        };
        context.output.document(&found)
    }
}
