//! Who calls: an operator, a member of an org, or the edge. A handler that names one of these gets nobody else.
//!
//! What a member may do is the route's action, as the table of routes says, and never the handler's affair.
//!
//! A refusal does not say what was wrong with a key: unknown, forged, revoked and expired ones are answered alike, and a
//! forged one is known as such without a look-up.

use crate::{
    accounts::SignedIn,
    app::App,
    body::{self, EDGE_BODY_MAX_BYTES},
    error::Error,
    keys::{self, Scope},
    members, orgs,
    origin::Origin,
    roles::{Action, Power, Role, is_passed_on, may, may_grant},
    routes::Caller,
};
use alphagate_contract::{
    id::{KeyId, OrgId, SessionId, UserId},
    key::ApiKey,
    problem::{Code, Problem},
    sign::{self, Audience, PRINCIPAL_HEADER, SIGNATURE_HEADER, Signed},
};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use subtle::ConstantTimeEq as _;

/// The holder of the operator token.
pub(crate) struct Operator {
    /// Where the request comes from.
    pub(crate) origin: Origin,
}

/// Somebody who may do in an org what the route is for.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The org, and so the tenant of everything that is done.
    pub(crate) org: OrgId,
    /// Who it is.
    pub(crate) actor: Actor,
    /// Where the request comes from.
    pub(crate) origin: Origin,
}

/// A member, in the words of routes that were first an admin key's.
pub(crate) type Admin = Member;
/// A member, in the words of the gate's route.
pub(crate) type Gatekeeper = Member;
/// A member, in the words of routes that the edge passes on.
pub(crate) type Evaluator = Member;

/// Who does something in an org.
#[derive(Debug, Clone)]
pub(crate) enum Actor {
    /// An API key.
    Key {
        /// The key.
        id: KeyId,
        /// What it may do.
        scopes: Vec<Scope>,
    },
    /// A signed-in user.
    User {
        /// Who.
        id: UserId,
        /// What they are in the org, as it is now.
        role: Role,
        /// The session that they show.
        session: SessionId,
    },
}

/// The edge, by its signature over the request; carries the body that was signed.
pub(crate) struct Edge(pub(crate) Vec<u8>);

/// The token of exactly one `Authorization: Bearer …`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Code::KeyMissing.into()) };
    let (scheme, token) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Code::KeyMissing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(Code::KeyMissing.into());
    }
    Ok(token.trim())
}

/// Whether this is the operator token.
pub(crate) fn is_operator(app: &App, token: &str) -> bool {
    let wanted = Sha256::digest(app.settings().operator_token.reveal());
    bool::from(Sha256::digest(token).ct_eq(&wanted))
}

impl FromRequestParts<App> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        if is_operator(app, bearer(&parts.headers)?) {
            return Ok(Self { origin: Origin::of(parts, app) });
        }
        Err(Problem::new(Code::KeyInvalid).message("This is not the operator token.").into())
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Some(Caller::Member(action)) = parts.extensions.get::<Caller>().copied() else {
            return Err(Error::internal("the table of routes does not say what a member does here"));
        };
        let (org, actor) = if is_passed_on(action) && parts.headers.contains_key(PRINCIPAL_HEADER) {
            by_edge(parts, app).await?
        } else if SignedIn::is_shown(parts) {
            by_session(parts, app).await?
        } else {
            by_bearer(parts, app).await?
        };
        let member = Self { org, actor, origin: Origin::of(parts, app) };
        member.must(action)?;
        Ok(member)
    }
}

impl Member {
    /// Refuses a caller who may not do this, where the route's own action does not say it.
    pub(crate) fn must(&self, action: Action) -> Result<(), Error> {
        if may(self.actor.power(), action) { Ok(()) } else { Err(self.actor.lacks(action)) }
    }

    /// Refuses a caller who hands out, or takes away, more than they may do themselves; `param` is where they said so.
    pub(crate) fn must_grant(&self, granted: Power<'_>, param: &str) -> Result<(), Error> {
        if may_grant(self.actor.power(), granted) {
            return Ok(());
        }
        let code = if self.key().is_some() { Code::ScopeMissing } else { Code::RoleMissing };
        let message = "This would be more than you may do yourself. Ask an owner or admin of the org.";
        Err(Problem::new(code).param(param).message(message).into())
    }

    /// The user, if it is one.
    pub(crate) const fn user(&self) -> Option<UserId> {
        match &self.actor {
            Actor::User { id, .. } => Some(*id),
            Actor::Key { .. } => None,
        }
    }

    /// The API key, if it is one.
    pub(crate) const fn key(&self) -> Option<KeyId> {
        match &self.actor {
            Actor::Key { id, .. } => Some(*id),
            Actor::User { .. } => None,
        }
    }
}

impl Actor {
    /// Where its power comes from.
    pub(crate) fn power(&self) -> Power<'_> {
        match self {
            Self::Key { scopes, .. } => Power::Scopes(scopes),
            Self::User { role, .. } => Power::Role(*role),
        }
    }

    /// The refusal, with what would do.
    fn lacks(&self, action: Action) -> Error {
        match self {
            Self::Key { scopes, .. } => {
                let missing =
                    action.scopes().first().and_then(|set| set.iter().find(|one| !scopes.contains(one)));
                let scope = missing.map(body::word).unwrap_or_default();
                let message = format!("This API key lacks the scope `{scope}`.");
                Problem::new(Code::ScopeMissing).message(message).into()
            }
            Self::User { .. } => {
                let roles: Vec<String> = action.roles().iter().map(body::word).collect();
                let message =
                    format!("This takes a role that may `{}`: {}.", action.as_str(), roles.join(", "));
                Problem::new(Code::RoleMissing).message(message).into()
            }
        }
    }
}

async fn by_bearer(parts: &Parts, app: &App) -> Result<(OrgId, Actor), Error> {
    let key = bearer(&parts.headers)?;
    let key = ApiKey::verify(&app.settings().key_ring, key).map_err(|_| Code::KeyInvalid)?;
    let mut system = app.system().acquire().await?;
    let scopes = keys::authenticate(&mut system, &key).await?.ok_or(Code::KeyInvalid)?;
    known(&mut system, key.org, key.id, scopes).await
}

/// A user, in the org that they name or that is theirs; what they are there is looked up for every request.
async fn by_session(parts: &mut Parts, app: &App) -> Result<(OrgId, Actor), Error> {
    let caller = SignedIn::from_request_parts(parts, app).await?;
    let mut system = app.system().acquire().await?;
    let memberships = members::of_user(&mut system, caller.user).await?;
    let chosen = members::choose(&memberships, &parts.headers)?;
    not_suspended(&mut system, chosen.org).await?;
    tracing::Span::current().record("org", tracing::field::display(chosen.org));
    Ok((chosen.org, Actor::User { id: caller.user, role: chosen.role, session: caller.session }))
}

async fn not_suspended(system: &mut PgConnection, org: OrgId) -> Result<(), Error> {
    if orgs::is_suspended(system, org).await? { Err(Code::OrgSuspended.into()) } else { Ok(()) }
}

/// Whose key the edge has checked before it passed a request on, where the request is the edge's.
pub(crate) fn passed_on(parts: &Parts, app: &App) -> Result<(OrgId, KeyId), Error> {
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let principal = text(PRINCIPAL_HEADER).ok_or(Code::SignatureInvalid)?;
    let signed = Signed {
        audience: Audience::PassedOn,
        method: parts.method.as_str(),
        path_and_query: parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        body: principal.as_bytes(),
    };
    let header = text(SIGNATURE_HEADER).ok_or(Code::SignatureInvalid)?;
    sign::verify(&app.settings().edge_to_control_ring, header, &signed, app.platform().now_ms())
        .map_err(|_| Code::SignatureInvalid)?;
    let (org, id) = principal.split_once('/').ok_or(Code::SignatureInvalid)?;
    let org: OrgId = org.parse().map_err(|_| Code::SignatureInvalid)?;
    let id: KeyId = id.parse().map_err(|_| Code::SignatureInvalid)?;
    Ok((org, id))
}

/// The caller of a request that the edge passes on: the edge has checked the secret, control looks at what is true now.
async fn by_edge(parts: &Parts, app: &App) -> Result<(OrgId, Actor), Error> {
    let (org, id) = passed_on(parts, app)?;
    let mut system = app.system().acquire().await?;
    let scopes = keys::scopes_of(&mut system, org, id).await?.ok_or(Code::KeyInvalid)?;
    known(&mut system, org, id, scopes).await
}

async fn known(
    system: &mut PgConnection,
    org: OrgId,
    id: KeyId,
    scopes: Vec<Scope>,
) -> Result<(OrgId, Actor), Error> {
    not_suspended(system, org).await?;
    let span = tracing::Span::current();
    span.record("org", tracing::field::display(org)).record("key", tracing::field::display(id));
    Ok((org, Actor::Key { id, scopes }))
}

impl FromRequest<App> for Edge {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (parts, raw) = request.into_parts();
        let header = parts.headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
        let header = header.ok_or(Code::SignatureInvalid)?.to_owned();
        let bytes = body::read(app, &parts.headers, raw, EDGE_BODY_MAX_BYTES).await?;
        let signed = Signed {
            audience: Audience::Control,
            method: parts.method.as_str(),
            path_and_query: parts.uri.path_and_query().map_or("/", |path| path.as_str()),
            body: &bytes,
        };
        sign::verify(&app.settings().edge_to_control_ring, &header, &signed, app.platform().now_ms())
            .map_err(|error| {
                tracing::warn!(%error, "a request that claims to be the edge's was refused");
                Code::SignatureInvalid
            })?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let value = |bytes: &&[u8]| (header::AUTHORIZATION, HeaderValue::from_bytes(bytes).unwrap());
        values.iter().map(value).collect()
    }

    #[test]
    fn exactly_one_bearer_token_is_read() {
        for good in [&b"Bearer x"[..], b"bearer x", b"BEARER  x "] {
            assert_eq!(bearer(&headers(&[good])).unwrap(), "x");
        }
        let bad: [&[&[u8]]; 6] =
            [&[], &[b"Bearer x", b"Bearer x"], &[b"Basic x"], &[b"Bearer"], &[b"Bearer "], &[b"Bearer \xff"]];
        for bad in bad {
            assert!(bearer(&headers(bad)).is_err());
        }
    }
}
