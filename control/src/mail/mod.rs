//! Mail: an outbox in the database, and the loop that writes and sends what is in it.
//!
//! A row says only what a mail is about, and is written in the transaction of its cause. The text, and the token in it, is
//! made when it is sent: so nothing that could be stolen waits in a table, no answer waits for SMTP, and a mail that was
//! not sent is sent after a crash, with a token of its own. It may come twice; then the newer token is the one that holds.

mod courier;
pub(crate) mod letters;
mod mailer;

pub(crate) use courier::run;
pub(crate) use letters::Letter;
pub(crate) use mailer::Mailer;

use crate::{app::App, body::word, error::Error};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// How every token in a mail begins.
pub(crate) const TOKEN_PREFIX: &str = "agm_";

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A sign-up, to be confirmed.
    SignUp,
    /// A forgotten password.
    Reset,
    /// That a password was changed.
    PasswordChanged,
    /// An invitation into an org.
    Invitation,
}

/// Puts a mail into the outbox; [`Mailer::wake`] after the commit sends it at once.
pub(crate) async fn enqueue(
    app: &App,
    db: &mut PgConnection,
    kind: Kind,
    subject: Uuid,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO mails (id, kind, subject) VALUES ($1, $2, $3)")
        .bind(app.new_uuid())
        .bind(word(kind))
        .bind(subject)
        .execute(db)
        .await?;
    Ok(())
}
