//! Sessions: `GET /v1/sessions`, `DELETE /v1/sessions` (all others), `DELETE /v1/sessions/{id}`, `POST /v1/sessions/rotate`.
//!
//! A session ends when it has been idle too long, at its own end however busy it is, or when it is deleted; from then on
//! its token is as unknown as any. Its token is made when it begins, and anew by a rotation or a changed password: one
//! that was known before somebody signed in is never one afterwards.

use super::{SignedIn, signed_in::HandedOver, token::Token};
use crate::{
    app::App,
    error::{Answer, Error},
    origin::Origin,
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
};
use alphagate_contract::{
    id::{SessionId, UserId},
    problem::Code,
    secret::Secret,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// How every token of a session begins.
pub(super) const PREFIX: &str = "ags_";
/// Days after which a session ends, however busy it is (OWASP, Session Management Cheat Sheet: an absolute timeout).
pub(super) const ABSOLUTE_DAYS: u32 = 30;
/// How old the note of its last use may be, seconds: one write a minute, not one a request.
const SEEN_STEP_S: f64 = 60.0;

/// A session as its user reads it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Session {
    id: SessionId,
    /// Whether it is the one that asks.
    current: bool,
    created_at: DateTime<Utc>,
    /// Up to a minute older than its last use.
    seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    address: Option<String>,
    user_agent: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    created_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    address: Option<String>,
    user_agent: Option<String>,
}

/// Begins a session; gives its token. What else has to be proved is proved before this.
pub(super) async fn open(
    app: &App,
    db: &mut PgConnection,
    user: UserId,
    origin: &Origin,
) -> Result<(SessionId, Secret<String>), Error> {
    let id = app.new_id(SessionId::new);
    let token = Token::new(app.platform(), PREFIX);
    sqlx::query(
        "INSERT INTO sessions (id, user_id, digest, expires_at, address, user_agent)
         VALUES ($1, $2, $3, now() + make_interval(days => $4), $5, $6)",
    )
    .bind(id.uuid())
    .bind(user.uuid())
    .bind(token.digest)
    .bind(i32::try_from(ABSOLUTE_DAYS).map_err(Error::internal)?)
    .bind(origin.address.map(|address| address.to_string()))
    .bind(origin.user_agent.as_deref())
    .execute(db)
    .await?;
    Ok((id, token.text))
}

/// The session of a token, and whose it is, if it has not ended by the database's clock.
pub(super) async fn of_token(
    app: &App,
    system: &mut PgConnection,
    token: &str,
    origin: &Origin,
) -> Result<Option<(SessionId, UserId)>, Error> {
    let Some(digest) = Token::digest_of(token, PREFIX) else { return Ok(None) };
    let found: Option<(Uuid, Uuid, bool)> = sqlx::query_as(
        "SELECT id, user_id, seen_at < now() - make_interval(secs => $3) FROM sessions
         WHERE digest = $1 AND expires_at > now() AND seen_at > now() - make_interval(secs => $2)",
    )
    .bind(digest)
    .bind(app.settings().session_idle.as_secs_f64())
    .bind(SEEN_STEP_S)
    .fetch_optional(&mut *system)
    .await?;
    let Some((id, user, is_old)) = found else { return Ok(None) };
    if is_old {
        note_use(system, id, origin).await?;
    }
    Ok(Some((SessionId::from_uuid(id), UserId::from_uuid(user))))
}

async fn note_use(system: &mut PgConnection, id: Uuid, origin: &Origin) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE sessions SET seen_at = now(), address = $2, user_agent = $3 WHERE id = $1")
        .bind(id)
        .bind(origin.address.map(|address| address.to_string()))
        .bind(origin.user_agent.as_deref())
        .execute(system)
        .await?;
    Ok(())
}

/// Gives a session a new token; the old one is nobody's from now on.
pub(super) async fn renew(app: &App, db: &mut PgConnection, id: SessionId) -> Result<Secret<String>, Error> {
    let token = Token::new(app.platform(), PREFIX);
    let renewed = sqlx::query("UPDATE sessions SET digest = $2, seen_at = now() WHERE id = $1")
        .bind(id.uuid())
        .bind(token.digest)
        .execute(db)
        .await?;
    if renewed.rows_affected() == 0 {
        // It was ended while this was asked for.
        return Err(Code::SessionInvalid.into());
    }
    Ok(token.text)
}

/// Ends one session of a user; whether it was there.
pub(super) async fn end(db: &mut PgConnection, user: UserId, id: SessionId) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id = $2")
        .bind(user.uuid())
        .bind(id.uuid())
        .execute(db)
        .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends all sessions of a user but one.
pub(super) async fn end_all(
    db: &mut PgConnection,
    user: UserId,
    but: Option<SessionId>,
) -> Result<u64, sqlx::Error> {
    let ended = sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2")
        .bind(user.uuid())
        .bind(but.map(SessionId::uuid))
        .execute(db)
        .await?;
    Ok(ended.rows_affected())
}

/// Forgets sessions that have ended.
pub(super) async fn forget_expired(system: &mut PgConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM sessions WHERE expires_at < now()").execute(system).await?.rows_affected())
}

/// Lists one's own sessions, newest first.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    params(PageQuery),
    responses((status = 200, body = Page<Session>)),
)]
pub(crate) async fn list(
    caller: SignedIn,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Session>>> {
    let name = format!("sessions of {}", caller.user);
    let list = List { org: None, name: &name };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, created_at, seen_at, least(expires_at, seen_at + make_interval(secs => $4)) AS expires_at,
            address, user_agent
         FROM sessions
         WHERE user_id = $1 AND id < $2
            AND expires_at > now() AND seen_at > now() - make_interval(secs => $4)
         ORDER BY id DESC LIMIT $3",
    )
    .bind(caller.user.uuid())
    .bind(wanted.before())
    .bind(wanted.rows)
    .bind(app.settings().session_idle.as_secs_f64())
    .fetch_all(app.system())
    .await?;
    let session = |row: Row| Session {
        id: SessionId::from_uuid(row.id),
        current: row.id == caller.session.uuid(),
        created_at: row.created_at,
        seen_at: row.seen_at,
        expires_at: row.expires_at,
        address: row.address,
        user_agent: row.user_agent,
    };
    let sessions = rows.into_iter().map(session).collect();
    Ok(Json(list.answer(&app, wanted.size(), sessions, |session: &Session| session.id.uuid())?))
}

/// Ends a session.
#[utoipa::path(delete, path = "/v1/sessions/{id}", params(("id" = SessionId, Path)), responses((status = 204)))]
pub(crate) async fn revoke(
    caller: SignedIn,
    State(app): State<App>,
    Id(id): Id<SessionId>,
) -> Answer<StatusCode> {
    let mut system = app.system().acquire().await?;
    if end(&mut system, caller.user, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Code::NotFound.into())
    }
}

/// Ends every session but the one that asks.
#[utoipa::path(delete, path = "/v1/sessions", responses((status = 204)))]
pub(crate) async fn revoke_others(caller: SignedIn, State(app): State<App>) -> Answer<StatusCode> {
    let mut system = app.system().acquire().await?;
    end_all(&mut system, caller.user, Some(caller.session)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the session a new token; the old one is nobody's from now on.
#[utoipa::path(post, path = "/v1/sessions/rotate", responses((status = 200, body = HandedOver<'static>)))]
pub(crate) async fn rotate(caller: SignedIn, State(app): State<App>) -> Answer<Response> {
    let mut system = app.system().acquire().await?;
    let token = renew(&app, &mut system, caller.session).await?;
    caller.hand_over(StatusCode::OK, &token)
}
