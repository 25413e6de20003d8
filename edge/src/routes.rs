//! The Worker's table of contents: which path is served by what.

use crate::{
    answer, api::Api, internal, models, pass_on, responses, settings::URL_MAX_LEN, socket, stored,
    visit::Visit,
};
use alphagate_contract::problem::{Code, Problem};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{Context, Env, Method, Request, Response, Result, console_error, console_log};

/// Longest path in the log, characters: every route and every endpoint's name fit, a caller's 20 KB do not.
const PATH_LOGGED_MAX: usize = 256;

/// Answers one request, whatever happens.
///
/// # Errors
/// When the platform refuses to build an answer.
pub async fn serve(request: Request, env: Env, context: Context) -> Result<Response> {
    let visit = match Visit::new(env, context) {
        Ok(visit) => visit,
        Err(problem) => return answer::problem(&problem),
    };
    // The work is kept alive on its own: if the caller leaves before the answer, what was reserved is still
    // settled, and what is held is given back.
    let kept = visit.clone();
    let work = future_to_promise(async move {
        let response = answered(&kept, request).await.map_err(JsValue::from)?;
        Ok(worker::web_sys::Response::from(response).into())
    });
    let alive = work.clone();
    visit.context.wait_until(async move {
        let _ = JsFuture::from(alive).await;
    });
    let response: worker::web_sys::Response = JsFuture::from(work).await?.into();
    Ok(response.into())
}

async fn answered(visit: &Visit, mut request: Request) -> Result<Response> {
    let origin = request.headers().get("origin")?;
    let path = request.path();
    let outcome = dispatch(visit, &mut request, &path).await;
    let code = outcome.as_ref().err().map(|problem| problem.code.as_str());
    let response = match outcome {
        Ok(response) => response,
        Err(problem) => answer::problem(&problem)?,
    };
    // What succeeds is told by its usage event, and by Cloudflare's own invocation logs.
    if let Some(code) = code {
        tell(visit, &request, &path, response.status_code(), code);
    }
    answer::finish(visit, origin.as_deref(), response)
}

/// A line in the log about a request that was refused or failed.
fn tell(visit: &Visit, request: &Request, path: &str, status: u16, code: &str) {
    let shown_path: String = path.chars().take(PATH_LOGGED_MAX).collect();
    let line = serde_json::json!({
        "message": "request", "request_id": visit.id, "method": request.method().as_ref(), "path": shown_path,
        "status": status, "code": code, "head_ms": visit.elapsed_ms(),
    });
    if status >= 500 {
        console_error!("{line}");
    } else {
        console_log!("{line}");
    }
}

async fn dispatch(visit: &Visit, request: &mut Request, path: &str) -> Result<Response, Problem> {
    if request.inner().url().len() > URL_MAX_LEN {
        return Err(Code::UriTooLong.into());
    }
    let method = request.method();
    let internal = |_| Problem::new(Code::Internal);
    match (path, &method) {
        (_, Method::Options) => answer::preflight(visit, request).map_err(internal),
        (path, _) if pass_on::is_passed_on(path) => pass_on::serve(visit, request).await,
        ("/v1/responses", Method::Post) => responses::create(visit, request, Api::Responses).await,
        ("/v1/responses", Method::Get) if socket::is_wanted(request) => socket::open(visit, request).await,
        ("/v1/chat/completions", Method::Post) => responses::create(visit, request, Api::Chat).await,
        ("/v1/responses/compact", Method::Post) => responses::create(visit, request, Api::Compact).await,
        (path, _) if path.starts_with(stored::PREFIX) => {
            stored::serve(visit, request, path.strip_prefix(stored::PREFIX).unwrap_or_default()).await
        }
        ("/v1/embeddings", Method::Post) => responses::create(visit, request, Api::Embeddings).await,
        ("/v1/models", Method::Get) => models::list(visit, request, None).await,
        (internal::RECORDS_PATH, Method::Post) => internal::push(visit, request).await,
        ("/healthz", Method::Get) => answer::json(b"{\"status\":\"ok\"}".to_vec()).map_err(internal),
        (
            "/v1/responses"
            | "/v1/chat/completions"
            | "/v1/embeddings"
            | "/v1/models"
            | internal::RECORDS_PATH
            | "/healthz",
            _,
        ) => Err(Code::MethodNotAllowed.into()),
        _ => match path.strip_prefix("/v1/models/") {
            Some(name) if method == Method::Get => models::list(visit, request, Some(name)).await,
            Some(_) => Err(Code::MethodNotAllowed.into()),
            None => Err(Code::RouteNotFound.into()),
        },
    }
}
