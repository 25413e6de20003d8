//! `alphagate orgs`: the orgs of a person, and which one commands act in.

use super::account::choose;
use crate::{
    config::Config,
    context::Context,
    failure::Failure,
    pages::Found,
    table::{Column, text},
};
use clap::Subcommand;
use serde_json::{Value, json};

const COLUMNS: [Column; 4] = [
    ("ID", |row| text(&row["id"])),
    ("NAME", |row| text(&row["name"])),
    ("ROLE", |row| text(&row["role"])),
    ("PERSONAL", |row| text(&row["personal"])),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Orgs {
    /// List the orgs that you are in
    List,
    /// Make an org, and own it
    Create {
        /// Its name
        name: String,
    },
    /// Act in this org from now on
    Use {
        /// Its id or name
        org: String,
    },
    /// Leave the org that commands act in
    Leave,
    /// Take an invitation
    Join {
        /// `agm_…`, as the mail has it
        token: String,
    },
}

impl Orgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        match self {
            Self::List => {
                let mut orgs = client.get(&["v1", "orgs"], &[]).await?;
                let Value::Array(data) = orgs["data"].take() else {
                    return Err(Failure::said("the server answered no list"));
                };
                output.list(&COLUMNS, &Found { data, has_more: false })
            }
            Self::Create { name } => {
                output.record(&client.post(&["v1", "orgs"], &json!({ "name": name })).await?)
            }
            Self::Use { org } => {
                let orgs = client.get(&["v1", "orgs"], &[]).await?;
                let id = choose(&orgs, Some(&org))?;
                act_in(context, id.clone())?;
                output.show(&json!({ "org": id }), |_| format!("commands act in {org} from now on"))
            }
            Self::Leave => {
                let answer = client.post(&["v1", "org", "leave"], &json!({})).await?;
                output.show(&answer, |_| "left; `alphagate orgs use` chooses another one".into())
            }
            Self::Join { token } => {
                let joined =
                    client.post(&["v1", "invitations", "accept"], &json!({ "token": token })).await?;
                output.show(&joined, |joined| {
                    let (org, role) = (text(&joined["org"]), text(&joined["role"]));
                    format!("you are in {org} as {role}; `alphagate orgs use {org}` acts in it")
                })
            }
        }
    }
}

/// Keeps the org in the profile that is used.
fn act_in(context: &Context, org: Option<String>) -> Result<(), Failure> {
    let mut config = Config::read()?;
    let name = context.global.profile.clone().or_else(|| config.current.clone());
    let profile = name.and_then(|name| config.profiles.get_mut(&name));
    let profile =
        profile.ok_or_else(|| Failure::said("nobody is logged in").hint("alphagate login --email"))?;
    profile.org = org;
    config.write().map(drop)
}
