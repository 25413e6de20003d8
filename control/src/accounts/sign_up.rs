//! `POST /v1/auth/sign-up` and `POST /v1/auth/verify`: an account, when its address is proved.
//!
//! A sign-up is a row of its own until then: it takes no address from anybody, and says nothing of who has one. To confirm
//! takes the mail's token *and* the sign-up's password, so that nobody confirms, by a click, an account whose password
//! somebody else has chosen. User, identity, password, personal org and ownership are one transaction.

use super::{
    Email, Limit,
    csrf::NotCrossSite,
    password::Password,
    sign_in::{begin, take_by_address},
    signed_in::{Carrier, HandedOver},
    throttle,
    token::Token,
    users,
};
use crate::{
    app::App,
    body::Body,
    error::{Answer, Error},
    mail::{self, Kind, Letter},
    orgs,
    origin::Origin,
    text::Label,
};
use alphagate_contract::{id::UserId, problem::Code};
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// The request to sign up.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccount {
    email: Email,
    password: Password,
    name: Label,
}

/// The request to confirm.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    token: String,
    password: Password,
    #[serde(default)]
    carrier: Carrier,
}

/// That a mail will be written, if there is one to write.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "the answer is one word; this is for the document")]
pub(super) struct Mailed {
    #[schema(example = "mailed")]
    status: String,
}

/// Asks for an account. The answer is the same whether the address has one or not; the mail says it.
#[utoipa::path(
    post,
    path = "/v1/auth/sign-up",
    request_body(
        content = NewAccount,
        example = json!({"email": "ada@example.org", "password": "correct horse battery staple", "name": "Ada"})
    ),
    responses(
        (status = 202, body = Mailed),
        (status = 429, description = "too_many_tries"),
        (status = 503, description = "overloaded"),
    ),
)]
pub(crate) async fn sign_up(
    _: NotCrossSite,
    State(app): State<App>,
    origin: Origin,
    body: Body<NewAccount>,
) -> Answer<(StatusCode, Json<Value>)> {
    let NewAccount { email, password, name } = body.value;
    take_by_address(&app, "sign up", &origin).await?;
    let about = vec![email.as_str().to_owned(), email.local().to_owned(), name.as_str().to_owned()];
    let hash = app.hasher().make(&app, password, about).await?;
    throttle::take(app.system(), Limit::MAIL, email.as_str()).await?;
    let mut tx = app.system().begin().await?;
    let id = app.new_uuid();
    sqlx::query("INSERT INTO sign_ups (id, email, name, hash) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(email.as_str())
        .bind(name.as_str())
        .bind(hash)
        .execute(&mut *tx)
        .await?;
    mail::enqueue(&app, &mut tx, Kind::SignUp, id).await?;
    tx.commit().await?;
    app.mailer().wake();
    Ok((StatusCode::ACCEPTED, Json(json!({"status": "mailed"}))))
}

/// The mail of a sign-up: its token, or, where the address is somebody's already, that it is.
pub(crate) async fn letter(app: &App, db: &mut PgConnection, id: Uuid) -> Result<Option<Letter>, Error> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT email FROM sign_ups WHERE id = $1 AND expires_at > now()")
            .bind(id)
            .fetch_optional(&mut *db)
            .await?;
    let Some((email,)) = row else { return Ok(None) };
    let email = Email::try_from(email).map_err(Error::internal)?;
    if users::by_email(db, &email).await?.is_some() {
        sqlx::query("DELETE FROM sign_ups WHERE id = $1").bind(id).execute(db).await?;
        return Ok(Some(mail::letters::account_exists(app, email.as_str())));
    }
    let token = Token::new(app.platform(), mail::TOKEN_PREFIX);
    sqlx::query("UPDATE sign_ups SET digest = $2 WHERE id = $1")
        .bind(id)
        .bind(token.digest)
        .execute(db)
        .await?;
    Ok(Some(mail::letters::verify(app, email.as_str(), &token.text)))
}

/// Confirms a sign-up by the mail's token and its password, and begins a session.
#[utoipa::path(
    post,
    path = "/v1/auth/verify",
    request_body(
        content = Confirmation,
        example = json!({"token": "agm_…", "password": "correct horse battery staple"})
    ),
    responses(
        (status = 200, body = HandedOver<'static>),
        (status = 400, description = "token_invalid"),
        (status = 401, description = "sign_in_failed"),
        (status = 429, description = "too_many_tries"),
        (status = 503, description = "overloaded"),
    ),
)]
pub(crate) async fn verify(
    _: NotCrossSite,
    State(app): State<App>,
    origin: Origin,
    body: Body<Confirmation>,
) -> Answer {
    let Confirmation { token, password, carrier } = body.value;
    take_by_address(&app, "verify", &origin).await?;
    let digest = Token::digest_of(&token, mail::TOKEN_PREFIX).ok_or(Code::TokenInvalid)?;
    throttle::take(app.system(), Limit::SIGN_IN, &hex::encode(digest)).await?;
    let row: Option<(String,)> =
        sqlx::query_as("SELECT hash FROM sign_ups WHERE digest = $1 AND expires_at > now()")
            .bind(digest)
            .fetch_optional(app.system())
            .await?;
    let (hash,) = row.ok_or(Code::TokenInvalid)?;
    if !app.hasher().verify(password, Some(hash)).await? {
        return Err(Code::SignInFailed.into());
    }
    let user = confirm(&app, &digest).await?;
    begin(&app, user, origin, carrier).await
}

/// Turns a sign-up into a user with a personal org; the token is used up by it.
async fn confirm(app: &App, digest: &[u8]) -> Result<UserId, Error> {
    let mut tx = app.system().begin().await?;
    let row: Option<(String, String, String)> = sqlx::query_as(
        "DELETE FROM sign_ups WHERE digest = $1 AND expires_at > now() RETURNING email, name, hash",
    )
    .bind(digest)
    .fetch_optional(&mut *tx)
    .await?;
    let (email, name, hash) = row.ok_or(Code::TokenInvalid)?;
    let email = Email::try_from(email).map_err(Error::internal)?;
    let name = Label::try_from(name).map_err(Error::internal)?;
    // Somebody may have confirmed another sign-up of the same address meanwhile.
    let user = users::create(app, &mut tx, &email, &name, &hash).await?.ok_or(Code::TokenInvalid)?;
    sqlx::query("DELETE FROM sign_ups WHERE email = $1").bind(email.as_str()).execute(&mut *tx).await?;
    let org = orgs::create_for(app, &mut tx, user, &name, true).await?;
    tx.commit().await?;
    app.courier().deliver(org).await;
    Ok(user)
}

/// Forgets sign-ups that nobody confirmed.
pub(super) async fn forget_expired(system: &mut PgConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM sign_ups WHERE expires_at < now()").execute(system).await?.rows_affected())
}
