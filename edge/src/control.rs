//! Signed calls to control: a record on a miss, and usage handed over.

use crate::{clock, settings::Settings, wait};
use alphagate_contract::sign::{self, Audience, SIGNATURE_HEADER, Signed};
use worker::{Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Result};

/// What control answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Calls control; `None` when it cannot be reached in time. `request_id` is empty where no request is behind it.
pub async fn call(
    settings: &Settings,
    method: Method,
    path: &str,
    body: &str,
    request_id: &str,
) -> Option<Answer> {
    wait::at_most(settings.control_timeout_ms, send(settings, method, path, body, request_id)).await?.ok()
}

async fn send(
    settings: &Settings,
    method: Method,
    path: &str,
    body: &str,
    request_id: &str,
) -> Result<Answer> {
    let signed = Signed {
        audience: Audience::Control,
        method: method.as_ref(),
        path_and_query: path,
        body: body.as_bytes(),
    };
    let headers = Headers::new();
    headers.set(SIGNATURE_HEADER, &sign::sign(&settings.to_control, &signed, clock::now_ms()))?;
    if !request_id.is_empty() {
        headers.set("x-request-id", request_id)?;
    }
    headers.set("content-type", "application/json")?;
    let mut init = RequestInit::new();
    init.with_headers(headers).with_redirect(RequestRedirect::Manual);
    if method != Method::Get {
        init.with_body(Some(body.into()));
    }
    init.with_method(method);
    let url = format!("{}{path}", settings.control_url);
    let mut response = Fetch::Request(Request::new_with_init(&url, &init)?).send().await?;
    Ok(Answer { status: response.status_code(), body: response.text().await? })
}
