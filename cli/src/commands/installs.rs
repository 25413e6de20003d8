//! `alphagate installs`: endpoints of other orgs under names of one's own, following what is live or pinned.

use crate::{
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, text},
};
use alphagate_contract::id::{CredentialId, EndpointId, InstallId};
use clap::{Subcommand, ValueEnum};
use serde_json::json;

const COLUMNS: [Column; 5] = [
    ("ID", |row| text(&row["id"])),
    ("NAME", |row| text(&row["name"])),
    ("ENDPOINT", |row| text(&row["endpoint"])),
    ("VERSION", |row| if row["version"].is_null() { "live".into() } else { text(&row["version"]) }),
    ("PAYER", |row| text(&row["payer"])),
];

/// Who pays the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Payer {
    /// The endpoint's publisher
    Publisher,
    /// Your org, with a credential of its own
    Installer,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Installs {
    /// List the org's installs
    List(Paging),
    /// Show one
    Show {
        /// `ins_…`
        id: InstallId,
    },
    /// Install an endpoint of the catalog
    #[command(after_help = "\
Examples:
  alphagate installs create ep_0198… poet
  alphagate installs create ep_0198… poet --version 3 --payer installer --credential cred_0198…")]
    Create {
        /// `ep_…`, as the catalog shows it
        endpoint: EndpointId,
        /// The name to call it by
        name: String,
        /// Stay on this version [default: follow what is live]
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Who pays the provider, as the catalog shows it
        #[arg(long, value_enum, default_value = "publisher")]
        payer: Payer,
        /// Your credential, where you pay
        #[arg(long, value_name = "ID")]
        credential: Option<CredentialId>,
    },
    /// Stay on a version that was once live
    Pin {
        /// `ins_…`
        id: InstallId,
        /// The version
        version: u32,
    },
    /// Follow what is live
    Follow {
        /// `ins_…`
        id: InstallId,
    },
    /// Remove an install: its name calls nothing any more
    Delete {
        /// `ins_…`
        id: InstallId,
    },
}

impl Installs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        let root = ["v1", "installs"];
        match self {
            Self::List(paging) => {
                output.list(&COLUMNS, &fetch(&client, &root, &[], Walk::Cursor, paging).await?)
            }
            Self::Show { id } => output.record(&client.get(&["v1", "installs", &id.to_string()], &[]).await?),
            Self::Create { endpoint, name, version, payer, credential } => {
                let payer = payer.to_possible_value().map(|value| value.get_name().to_owned());
                let body = json!({"endpoint": endpoint, "name": name, "version": version, "payer": payer,
                    "credential": credential});
                output.record(&client.post(&root, &body).await?)
            }
            Self::Pin { id, version } => {
                let body = json!({ "version": version });
                output.record(&client.patch(&["v1", "installs", &id.to_string()], &body).await?)
            }
            Self::Follow { id } => {
                let body = json!({ "version": null });
                output.record(&client.patch(&["v1", "installs", &id.to_string()], &body).await?)
            }
            Self::Delete { id } => {
                let answer = client.delete(&["v1", "installs", &id.to_string()]).await?;
                output.show(&answer, |_| format!("{id} is deleted"))
            }
        }
    }
}
