//! `POST /v1/auth/forgot` and `POST /v1/auth/reset`: a new password for whoever reads the account's mail.
//!
//! Asking writes the same row for every address; whether there is an account is looked at when the mail is written. A
//! reset ends every session, and its token is used up with all others of the account.

use super::{
    Email, Limit, csrf::NotCrossSite, password::Password, sessions, sign_in::take_by_address,
    sign_up::Mailed, throttle, token::Token, users,
};
use crate::{
    app::App,
    body::Body,
    error::{Answer, Error},
    mail::{self, Kind, Letter},
    origin::Origin,
};
use alphagate_contract::problem::Code;
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// The request of somebody who has forgotten their password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ForgottenPassword)]
pub(crate) struct Forgotten {
    email: Email,
}

/// The request to set a new one.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordReset)]
pub(crate) struct Reset {
    token: String,
    password: Password,
}

/// Asks for the mail with which a new password is set. The answer is the same whether there is an account or not.
#[utoipa::path(
    post,
    path = "/v1/auth/forgot",
    request_body(content = Forgotten, example = json!({"email": "ada@example.org"})),
    responses((status = 202, body = Mailed), (status = 429, description = "too_many_tries")),
)]
pub(crate) async fn forgot(
    _: NotCrossSite,
    State(app): State<App>,
    origin: Origin,
    body: Body<Forgotten>,
) -> Answer<(StatusCode, Json<Value>)> {
    let email = body.value.email;
    take_by_address(&app, "forgot", &origin).await?;
    throttle::take(app.system(), Limit::MAIL, email.as_str()).await?;
    let mut tx = app.system().begin().await?;
    let id = app.new_uuid();
    sqlx::query("INSERT INTO password_resets (id, email) VALUES ($1, $2)")
        .bind(id)
        .bind(email.as_str())
        .execute(&mut *tx)
        .await?;
    mail::enqueue(&app, &mut tx, Kind::Reset, id).await?;
    tx.commit().await?;
    app.mailer().wake();
    Ok((StatusCode::ACCEPTED, Json(json!({"status": "mailed"}))))
}

/// The mail of a reset; none where nobody has the address.
pub(crate) async fn letter(app: &App, db: &mut PgConnection, id: Uuid) -> Result<Option<Letter>, Error> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT email FROM password_resets WHERE id = $1 AND expires_at > now()")
            .bind(id)
            .fetch_optional(&mut *db)
            .await?;
    let Some((email,)) = row else { return Ok(None) };
    let email = Email::try_from(email).map_err(Error::internal)?;
    if users::by_email(db, &email).await?.is_none() {
        sqlx::query("DELETE FROM password_resets WHERE id = $1").bind(id).execute(db).await?;
        return Ok(None);
    }
    let token = Token::new(app.platform(), mail::TOKEN_PREFIX);
    sqlx::query("UPDATE password_resets SET digest = $2 WHERE id = $1")
        .bind(id)
        .bind(token.digest)
        .execute(db)
        .await?;
    Ok(Some(mail::letters::reset(app, email.as_str(), &token.text)))
}

/// Sets a new password, for the mail's token; every session ends.
#[utoipa::path(
    post,
    path = "/v1/auth/reset",
    request_body(content = Reset, example = json!({"token": "agm_…", "password": "correct horse battery staple"})),
    responses(
        (status = 204),
        (status = 400, description = "token_invalid"),
        (status = 429, description = "too_many_tries"),
        (status = 503, description = "overloaded"),
    ),
)]
pub(crate) async fn reset(
    _: NotCrossSite,
    State(app): State<App>,
    origin: Origin,
    body: Body<Reset>,
) -> Answer<StatusCode> {
    let Reset { token, password } = body.value;
    take_by_address(&app, "reset", &origin).await?;
    let digest = Token::digest_of(&token, mail::TOKEN_PREFIX).ok_or(Code::TokenInvalid)?;
    let row: Option<(String,)> =
        sqlx::query_as("SELECT email FROM password_resets WHERE digest = $1 AND expires_at > now()")
            .bind(digest)
            .fetch_optional(app.system())
            .await?;
    let (email,) = row.ok_or(Code::TokenInvalid)?;
    let email = Email::try_from(email).map_err(Error::internal)?;
    let about = vec![email.as_str().to_owned(), email.local().to_owned()];
    // A password that is refused leaves the token for another try.
    let hash = app.hasher().make(&app, password, about).await?;
    set(&app, &digest, &email, &hash).await?;
    app.mailer().wake();
    Ok(StatusCode::NO_CONTENT)
}

async fn set(app: &App, digest: &[u8], email: &Email, hash: &str) -> Result<(), Error> {
    let mut tx = app.system().begin().await?;
    let used = sqlx::query("DELETE FROM password_resets WHERE digest = $1 AND expires_at > now()")
        .bind(digest)
        .execute(&mut *tx)
        .await?;
    if used.rows_affected() == 0 {
        return Err(Code::TokenInvalid.into());
    }
    let (user, _) = users::by_email(&mut tx, email).await?.ok_or(Code::TokenInvalid)?;
    sqlx::query("DELETE FROM password_resets WHERE email = $1")
        .bind(email.as_str())
        .execute(&mut *tx)
        .await?;
    users::set_hash(&mut tx, user, hash).await?;
    sessions::end_all(&mut tx, user, None).await?;
    throttle::forget(&mut tx, Limit::SIGN_IN, email.as_str()).await?;
    mail::enqueue(app, &mut tx, Kind::PasswordChanged, user.uuid()).await?;
    tx.commit().await?;
    Ok(())
}

/// Forgets resets that nobody used.
pub(super) async fn forget_expired(system: &mut PgConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM password_resets WHERE expires_at < now()")
        .execute(system)
        .await?
        .rows_affected())
}
