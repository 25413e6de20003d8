//! `GET /v1/openapi.json`: the document. `GET /docs`: a page to read it, which needs nothing from anywhere else.
//!
//! The viewer is Swagger UI, embedded when the program is built. Its page may run only what this program serves.

use crate::{
    error::{Answer, Error},
    preconditions,
};
use alphagate_contract::problem::Code;
use axum::{
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, LazyLock};
use utoipa_swagger_ui::Config;

/// How long the document may be used without asking again: a deployment is seen within minutes.
const DOCUMENT_CACHE: &str = "public, max-age=300";
/// How long the viewer's files may be used: they change with the program only.
const VIEWER_CACHE: &str = "public, max-age=86400";
/// What the page may do: nothing but what comes from here. Pictures are in the style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The viewer's own files that the page needs.
const VIEWER: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];
const PAGE: &str = include_str!("page.html");
/// What starts the viewer.
const START: (&str, &str) = ("start.js", include_str!("start.js"));

/// Reads this document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    params(("if-none-match" = Option<String>, Header, description = "The `etag` of the copy that one has.")),
    responses(
        (status = 200, body = Object, content_type = "application/json"),
        (status = 304, description = "The copy is the newest."),
    ),
)]
pub(crate) async fn file(headers: HeaderMap) -> Response {
    static TAG: LazyLock<String> =
        LazyLock::new(|| format!("\"{}\"", hex::encode(Sha256::digest(super::text()))));
    let about = [(header::ETAG, TAG.as_str()), (header::CACHE_CONTROL, DOCUMENT_CACHE)];
    if preconditions::is_known(&headers, &TAG) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    ([(header::CONTENT_TYPE, "application/json")], about, super::text()).into_response()
}

/// Shows this document to people.
#[utoipa::path(get, path = "/docs", responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn page() -> Response {
    answer("text/html; charset=utf-8", PAGE.into())
}

/// Reads a file that the page needs.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    params(("file" = String, Path, example = "start.js")),
    responses((
        status = 200,
        content((String = "text/javascript"), (String = "text/css"), (String = "image/png"))
    )),
)]
pub(crate) async fn asset(Path(name): Path<String>) -> Answer {
    if name == START.0 {
        return Ok(answer("text/javascript", START.1.into()));
    }
    if !VIEWER.contains(&name.as_str()) {
        return Err(Code::NotFound.into());
    }
    let found = utoipa_swagger_ui::serve(&name, Arc::new(Config::from("/v1/openapi.json")));
    let file = found.map_err(Error::internal)?.ok_or_else(|| Error::internal("the viewer lacks a file"))?;
    let mut response = answer(&file.content_type, file.bytes.into_owned());
    if file.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

fn answer(content_type: &str, body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, VIEWER_CACHE),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}
