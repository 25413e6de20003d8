//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, 8.8.3 and 13): whoever has read a resource can say so when they change it.
//!
//! A tag is strong: the digest of what the resource's GET answers. One layer tags every such answer and says 304. A change
//! is compared in its own transaction, where it notes for the audit trail what was there before, under the lock that it
//! holds: so nothing comes between the look and the change, and no handler has to think of it. What the edge passes on
//! keeps to OpenAI's protocol, which has no preconditions; what is read there has a tag all the same.

use crate::{
    error::{self, Error},
    roles::is_passed_on,
    routes::{Caller, Route},
};
use alphagate_contract::problem::{Code, Problem};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use headers::{ETag, HeaderMapExt as _, IfMatch, IfNoneMatch};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Single resources whose paths do not end with an id.
const SINGLES: [&str; 5] =
    ["/v1/me", "/v1/org", "/v1/quotas", "/v1/endpoints/{id}/gate", "/operator/v1/orgs/{id}/queue"];
/// Bytes of the digest in a tag: two contents of one resource that share it do not come about by chance.
const TAG_BYTES: usize = 16;
/// Longest answer that is tagged, bytes: an eval with its data source fits, a stream has no length.
const TAGGED_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// What preconditions mean on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It reads one resource.
    Read,
    /// It changes or deletes one that can be read under the same path.
    Write,
}

/// The kind of a route of this table; none: it has to do with no single resource.
pub(crate) fn kind(route: &Route, all: &[Route]) -> Option<Kind> {
    if reads_one(route) {
        return Some(Kind::Read);
    }
    let changes = matches!(route.method, Method::PATCH | Method::PUT | Method::DELETE);
    let is_ours = !matches!(route.caller, Caller::Member(action) if is_passed_on(action));
    let is_read = all.iter().any(|other| other.path == route.path && reads_one(other));
    (changes && is_ours && is_read).then_some(Kind::Write)
}

fn reads_one(route: &Route) -> bool {
    let has_caller = matches!(route.caller, Caller::Member(_) | Caller::User | Caller::Operator);
    let is_one = route.path.ends_with('}') && !route.path.contains("{*");
    route.method == Method::GET && has_caller && (is_one || SINGLES.contains(&route.path))
}

/// Whether a route changes or deletes one resource, and so takes preconditions.
#[must_use]
pub fn is_conditional(route: &Route, all: &[Route]) -> bool {
    kind(route, all) == Some(Kind::Write)
}

/// What a caller believes to be there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Precondition {
    /// One of these must be there.
    is_one_of: Option<IfMatch>,
    /// None of these may be there.
    is_none_of: Option<IfNoneMatch>,
}

impl Precondition {
    /// What a request says of the resource that it changes.
    pub(crate) fn of(parts: &Parts) -> Self {
        match parts.extensions.get::<Kind>() {
            Some(Kind::Write) => Self::read(&parts.headers),
            _ => Self::default(),
        }
    }

    fn read(headers: &HeaderMap) -> Self {
        Self { is_one_of: headers.typed_get(), is_none_of: headers.typed_get() }
    }

    /// Refuses a change of something else than the caller believes; `before` is what is there, as its GET shows it.
    pub(crate) fn check(&self, before: &Value) -> Result<(), Error> {
        let tag = tag(before)?;
        let holds =
            self.is_met(&tag) && self.is_none_of.as_ref().is_none_or(|none| none.precondition_passes(&tag));
        if holds { Ok(()) } else { Err(Code::PreconditionFailed.into()) }
    }

    /// The same, of what is there.
    pub(crate) fn check_shown(&self, before: &impl Serialize) -> Result<(), Error> {
        self.check(&serde_json::to_value(before).map_err(Error::internal)?)
    }

    fn is_met(&self, tag: &ETag) -> bool {
        self.is_one_of.as_ref().is_none_or(|one| one.precondition_passes(tag))
    }
}

/// Whether a copy that the caller has is the newest one.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let none_of: Option<IfNoneMatch> = headers.typed_get();
    let tag: Option<ETag> = tag.parse().ok();
    none_of.zip(tag).is_some_and(|(none_of, tag)| !none_of.precondition_passes(&tag))
}

/// The tag of a resource. Its text is that of one program: keys stand as they do in every answer.
fn tag(shown: &Value) -> Result<ETag, Error> {
    let digest = Sha256::digest(shown.to_string());
    let hex = hex::encode(digest.get(..TAG_BYTES).unwrap_or_default());
    format!("\"{hex}\"").parse().map_err(|_| Error::internal("a digest is a tag"))
}

/// Tags the answers of a route that reads or changes one resource, and spares a reader what they have.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let kind = request.extensions().get::<Kind>().copied();
    let precondition = Precondition::read(request.headers());
    let response = next.run(request).await;
    let Some(kind) = kind.filter(|_| response.status() == StatusCode::OK && is_short_json(&response)) else {
        return response;
    };
    tagged(response, kind, &precondition).await.unwrap_or_else(Error::into_response)
}

async fn tagged(response: Response, kind: Kind, precondition: &Precondition) -> Result<Response, Error> {
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(Error::internal)?.to_bytes();
    let Ok(mut shown) = serde_json::from_slice::<Value>(&bytes) else {
        return Ok(Response::from_parts(parts, Body::from(bytes)));
    };
    if kind == Kind::Write {
        crate::change::leave_resource(&mut shown);
    }
    let tag = tag(&shown)?;
    parts.headers.typed_insert(tag.clone());
    parts.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    if kind == Kind::Read {
        if !precondition.is_met(&tag) {
            return Ok(error::respond(&Problem::new(Code::PreconditionFailed)));
        }
        if precondition.is_none_of.as_ref().is_some_and(|none| !none.precondition_passes(&tag)) {
            parts.headers.remove(header::CONTENT_TYPE);
            parts.headers.remove(header::CONTENT_LENGTH);
            return Ok((StatusCode::NOT_MODIFIED, parts.headers).into_response());
        }
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn is_short_json(response: &Response) -> bool {
    use axum::body::HttpBody as _;
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let bytes = response.body().size_hint().exact();
    content_type == Some(b"application/json")
        && bytes.is_some_and(|bytes| (1..=TAGGED_MAX_BYTES).contains(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(name: header::HeaderName, text: &str, before: &Value) -> bool {
        let headers = HeaderMap::from_iter([(name, text.parse().unwrap())]);
        Precondition::read(&headers).check(before).is_ok()
    }

    #[test]
    fn preconditions_are_compared_as_rfc_9110_says() {
        let before = json!({"id": "a", "n": 1});
        let mut headers = HeaderMap::new();
        headers.typed_insert(tag(&before).unwrap());
        let own = headers[header::ETAG].to_str().unwrap().to_owned();
        for (text, is_met) in [
            (own.clone(), true),
            ("*".to_owned(), true),
            (format!("\"x\", {own}"), true),
            (format!("\"a,b\" , {own}"), true),
            ("\"x\"".to_owned(), false),
            // If-Match compares strongly: a weak tag matches nothing.
            (format!("W/{own}"), false),
            // What is no tag matches nothing.
            (own.trim_matches('"').to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(holds(header::IF_MATCH, &text, &before), is_met, "if-match: {text}");
        }
        for (text, is_met) in [
            (own.clone(), false),
            // If-None-Match compares weakly.
            (format!("W/{own}"), false),
            (format!("\"x\", W/{own}"), false),
            ("*".to_owned(), false),
            ("\"x\"".to_owned(), true),
        ] {
            assert_eq!(holds(header::IF_NONE_MATCH, &text, &before), is_met, "if-none-match: {text}");
        }
        assert!(Precondition::default().check(&before).is_ok());
    }

    #[test]
    fn a_tag_is_of_the_content_and_of_nothing_else() {
        let one = tag(&json!({"id": "a"})).unwrap();
        assert_eq!(one, tag(&serde_json::from_str(" {\"id\" :\"a\"}").unwrap()).unwrap());
        assert_ne!(one, tag(&json!({"id": "b"})).unwrap());
    }

    #[test]
    fn every_path_of_a_single_resource_is_in_the_table() {
        let all = crate::routes::all();
        for path in SINGLES {
            assert!(all.iter().any(|route| route.path == path && reads_one(route)), "{path}");
        }
        let writes = all.iter().filter(|route| is_conditional(route, &all)).count();
        assert!(writes >= 10, "only {writes} routes take preconditions");
    }
}
