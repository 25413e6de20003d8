//! `GET /v1/me`, `PATCH /v1/me`, `POST /v1/me/password`: a user's own account.

use super::{Limit, SignedIn, password::Password, sessions, signed_in::HandedOver, throttle, users};
use crate::{
    app::App,
    body::Body,
    error::{Answer, Error},
    mail::{self, Kind},
    text::Label,
};
use alphagate_contract::{
    id::{SessionId, UserId},
    problem::{Code, Problem},
};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// A user as they read themselves.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Me {
    id: UserId,
    name: String,
    email: Option<String>,
    session: SessionId,
}

/// The request to change it; what is not named stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MyChange {
    name: Option<Label>,
}

/// The request for another password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    current: Password,
    password: Password,
}

/// Reads one's own account.
#[utoipa::path(get, path = "/v1/me", responses((status = 200, body = Me)))]
pub(crate) async fn get(caller: SignedIn, State(app): State<App>) -> Answer<Json<Me>> {
    let mut system = app.system().acquire().await?;
    Ok(Json(find(&mut system, &caller).await?))
}

async fn find(system: &mut PgConnection, caller: &SignedIn) -> Result<Me, Error> {
    let profile = users::profiles(system, &[caller.user]).await?.remove(&caller.user);
    let profile = profile.ok_or_else(|| Error::internal("a session without a user"))?;
    Ok(Me { id: caller.user, name: profile.name, email: profile.email, session: caller.session })
}

/// Changes one's own account.
#[utoipa::path(
    patch,
    path = "/v1/me",
    request_body(content = MyChange, example = json!({"name": "Ada Lovelace"})),
    responses((status = 200, body = Me)),
)]
pub(crate) async fn change(
    caller: SignedIn,
    State(app): State<App>,
    body: Body<MyChange>,
) -> Answer<Json<Me>> {
    let mut tx = app.system().begin().await?;
    users::lock(&mut tx, caller.user).await?;
    caller.origin.precondition.check_shown(&find(&mut tx, &caller).await?)?;
    if let Some(name) = &body.value.name {
        users::rename(&mut tx, caller.user, name).await?;
    }
    let me = find(&mut tx, &caller).await?;
    tx.commit().await?;
    Ok(Json(me))
}

/// Changes the password, for the current one; every other session ends, and this one's token is another from now on.
#[utoipa::path(
    post,
    path = "/v1/me/password",
    request_body(
        content = NewPassword,
        example = json!({"current": "tuba-ginger-97-marsh", "password": "correct horse battery staple"})
    ),
    responses(
        (status = 200, body = HandedOver<'static>),
        (status = 401, description = "sign_in_failed"),
        (status = 429, description = "too_many_tries"),
        (status = 503, description = "overloaded"),
    ),
)]
pub(crate) async fn change_password(
    caller: SignedIn,
    State(app): State<App>,
    body: Body<NewPassword>,
) -> Answer {
    let NewPassword { current, password } = body.value;
    throttle::take(app.system(), Limit::SIGN_IN, &caller.user.to_string()).await?;
    let mut system = app.system().acquire().await?;
    let kept = users::hash_of(&mut system, caller.user).await?;
    let profile = users::profiles(&mut system, &[caller.user]).await?.remove(&caller.user);
    drop(system);
    if !app.hasher().verify(current, kept).await? {
        let problem = Problem::new(Code::SignInFailed).param("current");
        return Err(problem.message("The current password is another one.").into());
    }
    let about = profile.map(|profile| [Some(profile.name), profile.email]).into_iter().flatten().flatten();
    let hash = app.hasher().make(&app, password, about.collect()).await?;
    let mut tx = app.system().begin().await?;
    users::set_hash(&mut tx, caller.user, &hash).await?;
    sessions::end_all(&mut tx, caller.user, Some(caller.session)).await?;
    let token = sessions::renew(&app, &mut tx, caller.session).await?;
    throttle::forget(&mut tx, Limit::SIGN_IN, &caller.user.to_string()).await?;
    mail::enqueue(&app, &mut tx, Kind::PasswordChanged, caller.user.uuid()).await?;
    tx.commit().await?;
    app.mailer().wake();
    caller.hand_over(StatusCode::OK, &token)
}
