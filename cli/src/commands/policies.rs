//! `alphagate policies`: what versions demand of requests and answers, from files.

use super::reference::{self, id};
use crate::{
    client::Client,
    context::Context,
    document::{Assignment, Document},
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{self, Column, text},
};
use alphagate_contract::id::PolicyId;
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;

const COLUMNS: [Column; 5] = [
    ("ID", |row| text(&row["id"])),
    ("NAME", |row| text(&row["name"])),
    ("REVISION", |row| text(&row["revision"])),
    ("CHANGED", |row| text(&row["changed_at"])),
    ("DESCRIPTION", |row| text(&row["description"])),
];
const PRESETS: [Column; 2] =
    [("NAME", |row| text(&row["name"])), ("DESCRIPTION", |row| text(&row["description"]))];

#[derive(Debug, Subcommand)]
pub(crate) enum Policies {
    /// List the org's policies
    List(Paging),
    /// Show one, with what it says
    Show {
        /// Its name, or `pol_…`
        policy: String,
        /// What an earlier revision says [default: the newest]
        #[arg(long, value_name = "NUMBER")]
        revision: Option<u32>,
    },
    /// Make what a file says be so: a policy, or its next revision; a second time nothing happens
    #[command(after_help = "\
Example:
  alphagate policies apply -f school.yaml
with
  name: school
  preset: 6-8
  policy: {retention: {max_days: 1}}")]
    Apply {
        /// YAML or JSON: `name`, and `preset`, `policy` or both; `-` is standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Set a member of the document: `policy.retention.max_days=0`
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<Assignment>,
    },
    /// List what a policy can be made from
    Presets,
    /// Delete a policy that no version refers to
    Delete {
        /// Its name, or `pol_…`
        policy: String,
    },
}

impl Policies {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        match self {
            Self::List(paging) => {
                output.list(&COLUMNS, &fetch(&client, &["v1", "policies"], &[], Walk::Cursor, paging).await?)
            }
            Self::Show { policy, revision } => {
                let id = find(&client, &policy).await?;
                let number = revision.map(|number| number.to_string());
                let mut path = vec!["v1", "policies", &id];
                path.extend(number.iter().flat_map(|number| ["revisions", number.as_str()]));
                output.record(&client.get(&path, &[]).await?)
            }
            Self::Apply { file, set } => {
                let document = Document::read(&file, &set)?;
                let (said, policy) = apply(&client, document).await?;
                output.show(&policy, |_| said)
            }
            Self::Presets => {
                let answer = client.get(&["v1", "policies", "presets"], &[]).await?;
                output.show(&answer, |answer| {
                    table::table(&PRESETS, answer["data"].as_array().map(Vec::as_slice).unwrap_or_default())
                })
            }
            Self::Delete { policy } => {
                let id = find(&client, &policy).await?;
                let answer = client.delete(&["v1", "policies", &id]).await?;
                output.show(&answer, |_| format!("{policy} is deleted"))
            }
        }
    }
}

/// The id of the policy of this id or name.
async fn find(client: &Client, wanted: &str) -> Result<String, Failure> {
    if wanted.parse::<PolicyId>().is_ok() {
        return Ok(wanted.to_owned());
    }
    let found = reference::policies(client).await?.into_iter().find(|policy| policy["name"] == wanted);
    let missing = || {
        Failure::said(format!("there is no policy `{wanted}` in your org"))
            .hint("alphagate policies list --all")
    };
    id(&found.ok_or_else(missing)?).map(str::to_owned)
}

/// Makes the policy or its next revision; gives what was done, and what there is now.
async fn apply(client: &Client, document: Document) -> Result<(String, Value), Failure> {
    let name = document.text("name")?.to_owned();
    let known = reference::policies(client).await?.into_iter().find(|policy| policy["name"] == *name);
    let Some(known) = known else {
        let made = client.post(&["v1", "policies"], &document.value).await;
        let made = made.map_err(|failure| document.locate("", failure))?;
        return Ok((format!("{name} is made"), made));
    };
    let mut body = document.value.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("name");
        body.entry("expected_revision").or_insert_with(|| json!(known["revision"]));
    }
    let made = client.post(&["v1", "policies", id(&known)?, "revisions"], &body).await;
    let made = made.map_err(|failure| document.locate("", failure))?;
    let done = if made["revision"] == known["revision"] { "is as the file says" } else { "is made" };
    Ok((format!("{name}: revision {} {done}", text(&made["revision"])), made))
}
