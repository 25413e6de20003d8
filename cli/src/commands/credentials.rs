//! `alphagate credentials`: secrets of providers, which go in and never come back.

use super::secret;
use crate::{
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, text},
};
use alphagate_contract::id::CredentialId;
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

const COLUMNS: [Column; 8] = [
    ("ID", |row| text(&row["id"])),
    ("NAME", |row| text(&row["name"])),
    ("ORIGIN", |row| text(&row["origin"])),
    ("SECRET", |row| row["last_four"].as_str().map_or_else(|| "-".into(), |end| format!("…{end}"))),
    ("CREATED", |row| text(&row["created_at"])),
    ("ROTATED", |row| text(&row["rotated_at"])),
    ("USES", |row| text(&row["uses"])),
    ("LAST USED", |row| text(&row["last_used_at"])),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Credentials {
    /// List the org's credentials
    List(Paging),
    /// Show one; never its secret
    Show {
        /// `cred_…`
        id: CredentialId,
    },
    /// Store a secret for one origin
    #[command(after_help = "\
Examples:
  alphagate credentials create openai --origin https://api.openai.com < secret.txt
  alphagate credentials create openai --origin https://api.openai.com      # asks for it")]
    Create {
        /// What it is
        name: String,
        /// The only origin that it is ever sent to
        #[arg(long, value_name = "URL")]
        origin: String,
        /// The file that it is in [default: standard input]
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Replace the secret; every version that uses it has the new one at once
    Rotate {
        /// `cred_…`
        id: CredentialId,
        /// The file that it is in [default: standard input]
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Forget a credential that nothing uses
    Delete {
        /// `cred_…`
        id: CredentialId,
    },
}

impl Credentials {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        let root = ["v1", "credentials"];
        match self {
            Self::List(paging) => {
                output.list(&COLUMNS, &fetch(&client, &root, &[], Walk::Cursor, paging).await?)
            }
            Self::Show { id } => {
                output.record(&client.get(&["v1", "credentials", &id.to_string()], &[]).await?)
            }
            Self::Create { name, origin, secret_file } => {
                let secret = secret::read(secret_file.as_deref(), "Secret: ")?;
                let body = json!({"name": name, "origin": origin, "secret": secret.reveal()});
                output.record(&client.post(&root, &body).await?)
            }
            Self::Rotate { id, secret_file } => {
                let secret = secret::read(secret_file.as_deref(), "New secret: ")?;
                let path = ["v1", "credentials", &id.to_string(), "secret"];
                output.record(&client.put(&path, &json!({"secret": secret.reveal()})).await?)
            }
            Self::Delete { id } => {
                let answer = client.delete(&["v1", "credentials", &id.to_string()]).await?;
                output.show(&answer, |_| format!("{id} is deleted"))
            }
        }
    }
}
