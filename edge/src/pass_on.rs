//! `/v1/evals…`, `/v1/fine_tuning/alpha/graders/…`, `/v1/files…`, `/v1/jobs…`: passed on to control, so that evaluators
//! have one `base_url`.
//!
//! Invariant: the edge proves the key and signs for whose it is; the key itself never leaves, and control alone says what
//! it may do. Only the headers named here are sent. No body enters Wasm memory.

use crate::{
    admit::{self, Purpose},
    clock, identity, org_client,
    visit::Visit,
};
use alphagate_contract::{
    key::ApiKey,
    problem::{Code, Problem},
    sign::{self, Audience, PRINCIPAL_HEADER, SIGNATURE_HEADER, Signed},
};
use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::*;
use worker::{Request, Response, web_sys};

/// What is passed on: each of these paths, and everything below it.
const ROOTS: [&str; 4] = ["/v1/evals", "/v1/fine_tuning/alpha/graders", "/v1/files", "/v1/jobs"];
/// Methods that control may have routes for.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// Headers of the caller that control sees.
const SENT: [&str; 6] =
    ["accept", "content-type", "idempotency-key", "if-none-match", "last-event-id", "range"];
/// The slowest upload that is waited for, bytes per millisecond: 100 kB/s, a poor home line.
const SLOWEST_BYTES_PER_MS: u64 = 100;
/// When control may be back, milliseconds: a restart takes about so long.
const RETRY_MS: u64 = 2_000;

#[wasm_bindgen(module = "/src/pass_on.js")]
extern "C" {
    #[wasm_bindgen(js_name = pathOf, catch)]
    fn path_of(url: &str) -> Result<String, JsValue>;

    #[wasm_bindgen(js_name = passOn, catch)]
    async fn pass_on_with(
        request: &web_sys::Request,
        url: &str,
        headers: &Object,
        declared: f64,
        max_bytes: f64,
        wait_ms: f64,
    ) -> Result<JsValue, JsValue>;
}

/// Whether this path is control's.
#[must_use]
pub fn is_passed_on(path: &str) -> bool {
    ROOTS
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Passes one request on.
///
/// # Errors
/// 401 and 403 for keys, 413 for a body over the limit, 503 when control cannot be reached; everything else is control's
/// answer.
pub async fn serve(visit: &Visit, request: &Request) -> Result<Response, Problem> {
    let header = |name: &str| request.headers().get(name).ok().flatten();
    let key = admit::key(&visit.settings.key_ring, header("authorization").as_deref())?;
    check(visit, &key).await?;
    let method = request.method().as_ref().to_owned();
    if !METHODS.contains(&method.as_str()) {
        return Err(Code::MethodNotAllowed.into());
    }
    let declared = declared_bytes(visit, header("content-length"))?;
    let path = path_of(&request.inner().url()).map_err(|_| Code::RequestMalformed)?;
    // Dots are resolved now: they must not lead elsewhere.
    if !path.split('?').next().is_some_and(is_passed_on) {
        return Err(Code::RouteNotFound.into());
    }
    let headers = sent_headers(visit, &key, &method, &path, header);
    let url = format!("{}{path}", visit.settings.control_url);
    let empty = request.inner().body().is_none();
    let (max_bytes, wait_ms) = (visit.settings.upload_max_bytes, wait_ms(visit, declared, empty));
    let length = declared.map_or(-1.0, |bytes| bytes as f64);
    let answer = pass_on_with(request.inner(), &url, &headers, length, max_bytes as f64, wait_ms as f64)
        .await
        .map_err(|_| Code::Internal)?;
    match answer.dyn_into::<web_sys::Response>() {
        Ok(response) => Ok(Response::from(response)),
        Err(word) if word.as_string().as_deref() == Some("too_large") => Err(too_large(visit)),
        Err(_) => Err(Problem::new(Code::ControlUnavailable).retry_after_ms(RETRY_MS)),
    }
}

/// Admits the key as a call does, quota aside. An object that is silent is no reason to refuse: control looks at what is
/// true anyway.
async fn check(visit: &Visit, key: &ApiKey) -> Result<(), Problem> {
    let identity = identity::check(visit, key, Purpose::PassOn).await?;
    if org_client::learn_newer_key(visit, key, identity.revision).await {
        identity::check(visit, key, Purpose::PassOn).await?;
    }
    Ok(())
}

fn declared_bytes(visit: &Visit, content_length: Option<String>) -> Result<Option<u64>, Problem> {
    let declared = content_length.map(|text| text.parse::<u64>().map_err(|_| Code::RequestMalformed));
    let declared = declared.transpose()?;
    if declared.is_some_and(|bytes| bytes > visit.settings.upload_max_bytes) {
        return Err(too_large(visit));
    }
    Ok(declared)
}

fn too_large(visit: &Visit) -> Problem {
    let message = format!("The request body is over the limit of {} bytes.", visit.settings.upload_max_bytes);
    Problem::new(Code::BodyTooLarge).message(message)
}

/// How long control may take to begin its answer: it has to read the body first.
fn wait_ms(visit: &Visit, declared: Option<u64>, empty: bool) -> u64 {
    let settings = &visit.settings;
    let upload_ms = match declared {
        _ if empty => 0,
        Some(bytes) => bytes / SLOWEST_BYTES_PER_MS,
        None => settings.upload_max_bytes / SLOWEST_BYTES_PER_MS,
    };
    settings.first_byte_timeout_ms.saturating_add(upload_ms)
}

fn sent_headers(
    visit: &Visit,
    key: &ApiKey,
    method: &str,
    path: &str,
    header: impl Fn(&str) -> Option<String>,
) -> Object {
    let principal = format!("{}/{}", key.org, key.id);
    let signed =
        Signed { audience: Audience::PassedOn, method, path_and_query: path, body: principal.as_bytes() };
    let signature = sign::sign(&visit.settings.to_control, &signed, clock::now_ms());
    let headers = Object::new();
    let set = |name: &str, value: &str| {
        // Setting a plain property of a fresh object cannot fail.
        let _ = Reflect::set(&headers, &JsValue::from_str(name), &JsValue::from_str(value));
    };
    for name in SENT {
        if let Some(value) = header(name) {
            set(name, &value);
        }
    }
    if header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        set("upgrade", "websocket");
    }
    set("accept-encoding", "identity");
    set("user-agent", "alphagate");
    set("x-request-id", &visit.id.to_string());
    set(PRINCIPAL_HEADER, &principal);
    set(SIGNATURE_HEADER, &signature);
    headers
}

#[cfg(test)]
mod tests {
    use super::is_passed_on;

    #[test]
    fn only_controls_paths_are_passed_on() {
        for path in ["/v1/evals", "/v1/evals/", "/v1/files/file_1/content", "/v1/jobs/job_1/events"] {
            assert!(is_passed_on(path), "{path}");
        }
        assert!(is_passed_on("/v1/fine_tuning/alpha/graders/run"));
        for path in
            ["/v1/eval", "/v1/evalsx", "/v1/fine_tuning/jobs", "/v1/keys", "/v1", "/V1/evals", "/x/v1/files"]
        {
            assert!(!is_passed_on(path), "{path}");
        }
    }
}
