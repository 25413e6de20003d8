//! `alphagate keys`: API keys. The text of a key is shown once, when it is made.

use super::duration::seconds;
use crate::{
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, text},
};
use alphagate_contract::id::KeyId;
use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

const COLUMNS: [Column; 6] = [
    ("ID", |key| text(&key["id"])),
    ("NAME", |key| text(&key["name"])),
    ("SCOPES", |key| text(&key["scopes"])),
    ("MODE", |key| text(&key["mode"])),
    ("LAST USED", |key| text(&key["last_used_at"])),
    ("STATE", state),
];

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// Call endpoints at the edge
    Call,
    /// Everything of the org but what has a scope of its own
    Admin,
    /// Jobs, evals, files and graders
    Evals,
    /// Say what an endpoint's gate demands
    Gate,
    /// Move a live pointer past the gate
    Force,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// List the org's keys, newest first
    List(Paging),
    /// Show one key; never its text
    Show {
        /// `key_…`
        id: KeyId,
    },
    /// Make a key, and show its text for the only time
    #[command(after_help = "\
Examples:
  alphagate keys create laptop --scope call
  alphagate keys create ci --scope admin --scope evals --json | jq -r .secret")]
    Create {
        /// What it is for
        name: String,
        /// What it may do; more than once for more
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        /// A key for tests: `ag_test_…`
        #[arg(long)]
        test: bool,
        /// When it ends, such as 2027-01-31T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Make a successor; the old key goes on for a while
    Rotate {
        /// `key_…`
        id: KeyId,
        /// How long the old key goes on: 0, 15m, 12h, 7d; at most 30d
        #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = seconds)]
        overlap: u64,
        /// When the new key ends
        #[arg(long, value_name = "TIME")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// End a key, for good
    Revoke {
        /// `key_…`
        id: KeyId,
    },
}

impl Keys {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        let path = |id: KeyId| id.to_string();
        match self {
            Self::List(paging) => {
                output.list(&COLUMNS, &fetch(&client, &["v1", "keys"], &[], Walk::Cursor, paging).await?)
            }
            Self::Show { id } => output.record(&client.get(&["v1", "keys", &path(id)], &[]).await?),
            Self::Create { name, scopes, test, expires_at } => {
                let scopes: Vec<String> = scopes.iter().filter_map(word).collect();
                let mode = if test { "test" } else { "live" };
                let body = json!({"name": name, "scopes": scopes, "mode": mode, "expires_at": expires_at});
                minted(context, &client.post(&["v1", "keys"], &body).await?)
            }
            Self::Rotate { id, overlap, expires_at } => {
                let body = json!({"overlap_s": overlap, "expires_at": expires_at});
                minted(context, &client.post(&["v1", "keys", &path(id), "rotate"], &body).await?)
            }
            Self::Revoke { id } => {
                let key = client.delete(&["v1", "keys", &path(id)]).await?;
                output.show(&key, |key| match key["enforced"] == true {
                    true => format!("{id} is revoked: the edge refuses it from now on"),
                    false => format!("{id} is revoked; the edge will be told as soon as it can be reached"),
                })
            }
        }
    }
}

fn word(scope: &Scope) -> Option<String> {
    Some(scope.to_possible_value()?.get_name().to_owned())
}

fn minted(context: &Context, key: &Value) -> Result<(), Failure> {
    context.output.record(key)?;
    if !context.output.is_json() {
        context.output.note("the secret is shown this once: keep it where secrets are kept");
    }
    Ok(())
}

fn state(key: &Value) -> String {
    let word = if !key["revoked_at"].is_null() {
        "revoked"
    } else if !key["replaced_by"].is_null() {
        "replaced"
    } else {
        "active"
    };
    word.to_owned()
}
