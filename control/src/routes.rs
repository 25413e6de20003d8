//! Every route of this program, by who may call it: the table of contents.
//!
//! The authorization grid in `tests/` walks this table, so a route that is here is tested against every kind of caller,
//! and a route cannot be anywhere else.

use crate::{
    app::App, catalog, credentials, dispatch, drain, endpoints, error::Error, evals, events, files, gates,
    health, installs, jobs, keys, openapi, orgs, publications, quotas, records, request_id, runners, usage,
    versions,
};
use alphagate_contract::problem::Code;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};
use tower_http::catch_panic::CatchPanicLayer;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Anybody.
    Anyone,
    /// The holder of the operator token.
    Operator,
    /// An org, with a key of scope `admin`.
    Admin,
    /// An org, with a key of the scopes `admin` and `gate`.
    Gatekeeper,
    /// An org, with a key of scope `evals` or `admin`; the edge passes such requests on.
    Evaluator,
    /// A host that runs jobs, with a runner token.
    Runner,
    /// The edge, by its signature.
    Edge,
}

/// One route: who may call it, its method and its path.
pub struct Route {
    /// Who may call it.
    pub caller: Caller,
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    handler: MethodRouter<App>,
}

fn route<H, T>(caller: Caller, method: Method, path: &'static str, handler: H) -> Route
where
    H: Handler<T, App>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::TRACE);
    Route { caller, method, path, handler: on(filter, handler) }
}

/// The table.
#[must_use]
pub fn all() -> Vec<Route> {
    let tables = [
        anyone(),
        operator(),
        operator_of_jobs(),
        admin(),
        admin_of_endpoints(),
        evaluator_of_jobs(),
        evaluator_of_evals(),
        runner(),
        edge(),
    ];
    tables.into_iter().flatten().collect()
}

fn anyone() -> Vec<Route> {
    let route = |path, handler| Route { caller: Caller::Anyone, method: Method::GET, path, handler };
    vec![
        route("/healthz", axum::routing::get(health::healthz)),
        route("/readyz", axum::routing::get(health::readyz)),
        route("/v1/openapi.json", axum::routing::get(openapi::file)),
        route("/docs", axum::routing::get(openapi::page)),
        route("/docs/{file}", axum::routing::get(openapi::asset)),
    ]
}

fn operator() -> Vec<Route> {
    use Caller::Operator as O;
    vec![
        route(O, Method::POST, "/operator/v1/orgs", orgs::create),
        route(O, Method::GET, "/operator/v1/orgs", orgs::list),
        route(O, Method::GET, "/operator/v1/orgs/{id}", orgs::get),
        route(O, Method::PATCH, "/operator/v1/orgs/{id}", orgs::change),
    ]
}

fn admin() -> Vec<Route> {
    use Caller::Admin as A;
    vec![
        route(A, Method::GET, "/v1/org", orgs::own),
        route(A, Method::POST, "/v1/keys", keys::create),
        route(A, Method::GET, "/v1/keys", keys::list),
        route(A, Method::GET, "/v1/keys/{id}", keys::get),
        route(A, Method::DELETE, "/v1/keys/{id}", keys::revoke),
        route(A, Method::POST, "/v1/keys/{id}/rotate", keys::rotate),
        route(A, Method::POST, "/v1/credentials", credentials::create),
        route(A, Method::GET, "/v1/credentials", credentials::list),
        route(A, Method::GET, "/v1/credentials/{id}", credentials::get),
        route(A, Method::DELETE, "/v1/credentials/{id}", credentials::delete),
        route(A, Method::PUT, "/v1/credentials/{id}/secret", credentials::rotate),
        route(A, Method::GET, "/v1/catalog", catalog::list),
        route(A, Method::POST, "/v1/installs", installs::create),
        route(A, Method::GET, "/v1/installs", installs::list),
        route(A, Method::GET, "/v1/installs/{id}", installs::get),
        route(A, Method::PATCH, "/v1/installs/{id}", installs::change),
        route(A, Method::DELETE, "/v1/installs/{id}", installs::delete),
        route(A, Method::GET, "/v1/quotas", quotas::get),
        route(A, Method::PUT, "/v1/quotas", quotas::put),
        route(A, Method::GET, "/v1/usage", usage::list),
    ]
}

fn admin_of_endpoints() -> Vec<Route> {
    use Caller::Admin as A;
    vec![
        route(A, Method::POST, "/v1/endpoints", endpoints::create),
        route(A, Method::GET, "/v1/endpoints", endpoints::list),
        route(A, Method::GET, "/v1/endpoints/{id}", endpoints::get),
        route(A, Method::PATCH, "/v1/endpoints/{id}", endpoints::change),
        route(A, Method::POST, "/v1/endpoints/{id}/withdraw", endpoints::withdraw),
        route(A, Method::POST, "/v1/endpoints/{id}/versions", versions::create),
        route(A, Method::GET, "/v1/endpoints/{id}/versions", versions::list),
        route(A, Method::GET, "/v1/endpoints/{id}/versions/{number}", versions::get),
        route(A, Method::POST, "/v1/endpoints/{id}/publications", publications::create),
        route(A, Method::GET, "/v1/endpoints/{id}/publications", publications::list),
        route(A, Method::GET, "/v1/endpoints/{id}/publications/{publication}", publications::get),
        route(A, Method::POST, "/v1/endpoints/{id}/publications/{publication}/cancel", publications::cancel),
        route(A, Method::POST, "/v1/endpoints/{id}/canary", publications::start_canary),
        route(A, Method::DELETE, "/v1/endpoints/{id}/canary", publications::stop_canary),
        route(A, Method::GET, "/v1/endpoints/{id}/gate", gates::get),
        route(Caller::Gatekeeper, Method::PUT, "/v1/endpoints/{id}/gate", gates::put),
    ]
}

fn evaluator_of_evals() -> Vec<Route> {
    use Caller::Evaluator as E;
    use evals::runs;
    // An upload has a bound of its own, and is written as it comes.
    let upload = axum::routing::post(files::create).layer(DefaultBodyLimit::disable());
    vec![
        route(E, Method::POST, "/v1/evals", evals::create),
        route(E, Method::GET, "/v1/evals", evals::list),
        route(E, Method::GET, "/v1/evals/{id}", evals::get),
        route(E, Method::POST, "/v1/evals/{id}", evals::change),
        route(E, Method::DELETE, "/v1/evals/{id}", evals::delete),
        route(E, Method::POST, "/v1/evals/{id}/runs", runs::create),
        route(E, Method::GET, "/v1/evals/{id}/runs", runs::list),
        route(E, Method::GET, "/v1/evals/{id}/runs/{run}", runs::get),
        route(E, Method::POST, "/v1/evals/{id}/runs/{run}", runs::cancel_by_post),
        route(E, Method::POST, "/v1/evals/{id}/runs/{run}/cancel", runs::cancel),
        route(E, Method::DELETE, "/v1/evals/{id}/runs/{run}", runs::delete),
        route(E, Method::GET, "/v1/evals/{id}/runs/{run}/events", runs::events),
        route(E, Method::GET, "/v1/evals/{id}/runs/{run}/output_items", runs::list_items),
        route(E, Method::GET, "/v1/evals/{id}/runs/{run}/output_items/{item}", runs::get_item),
        route(E, Method::POST, "/v1/fine_tuning/alpha/graders/run", evals::run_grader),
        route(E, Method::POST, "/v1/fine_tuning/alpha/graders/validate", evals::validate_grader),
        Route { caller: E, method: Method::POST, path: "/v1/files", handler: upload },
        route(E, Method::GET, "/v1/files", files::list),
        route(E, Method::GET, "/v1/files/{id}", files::get),
        route(E, Method::DELETE, "/v1/files/{id}", files::delete),
        route(E, Method::GET, "/v1/files/{id}/content", files::content),
    ]
}

fn operator_of_jobs() -> Vec<Route> {
    use Caller::Operator as O;
    vec![
        route(O, Method::POST, "/operator/v1/runner-tokens", runners::create_token),
        route(O, Method::GET, "/operator/v1/runner-tokens", runners::list_tokens),
        route(O, Method::DELETE, "/operator/v1/runner-tokens/{id}", runners::revoke_token),
        route(O, Method::GET, "/operator/v1/runners", runners::list),
        route(O, Method::POST, "/operator/v1/runners/{id}/drain", runners::drain),
        route(O, Method::GET, "/operator/v1/queue", jobs::queue_of_all),
        route(O, Method::GET, "/operator/v1/orgs/{id}/queue", jobs::queue_settings),
        route(O, Method::PUT, "/operator/v1/orgs/{id}/queue", jobs::set_queue_settings),
    ]
}

fn evaluator_of_jobs() -> Vec<Route> {
    use Caller::Evaluator as V;
    vec![
        route(V, Method::POST, "/v1/jobs", jobs::create),
        route(V, Method::GET, "/v1/jobs", jobs::list),
        route(V, Method::GET, "/v1/jobs/{id}", jobs::get),
        route(V, Method::DELETE, "/v1/jobs/{id}", jobs::delete),
        route(V, Method::POST, "/v1/jobs/{id}/cancel", jobs::cancel),
        route(V, Method::POST, "/v1/jobs/{id}/retry", jobs::retry),
        route(V, Method::GET, "/v1/jobs/{id}/output", jobs::download),
        route(V, Method::GET, "/v1/jobs/{id}/artefacts/{*path}", jobs::artefact),
        route(V, Method::GET, "/v1/jobs/{id}/events", events::stream),
        route(V, Method::GET, "/v1/queue", jobs::queue),
    ]
}

fn runner() -> Vec<Route> {
    use Caller::Runner as R;
    vec![
        route(R, Method::POST, "/runner/v1/runners", runners::register),
        route(R, Method::DELETE, "/runner/v1/runners/{runner}", runners::goodbye),
        route(R, Method::POST, "/runner/v1/runners/{runner}/claim", dispatch::claim),
        route(R, Method::POST, "/runner/v1/runners/{runner}/renew", dispatch::renew),
        route(R, Method::POST, "/runner/v1/runners/{runner}/commands", dispatch::commands),
        route(R, Method::POST, "/runner/v1/runners/{runner}/output", dispatch::output),
        route(R, Method::POST, "/runner/v1/runners/{runner}/finish", dispatch::finish),
    ]
}

fn edge() -> Vec<Route> {
    use Caller::Edge as E;
    vec![
        route(E, Method::GET, "/internal/v1/records/{*key}", records::read),
        route(E, Method::POST, "/internal/v1/usage", usage::ingest),
    ]
}

/// The router of the table, with what holds for all of it.
pub fn router(app: App) -> Router {
    let router =
        all().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler));
    router
        .fallback(async || Error::from(Code::RouteNotFound))
        .method_not_allowed_fallback(async || Error::from(Code::MethodNotAllowed))
        .layer(CatchPanicLayer::custom(request_id::after_panic))
        .layer(middleware::from_fn_with_state(app.clone(), request_id::under_id))
        .layer(middleware::from_fn(drain::unread))
        .with_state(app)
}
