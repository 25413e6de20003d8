//! Signing in on a device without a browser (RFC 8628): `POST /v1/auth/device` gives a code for the user and one for the
//! device, a signed-in user looks at the request (`GET /v1/auth/device`) and decides (`POST /v1/auth/device/approve`), and
//! `POST /v1/auth/device/token` gives the device its session, once.

use super::{
    Limit, SignedIn,
    csrf::NotCrossSite,
    sign_in::{begin, take_by_address},
    signed_in::{Carrier, HandedOver},
    throttle,
    token::Token,
};
use crate::{
    app::App,
    body::Body,
    error::{Answer, Error},
    origin::Origin,
    params::Query,
    platform::Platform,
    text::Label,
};
use alphagate_contract::{id::UserId, problem::Code};
use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// How every code of a device begins.
const PREFIX: &str = "agd_";
/// Letters of a user's code: no vowels, so no words (RFC 8628, 6.1); 20^8 of them, of which ten may be tried at once.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters in a code.
const CODE_LEN: usize = 8;
/// How long a device may wait for its user, seconds: what the table's default says.
const LIFE_S: u32 = 600;
/// How long a device waits between two questions, seconds.
const INTERVAL_S: u32 = 5;

/// The request of a device.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDevice {
    /// What the device calls itself.
    client: Label,
}

/// What the device shows, and asks with.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DeviceLogin)]
pub(crate) struct Asked {
    /// What the device asks with, and never shows.
    device_code: String,
    /// What the user types.
    #[schema(example = "BCDF-GHJK")]
    user_code: String,
    /// Where they type it.
    verification_uri: String,
    /// The same with the code in it.
    verification_uri_complete: String,
    /// Seconds.
    expires_in: u32,
    /// Seconds between two questions.
    interval: u32,
}

/// The question whether the user has decided.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceCode {
    device_code: String,
}

/// The query of a user who looks at a request.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserCode {
    #[param(example = "BCDF-GHJK")]
    user_code: String,
}

/// A user's decision.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeviceDecision)]
pub(crate) struct Decision {
    user_code: String,
    approve: bool,
}

/// A request as the user sees it before they decide: a stranger's looks strange.
#[derive(Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = WaitingDevice)]
pub(crate) struct Waiting {
    client: String,
    address: Option<String>,
    created_at: DateTime<Utc>,
}

/// Begins the sign-in of a device without a browser (RFC 8628).
#[utoipa::path(
    post,
    path = "/v1/auth/device",
    request_body(content = NewDevice, example = json!({"client": "ag on ada's laptop"})),
    responses((status = 200, body = Asked), (status = 429, description = "too_many_tries")),
)]
pub(crate) async fn ask(
    _: NotCrossSite,
    State(app): State<App>,
    origin: Origin,
    body: Body<NewDevice>,
) -> Answer<Json<Asked>> {
    take_by_address(&app, "device", &origin).await?;
    let token = Token::new(app.platform(), PREFIX);
    let code = user_code(app.platform());
    sqlx::query(
        "INSERT INTO device_logins (id, digest, user_code, client, address) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(app.new_uuid())
    .bind(token.digest)
    .bind(&code)
    .bind(body.value.client.as_str())
    .bind(origin.address.map(|address| address.to_string()))
    .execute(app.system())
    .await?;
    let (first, second) = code.split_at_checked(CODE_LEN / 2).unwrap_or((&code, ""));
    let shown = format!("{first}-{second}");
    let page = format!("{}/device", app.settings().console_url());
    Ok(Json(Asked {
        device_code: token.text.reveal().clone(),
        verification_uri_complete: format!("{page}#{shown}"),
        verification_uri: page,
        user_code: shown,
        expires_in: LIFE_S,
        interval: INTERVAL_S,
    }))
}

/// A new code for a user.
fn user_code(platform: &dyn Platform) -> String {
    let last = u64::try_from(LETTERS.len() - 1).unwrap_or_default();
    let letter = |_| usize::try_from(platform.up_to(last)).ok().and_then(|at| LETTERS.get(at)).copied();
    (0..CODE_LEN).filter_map(letter).map(char::from).collect()
}

/// A code as a user typed it: in any case, with or without the dash.
fn read_code(text: &str) -> Option<String> {
    let code: String =
        text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
    (code.len() == CODE_LEN && code.bytes().all(|byte| LETTERS.contains(&byte))).then_some(code)
}

/// Shows which device waits with this code, before the user decides.
#[utoipa::path(
    get,
    path = "/v1/auth/device",
    params(UserCode),
    responses(
        (status = 200, body = Waiting),
        (status = 404, description = "not_found"),
        (status = 429, description = "too_many_tries"),
    ),
)]
pub(crate) async fn look(
    caller: SignedIn,
    State(app): State<App>,
    Query(query): Query<UserCode>,
) -> Answer<Json<Waiting>> {
    throttle::take(app.system(), Limit::DEVICE, &caller.user.to_string()).await?;
    let code = read_code(&query.user_code).ok_or(Code::NotFound)?;
    let row = sqlx::query_as(
        "SELECT client, address, created_at FROM device_logins
         WHERE user_code = $1 AND expires_at > now() AND decided_at IS NULL",
    )
    .bind(code)
    .fetch_optional(app.system())
    .await?;
    Ok(Json(row.ok_or(Code::NotFound)?))
}

/// Approves or denies a device, once: what was decided stays so.
#[utoipa::path(
    post,
    path = "/v1/auth/device/approve",
    request_body(content = Decision, example = json!({"user_code": "BCDF-GHJK", "approve": true})),
    responses(
        (status = 204),
        (status = 404, description = "not_found"),
        (status = 429, description = "too_many_tries"),
    ),
)]
pub(crate) async fn decide(
    caller: SignedIn,
    State(app): State<App>,
    body: Body<Decision>,
) -> Answer<StatusCode> {
    throttle::take(app.system(), Limit::DEVICE, &caller.user.to_string()).await?;
    let code = read_code(&body.value.user_code).ok_or(Code::NotFound)?;
    let decided = sqlx::query(
        "UPDATE device_logins SET decided_at = now(), user_id = $2
         WHERE user_code = $1 AND expires_at > now() AND decided_at IS NULL",
    )
    .bind(code)
    .bind(body.value.approve.then_some(caller.user.uuid()))
    .execute(app.system())
    .await?;
    if decided.rows_affected() == 0 { Err(Code::NotFound.into()) } else { Ok(StatusCode::NO_CONTENT) }
}

/// Gives an approved device its session, once; until then, says what it waits for.
#[utoipa::path(
    post,
    path = "/v1/auth/device/token",
    request_body(content = DeviceCode, example = json!({"device_code": "agd_…"})),
    responses(
        (status = 200, body = HandedOver<'static>),
        (status = 400, description = "authorization_pending, slow_down, access_denied, expired_token"),
    ),
)]
pub(crate) async fn token(
    _: NotCrossSite,
    State(app): State<App>,
    origin: Origin,
    body: Body<DeviceCode>,
) -> Answer {
    let digest = Token::digest_of(&body.value.device_code, PREFIX).ok_or(Code::DeviceExpired)?;
    let mut tx = app.system().begin().await?;
    match answer(&mut tx, &digest).await {
        Ok(user) => {
            tx.commit().await?;
            begin(&app, user, origin, Carrier::Bearer).await
        }
        // When it asked last is noted even though it is refused.
        Err(error) => {
            tx.commit().await?;
            Err(error)
        }
    }
}

/// Who has approved; the row is used up by it.
async fn answer(db: &mut PgConnection, digest: &[u8]) -> Result<UserId, Error> {
    let row: Option<(Uuid, Option<Uuid>, bool, bool)> = sqlx::query_as(
        "SELECT id, user_id, decided_at IS NOT NULL, coalesce(asked_at > now() - make_interval(secs => $2), false)
         FROM device_logins WHERE digest = $1 AND expires_at > now() FOR UPDATE",
    )
    .bind(digest)
    .bind(f64::from(INTERVAL_S) - 1.0)
    .fetch_optional(&mut *db)
    .await?;
    let (id, user, is_decided, is_early) = row.ok_or(Code::DeviceExpired)?;
    if is_decided {
        sqlx::query("DELETE FROM device_logins WHERE id = $1").bind(id).execute(db).await?;
        return user.map(UserId::from_uuid).ok_or_else(|| Code::DeviceDenied.into());
    }
    sqlx::query("UPDATE device_logins SET asked_at = now() WHERE id = $1").bind(id).execute(db).await?;
    Err(if is_early { Code::DeviceSlowDown.into() } else { Code::DevicePending.into() })
}

/// Forgets requests that nobody answered.
pub(super) async fn forget_expired(system: &mut PgConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM device_logins WHERE expires_at < now()")
        .execute(system)
        .await?
        .rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Host;

    #[test]
    fn a_users_code_is_read_as_people_type_it() {
        let code = user_code(&Host);
        assert_eq!(code.len(), CODE_LEN);
        assert_eq!(read_code(&code).as_deref(), Some(code.as_str()));
        assert_eq!(read_code("bcdf-ghjk").as_deref(), Some("BCDFGHJK"));
        assert_eq!(read_code(" BCDF GHJK").as_deref(), Some("BCDFGHJK"));
        for bad in ["", "BCDF-GHJ", "BCDF-GHJA", "BCDF-GHJKL", "BCDFGHJ\u{212a}"] {
            assert_eq!(read_code(bad), None, "{bad}");
        }
    }
}
