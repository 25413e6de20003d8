//! Users and what proves that somebody is one.
//!
//! An identity is written only when it has been proved; a second factor or a foreign sign-in is a further kind of it.

use super::email::Email;
use crate::{app::App, error::Error, text::Label};
use alphagate_contract::id::UserId;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// A user as members of the same org see them.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// The name.
    pub(crate) name: String,
    /// The address that they sign in with.
    pub(crate) email: Option<String>,
}

/// Makes a user with a proved address; none if somebody has the address already.
pub(super) async fn create(
    app: &App,
    db: &mut PgConnection,
    email: &Email,
    name: &Label,
    hash: &str,
) -> Result<Option<UserId>, Error> {
    let user = app.new_id(UserId::new);
    sqlx::query("INSERT INTO users (id, name) VALUES ($1, $2)")
        .bind(user.uuid())
        .bind(name.as_str())
        .execute(&mut *db)
        .await?;
    let proved = sqlx::query(
        "INSERT INTO identities (kind, subject, user_id) VALUES ('email', $1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(email.as_str())
    .bind(user.uuid())
    .execute(&mut *db)
    .await?;
    if proved.rows_affected() == 0 {
        return Ok(None);
    }
    sqlx::query("INSERT INTO passwords (user_id, hash) VALUES ($1, $2)")
        .bind(user.uuid())
        .bind(hash)
        .execute(db)
        .await?;
    Ok(Some(user))
}

/// The user of an address, and their password's hash.
pub(super) async fn by_email(
    db: &mut PgConnection,
    email: &Email,
) -> Result<Option<(UserId, Option<String>)>, sqlx::Error> {
    let row: Option<(Uuid, Option<String>)> = sqlx::query_as(
        "SELECT i.user_id, p.hash FROM identities i LEFT JOIN passwords p ON p.user_id = i.user_id
         WHERE i.kind = 'email' AND i.subject = $1",
    )
    .bind(email.as_str())
    .fetch_optional(db)
    .await?;
    Ok(row.map(|(user, hash)| (UserId::from_uuid(user), hash)))
}

/// The hash of a user's password.
pub(super) async fn hash_of(db: &mut PgConnection, user: UserId) -> Result<Option<String>, sqlx::Error> {
    let row: Option<(String,)> = sqlx::query_as("SELECT hash FROM passwords WHERE user_id = $1")
        .bind(user.uuid())
        .fetch_optional(db)
        .await?;
    Ok(row.map(|(hash,)| hash))
}

/// Replaces a user's password, or gives them their first.
pub(super) async fn set_hash(db: &mut PgConnection, user: UserId, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO passwords (user_id, hash) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET hash = $2, changed_at = now()",
    )
    .bind(user.uuid())
    .bind(hash)
    .execute(db)
    .await?;
    Ok(())
}

/// Renames a user.
pub(super) async fn rename(db: &mut PgConnection, user: UserId, name: &Label) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE users SET name = $2 WHERE id = $1")
        .bind(user.uuid())
        .bind(name.as_str())
        .execute(db)
        .await?;
    Ok(())
}

/// Holds the user's row until the transaction ends.
pub(super) async fn lock(db: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE").bind(user.uuid()).execute(db).await?;
    Ok(())
}

/// The address that a user signs in with.
pub(crate) async fn email_of(db: &mut PgConnection, user: UserId) -> Result<Option<String>, sqlx::Error> {
    Ok(profiles(db, &[user]).await?.remove(&user).and_then(|profile| profile.email))
}

/// Names and addresses, as far as this login may see them.
pub(crate) async fn profiles(
    db: &mut PgConnection,
    users: &[UserId],
) -> Result<HashMap<UserId, Profile>, sqlx::Error> {
    let rows: Vec<(Uuid, String, Option<String>)> = sqlx::query_as(
        "SELECT u.id, u.name, i.subject FROM users u
         LEFT JOIN identities i ON i.user_id = u.id AND i.kind = 'email' WHERE u.id = ANY($1)",
    )
    .bind(users.iter().map(|user| user.uuid()).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    let profile = |(id, name, email)| (UserId::from_uuid(id), Profile { name, email });
    Ok(rows.into_iter().map(profile).collect())
}
