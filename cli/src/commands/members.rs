//! `alphagate members`: who is in the org, as what, and who is asked to be.

use crate::{
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, text},
};
use clap::Subcommand;
use serde_json::{Value, json};

const MEMBERS: [Column; 5] = [
    ("ID", |row| text(&row["id"])),
    ("NAME", |row| text(&row["name"])),
    ("E-MAIL", |row| text(&row["email"])),
    ("ROLE", |row| text(&row["role"])),
    ("SINCE", |row| text(&row["created_at"])),
];

const INVITATIONS: [Column; 5] = [
    ("ID", |row| text(&row["id"])),
    ("E-MAIL", |row| text(&row["email"])),
    ("ROLE", |row| text(&row["role"])),
    ("EXPIRES", |row| text(&row["expires_at"])),
    ("STATE", state),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Members {
    /// List the org's members
    List(Paging),
    /// Ask somebody by mail
    #[command(after_help = "Example:\n  alphagate members invite grace@example.org --role developer")]
    Invite {
        /// Where the mail goes
        email: String,
        /// owner, admin, developer, viewer, teacher, student or parent
        #[arg(long)]
        role: String,
    },
    /// List those who were asked
    Invitations(Paging),
    /// Take an invitation back
    Uninvite {
        /// The invitation's id
        id: String,
    },
    /// Give a member another role
    Role {
        /// `usr_…`
        id: String,
        /// owner, admin, developer, viewer, teacher, student or parent
        role: String,
    },
    /// Take a member out of the org
    Remove {
        /// `usr_…`
        id: String,
    },
}

impl Members {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        match self {
            Self::List(paging) => {
                output.list(&MEMBERS, &fetch(&client, &["v1", "members"], &[], Walk::Cursor, paging).await?)
            }
            Self::Invite { email, role } => {
                let body = json!({"email": email, "role": role});
                output.record(&client.post(&["v1", "invitations"], &body).await?)
            }
            Self::Invitations(paging) => {
                let found = fetch(&client, &["v1", "invitations"], &[], Walk::Cursor, paging).await?;
                output.list(&INVITATIONS, &found)
            }
            Self::Uninvite { id } => {
                let answer = client.delete(&["v1", "invitations", &id]).await?;
                output.show(&answer, |_| format!("{id} is taken back"))
            }
            Self::Role { id, role } => {
                output.record(&client.patch(&["v1", "members", &id], &json!({ "role": role })).await?)
            }
            Self::Remove { id } => {
                let answer = client.delete(&["v1", "members", &id]).await?;
                output.show(&answer, |_| format!("{id} is no member any more"))
            }
        }
    }
}

fn state(invitation: &Value) -> String {
    let word = if !invitation["accepted_at"].is_null() {
        "accepted"
    } else if !invitation["revoked_at"].is_null() {
        "taken back"
    } else {
        "open"
    };
    word.to_owned()
}
