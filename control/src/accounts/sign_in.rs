//! `POST /v1/auth/sign-in` by e-mail and password, and `POST /v1/auth/sign-out`.
//!
//! A wrong password, an unknown address and one that was never confirmed are one answer, after the same work. Tries are
//! counted per account and per client address before the password is looked at.

use super::{
    Email, Limit, SignedIn, cookie,
    csrf::NotCrossSite,
    password::Password,
    sessions,
    signed_in::{Carrier, HandedOver},
    throttle, users,
};
use crate::{
    app::App,
    body::Body,
    error::{Answer, Error},
    origin::Origin,
};
use alphagate_contract::{id::UserId, problem::Code};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
pub(crate) struct Credentials {
    email: Email,
    password: Password,
    /// How the session's token is to go to and fro.
    #[serde(default)]
    carrier: Carrier,
}

/// Counts a try of this kind against the client's address.
pub(super) async fn take_by_address(app: &App, name: &'static str, origin: &Origin) -> Result<(), Error> {
    let Some(address) = origin.address else { return Ok(()) };
    throttle::take(app.system(), Limit::of_address(app, name), &address.to_string()).await
}

/// Signs in by e-mail address and password.
#[utoipa::path(
    post,
    path = "/v1/auth/sign-in",
    request_body(
        content = Credentials,
        example = json!({"email": "ada@example.org", "password": "correct horse battery staple", "carrier": "bearer"})
    ),
    responses(
        (status = 200, body = HandedOver<'static>),
        (status = 401, description = "sign_in_failed"),
        (status = 429, description = "too_many_tries"),
        (status = 503, description = "overloaded"),
    ),
)]
pub(crate) async fn sign_in(
    _: NotCrossSite,
    State(app): State<App>,
    origin: Origin,
    body: Body<Credentials>,
) -> Answer {
    let Credentials { email, password, carrier } = body.value;
    take_by_address(&app, "sign in", &origin).await?;
    throttle::take(app.system(), Limit::SIGN_IN, email.as_str()).await?;
    let mut system = app.system().acquire().await?;
    let found = users::by_email(&mut system, &email).await?;
    // No connection is held while a hash is computed.
    drop(system);
    let (user, hash) = found.unzip();
    let is_right = app.hasher().verify(password, hash.flatten()).await?;
    let user = user.filter(|_| is_right).ok_or(Code::SignInFailed)?;
    let mut system = app.system().acquire().await?;
    throttle::forget(&mut system, Limit::SIGN_IN, email.as_str()).await?;
    drop(system);
    begin(&app, user, origin, carrier).await
}

/// Begins the session of somebody who has proved who they are: the one place where one begins, and where a second factor
/// will be asked for first.
pub(super) async fn begin(app: &App, user: UserId, origin: Origin, carrier: Carrier) -> Answer {
    let mut system = app.system().acquire().await?;
    let (session, token) = sessions::open(app, &mut system, user, &origin).await?;
    SignedIn::new(user, session, origin, carrier).hand_over(StatusCode::OK, &token)
}

/// Ends the session that asks.
#[utoipa::path(post, path = "/v1/auth/sign-out", responses((status = 204)))]
pub(crate) async fn sign_out(caller: SignedIn, State(app): State<App>) -> Answer<Response> {
    let mut system = app.system().acquire().await?;
    sessions::end(&mut system, caller.user, caller.session).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie::clear())]).into_response())
}
