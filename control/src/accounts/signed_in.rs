//! A user with a session, whatever org they work in: by `Authorization: Bearer ags_…` or by the cookie.

use super::{cookie, csrf::check_cookie_use, sessions, token::Token};
use crate::{app::App, error::Error, origin::Origin, principal};
use alphagate_contract::{
    id::{SessionId, UserId},
    problem::Code,
    secret::Secret,
};
use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};

/// How a session's token goes to and fro.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SessionCarrier)]
pub(crate) enum Carrier {
    /// In the cookie: for browsers, whose scripts never see it.
    #[default]
    Cookie,
    /// In the body, and then as `Authorization: Bearer`: for programs.
    Bearer,
}

/// A user with a session.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    /// Who.
    pub(crate) user: UserId,
    /// By which session.
    pub(crate) session: SessionId,
    /// Where the request comes from.
    pub(crate) origin: Origin,
    carrier: Carrier,
}

/// The answer that begins or renews a session; where its carrier is the cookie, `set-cookie` has the token.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SessionToken)]
pub(super) struct HandedOver<'a> {
    user: UserId,
    session: SessionId,
    /// Only for programs: where the carrier is `bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl SignedIn {
    /// Whether a request shows a session, and not an API key.
    pub(crate) fn is_shown(parts: &Parts) -> bool {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return principal::bearer(&parts.headers).is_ok_and(|token| token.starts_with(sessions::PREFIX));
        }
        cookie::token_of(&parts.headers).is_some()
    }

    /// A session that has just begun.
    pub(super) const fn new(user: UserId, session: SessionId, origin: Origin, carrier: Carrier) -> Self {
        Self { user, session, origin, carrier }
    }

    /// Gives the caller the session's token, the way it came.
    pub(super) fn hand_over(&self, status: StatusCode, token: &Secret<String>) -> Result<Response, Error> {
        let token = token.reveal();
        let shown = (self.carrier == Carrier::Bearer).then_some(token.as_str());
        let body = HandedOver { user: self.user, session: self.session, token: shown };
        let mut response = (status, Json(body)).into_response();
        if self.carrier == Carrier::Cookie {
            let cookie = cookie::set(token).ok_or_else(|| Error::internal("a token is no header"))?;
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// The digest of the session that a request shows, whether or not it is one.
pub(crate) fn session_shown(parts: &Parts) -> Option<[u8; 32]> {
    let token = if parts.headers.contains_key(header::AUTHORIZATION) {
        principal::bearer(&parts.headers).ok()
    } else {
        cookie::token_of(&parts.headers)
    };
    Token::digest_of(token?, sessions::PREFIX)
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let (token, carrier) = if parts.headers.contains_key(header::AUTHORIZATION) {
            (principal::bearer(&parts.headers)?, Carrier::Bearer)
        } else {
            (cookie::token_of(&parts.headers).ok_or(Code::KeyMissing)?, Carrier::Cookie)
        };
        if carrier == Carrier::Cookie {
            check_cookie_use(parts, app)?;
        }
        let origin = Origin::of(parts, app);
        let mut system = app.system().acquire().await?;
        let found = sessions::of_token(app, &mut system, token, &origin).await?;
        let (session, user) = found.ok_or(Code::SessionInvalid)?;
        tracing::Span::current().record("user", tracing::field::display(user));
        Ok(Self { user, session, origin, carrier })
    }
}
