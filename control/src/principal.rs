//! Who calls: an operator, an org's key by its scope, or the edge. A handler that names one of these gets nobody else.
//!
//! A refusal does not say what was wrong with a key: unknown, forged, revoked and expired ones are answered alike, and a
//! forged one is known as such without a look-up.

use crate::{
    app::App,
    body::{self, EDGE_BODY_MAX_BYTES},
    error::Error,
    keys::{self, Scope},
    orgs,
};
use alphagate_contract::{
    id::{KeyId, OrgId},
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
pub(crate) struct Operator;

/// An org's API key with scope `admin`.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    /// The org, and so the tenant of everything that is done.
    pub(crate) org: OrgId,
    /// The key itself.
    pub(crate) key: KeyId,
    scopes: Vec<Scope>,
}

/// An org's API key with the scopes `admin` and `gate`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gatekeeper {
    /// The org, and so the tenant of everything that is done.
    pub(crate) org: OrgId,
    /// The key itself.
    pub(crate) key: KeyId,
}

/// An org's API key with scope `evals` or `admin`, shown here or to the edge, which passes such requests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evaluator {
    /// The org, and so the tenant of everything that is done.
    pub(crate) org: OrgId,
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

impl FromRequestParts<App> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let given = Sha256::digest(bearer(&parts.headers)?);
        let wanted = Sha256::digest(app.settings().operator_token.reveal());
        if bool::from(given.ct_eq(&wanted)) {
            return Ok(Self);
        }
        Err(Problem::new(Code::KeyInvalid).message("This is not the operator token.").into())
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let key = by_bearer(parts, app).await?;
        key.must_have(Scope::Admin)?;
        Ok(Self { org: key.org, key: key.id, scopes: key.scopes })
    }
}

impl Admin {
    /// Refuses a key that lacks a scope which `admin` does not include.
    pub(crate) fn must_have(&self, scope: Scope) -> Result<(), Error> {
        if self.scopes.contains(&scope) { Ok(()) } else { Err(lacks(scope)) }
    }
}

impl FromRequestParts<App> for Gatekeeper {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let admin = Admin::from_request_parts(parts, app).await?;
        admin.must_have(Scope::Gate)?;
        Ok(Self { org: admin.org, key: admin.key })
    }
}

impl FromRequestParts<App> for Evaluator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let passed_on = parts.headers.contains_key(PRINCIPAL_HEADER);
        let key = if passed_on { by_edge(parts, app).await? } else { by_bearer(parts, app).await? };
        if !key.scopes.contains(&Scope::Admin) {
            key.must_have(Scope::Evals)?;
        }
        Ok(Self { org: key.org })
    }
}

/// A key that is what it says, and what it may do.
struct Known {
    org: OrgId,
    id: KeyId,
    scopes: Vec<Scope>,
}

impl Known {
    fn must_have(&self, scope: Scope) -> Result<(), Error> {
        if self.scopes.contains(&scope) { Ok(()) } else { Err(lacks(scope)) }
    }
}

fn lacks(scope: Scope) -> Error {
    let message = format!("This API key lacks the scope `{}`.", body::word(scope));
    Problem::new(Code::ScopeMissing).message(message).into()
}

async fn by_bearer(parts: &Parts, app: &App) -> Result<Known, Error> {
    let key = bearer(&parts.headers)?;
    let key = ApiKey::verify(&app.settings().key_ring, key).map_err(|_| Code::KeyInvalid)?;
    let mut system = app.system().acquire().await?;
    let scopes = keys::authenticate(&mut system, &key).await?.ok_or(Code::KeyInvalid)?;
    known(&mut system, Known { org: key.org, id: key.id, scopes }).await
}

/// The caller of a request that the edge passes on: the edge has checked the secret, control looks at what is true now.
async fn by_edge(parts: &Parts, app: &App) -> Result<Known, Error> {
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
    let mut system = app.system().acquire().await?;
    let scopes = keys::scopes_of(&mut system, org, id).await?.ok_or(Code::KeyInvalid)?;
    known(&mut system, Known { org, id, scopes }).await
}

async fn known(system: &mut PgConnection, key: Known) -> Result<Known, Error> {
    if orgs::is_suspended(system, key.org).await? {
        return Err(Code::OrgSuspended.into());
    }
    let span = tracing::Span::current();
    span.record("org", tracing::field::display(key.org)).record("key", tracing::field::display(key.id));
    Ok(key)
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
