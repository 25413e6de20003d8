//! The loop that sends what is in the outbox: woken by this process, and by a clock for what others left behind.
//!
//! A mail is claimed by moving its next try into the future, written in a transaction that keeps its token's digest, sent
//! after that has been committed, and deleted when the server has it. So a crash at any point sends it later.

use super::{Kind, letters, letters::Letter};
use crate::{accounts, app::App, body::from_word, error::Error, members};
use alphagate_contract::id::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

/// First pause before a mail is tried again, seconds; each is twice the one before. Longer than a try may take, so that
/// nobody else begins one meanwhile.
const PAUSE_MIN_S: f64 = 120.0;
/// Longest pause, seconds.
const PAUSE_MAX_S: f64 = 600.0;
/// Tries after which nobody waits for the mail any more: about a day of them.
const ATTEMPTS_MAX: i32 = 150;

/// Runs for ever.
pub(crate) async fn run(app: App) {
    loop {
        match send_next(&app).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "mail waits for the database"),
        }
        tokio::select! {
            () = app.mailer().woken() => {}
            () = tokio::time::sleep(app.settings().mail_poll) => {}
        }
    }
}

/// Sends the mail that is due first; whether there was one.
async fn send_next(app: &App) -> Result<bool, Error> {
    let claimed: Option<(Uuid, String, Uuid, i32)> = sqlx::query_as(
        "UPDATE mails SET attempts = attempts + 1,
            due_at = now() + make_interval(secs => least($1, $2 * pow(2, least(attempts, 20))))
         WHERE id = (SELECT id FROM mails WHERE due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, kind, subject, attempts",
    )
    .bind(PAUSE_MAX_S)
    .bind(PAUSE_MIN_S)
    .fetch_optional(app.system())
    .await?;
    let Some((id, kind, subject, attempts)) = claimed else { return Ok(false) };
    let mut tx = app.system().begin().await?;
    let letter = write(app, &mut tx, from_word(&kind)?, subject).await?;
    tx.commit().await?;
    if let Some(letter) = letter
        && let Err(error) = app.mailer().send(&letter).await
    {
        tracing::warn!(error = format!("{error:#}"), kind, attempts, "a mail could not be sent");
        if attempts < ATTEMPTS_MAX {
            return Ok(true);
        }
        tracing::error!(kind, "a mail is given up");
    }
    sqlx::query("DELETE FROM mails WHERE id = $1").bind(id).execute(app.system()).await?;
    Ok(true)
}

/// Writes a mail; none if what it is about is not so any more.
async fn write(app: &App, db: &mut PgConnection, kind: Kind, subject: Uuid) -> Result<Option<Letter>, Error> {
    match kind {
        Kind::SignUp => accounts::sign_up_letter(app, db, subject).await,
        Kind::Reset => accounts::reset_letter(app, db, subject).await,
        Kind::Invitation => members::invitation_letter(app, db, subject).await,
        Kind::PasswordChanged => {
            let email = accounts::email_of(db, UserId::from_uuid(subject)).await?;
            Ok(email.map(|email| letters::password_changed(app, &email)))
        }
    }
}
