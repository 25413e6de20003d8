//! Every route of this program, by who may call it: the table of contents.
//!
//! The authorization grid in `tests/` walks this table, so a route that is here is tested against every kind of caller,
//! and a route cannot be anywhere else.

use crate::{
    app::App, catalog, credentials, drain, endpoints, error::Error, health, installs, keys, orgs,
    publications, quotas, records, request_id, usage, versions,
};
use alphagate_contract::problem::Code;
use axum::{
    Router,
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
    [anyone(), operator(), admin(), admin_of_endpoints(), edge()].into_iter().flatten().collect()
}

fn anyone() -> Vec<Route> {
    let route = |path, handler| Route { caller: Caller::Anyone, method: Method::GET, path, handler };
    vec![
        route("/healthz", axum::routing::get(health::healthz)),
        route("/readyz", axum::routing::get(health::readyz)),
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
