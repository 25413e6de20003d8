//! Every route of this program, by who may call it: the table of contents.
//!
//! The authorization grid in `tests/` walks this table, so a route that is here is tested against every kind of caller,
//! and a route cannot be anywhere else. A route of an org cannot be without an action: the table of roles says whose it is.

use crate::{
    accounts, answer_headers, app::App, audit, catalog, credentials, dispatch, drain, endpoints,
    error::Error, evals, events, files, gates, health, installs, jobs, keys, members, openapi, orgs,
    outbox::records, policies, preconditions, publications, quotas, rate_limits, request_id, roles::Action,
    runners, templates, usage, vault, versions,
};
use alphagate_contract::problem::Code;
use axum::{
    Extension, Router,
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
    /// A signed-in user, whatever org they are in.
    User,
    /// Somebody who may do this in an org: a user by role, a key by its scopes.
    Member(Action),
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

fn member<H, T>(action: Action, method: Method, path: &'static str, handler: H) -> Route
where
    H: Handler<T, App>,
    T: 'static,
{
    route(Caller::Member(action), method, path, handler)
}

/// The table.
#[must_use]
pub fn all() -> Vec<Route> {
    let tables = [
        anyone(),
        accounts(),
        user(),
        operator(),
        operator_of_jobs(),
        of_org(),
        of_endpoints(),
        of_policies(),
        of_jobs(),
        of_evals(),
        operator_of_vault(),
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

fn accounts() -> Vec<Route> {
    use Caller::Anyone as A;
    vec![
        route(A, Method::POST, "/v1/auth/sign-up", accounts::sign_up),
        route(A, Method::POST, "/v1/auth/verify", accounts::verify),
        route(A, Method::POST, "/v1/auth/sign-in", accounts::sign_in),
        route(A, Method::POST, "/v1/auth/forgot", accounts::forgot),
        route(A, Method::POST, "/v1/auth/reset", accounts::reset),
        route(A, Method::POST, "/v1/auth/device", accounts::ask_device),
        route(A, Method::POST, "/v1/auth/device/token", accounts::device_token),
    ]
}

fn user() -> Vec<Route> {
    use Caller::User as U;
    vec![
        route(U, Method::POST, "/v1/auth/sign-out", accounts::sign_out),
        route(U, Method::GET, "/v1/auth/device", accounts::look_at_device),
        route(U, Method::POST, "/v1/auth/device/approve", accounts::decide_device),
        route(U, Method::GET, "/v1/me", accounts::me),
        route(U, Method::PATCH, "/v1/me", accounts::change_me),
        route(U, Method::POST, "/v1/me/password", accounts::change_password),
        route(U, Method::GET, "/v1/sessions", accounts::list_sessions),
        route(U, Method::DELETE, "/v1/sessions", accounts::revoke_other_sessions),
        route(U, Method::POST, "/v1/sessions/rotate", accounts::rotate_session),
        route(U, Method::DELETE, "/v1/sessions/{id}", accounts::revoke_session),
        route(U, Method::GET, "/v1/orgs", orgs::list_own),
        route(U, Method::POST, "/v1/orgs", orgs::create_own),
        route(U, Method::POST, "/v1/invitations/accept", members::accept),
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

fn of_org() -> Vec<Route> {
    use Action as A;
    vec![
        member(A::OrgRead, Method::GET, "/v1/org", orgs::own),
        member(A::OrgWrite, Method::PATCH, "/v1/org", orgs::rename),
        member(A::MembersLeave, Method::POST, "/v1/org/leave", members::leave),
        member(A::MembersRead, Method::GET, "/v1/members", members::list),
        member(A::MembersRead, Method::GET, "/v1/members/{id}", members::get),
        member(A::MembersWrite, Method::PATCH, "/v1/members/{id}", members::change),
        member(A::MembersWrite, Method::DELETE, "/v1/members/{id}", members::remove),
        member(A::MembersInvite, Method::POST, "/v1/invitations", members::invite),
        member(A::MembersRead, Method::GET, "/v1/invitations", members::list_invitations),
        member(A::MembersInvite, Method::DELETE, "/v1/invitations/{id}", members::revoke_invitation),
        member(A::KeysWrite, Method::POST, "/v1/keys", keys::create),
        member(A::KeysRead, Method::GET, "/v1/keys", keys::list),
        member(A::KeysRead, Method::GET, "/v1/keys/{id}", keys::get),
        member(A::KeysWrite, Method::DELETE, "/v1/keys/{id}", keys::revoke),
        member(A::KeysWrite, Method::POST, "/v1/keys/{id}/rotate", keys::rotate),
        member(A::CredentialsWrite, Method::POST, "/v1/credentials", credentials::create),
        member(A::CredentialsRead, Method::GET, "/v1/credentials", credentials::list),
        member(A::CredentialsRead, Method::GET, "/v1/credentials/{id}", credentials::get),
        member(A::CredentialsWrite, Method::DELETE, "/v1/credentials/{id}", credentials::delete),
        member(A::CredentialsWrite, Method::PUT, "/v1/credentials/{id}/secret", credentials::rotate),
        member(A::CatalogRead, Method::GET, "/v1/catalog", catalog::list),
        member(A::InstallsWrite, Method::POST, "/v1/installs", installs::create),
        member(A::InstallsRead, Method::GET, "/v1/installs", installs::list),
        member(A::InstallsRead, Method::GET, "/v1/installs/{id}", installs::get),
        member(A::InstallsWrite, Method::PATCH, "/v1/installs/{id}", installs::change),
        member(A::InstallsWrite, Method::DELETE, "/v1/installs/{id}", installs::delete),
        member(A::QuotasRead, Method::GET, "/v1/quotas", quotas::get),
        member(A::QuotasWrite, Method::PUT, "/v1/quotas", quotas::put),
        member(A::UsageRead, Method::GET, "/v1/usage", usage::list),
        member(A::AuditRead, Method::GET, "/v1/audit", audit::list),
        member(A::AuditRead, Method::GET, "/v1/audit/export", audit::export),
    ]
}

fn of_endpoints() -> Vec<Route> {
    use Action as A;
    vec![
        member(A::EndpointsRead, Method::GET, "/v1/templates", templates::list),
        member(A::EndpointsRead, Method::GET, "/v1/templates/{name}", templates::get),
        member(A::EndpointsWrite, Method::POST, "/v1/templates/{name}/endpoints", templates::create),
        member(A::EndpointsWrite, Method::POST, "/v1/endpoints", endpoints::create),
        member(A::EndpointsRead, Method::GET, "/v1/endpoints", endpoints::list),
        member(A::EndpointsRead, Method::GET, "/v1/endpoints/{id}", endpoints::get),
        member(A::EndpointsWrite, Method::PATCH, "/v1/endpoints/{id}", endpoints::change),
        member(A::EndpointsPublish, Method::DELETE, "/v1/endpoints/{id}", endpoints::delete),
        member(A::EndpointsPublish, Method::POST, "/v1/endpoints/{id}/withdraw", endpoints::withdraw),
        member(A::EndpointsWrite, Method::POST, "/v1/endpoints/{id}/fork", endpoints::fork),
        member(A::EndpointsPublish, Method::POST, "/v1/endpoints/{id}/promote", publications::promote),
        member(A::EndpointsPublish, Method::POST, "/v1/endpoints/{id}/rollback", publications::rollback),
        member(A::EndpointsWrite, Method::POST, "/v1/endpoints/{id}/versions", versions::create),
        member(A::EndpointsRead, Method::GET, "/v1/endpoints/{id}/versions", versions::list),
        member(A::EndpointsRead, Method::GET, "/v1/endpoints/{id}/versions/{number}", versions::get),
        member(A::EndpointsRead, Method::GET, "/v1/endpoints/{id}/versions/{number}/diff", versions::diff),
        member(A::EndpointsPublish, Method::POST, "/v1/endpoints/{id}/publications", publications::create),
        member(A::EndpointsRead, Method::GET, "/v1/endpoints/{id}/publications", publications::list),
        member(
            A::EndpointsRead,
            Method::GET,
            "/v1/endpoints/{id}/publications/{publication}",
            publications::get,
        ),
        member(
            A::EndpointsPublish,
            Method::POST,
            "/v1/endpoints/{id}/publications/{publication}/cancel",
            publications::cancel,
        ),
        member(A::EndpointsPublish, Method::POST, "/v1/endpoints/{id}/canary", publications::start_canary),
        member(A::EndpointsPublish, Method::DELETE, "/v1/endpoints/{id}/canary", publications::stop_canary),
        member(A::EndpointsRead, Method::GET, "/v1/endpoints/{id}/gate", gates::get),
        member(A::GateWrite, Method::PUT, "/v1/endpoints/{id}/gate", gates::put),
    ]
}

fn of_policies() -> Vec<Route> {
    use Action as A;
    vec![
        member(A::PoliciesWrite, Method::POST, "/v1/policies", policies::create),
        member(A::PoliciesRead, Method::GET, "/v1/policies", policies::list),
        member(A::PoliciesRead, Method::GET, "/v1/policies/presets", policies::presets),
        member(A::PoliciesRead, Method::GET, "/v1/policies/{id}", policies::get),
        member(A::PoliciesWrite, Method::DELETE, "/v1/policies/{id}", policies::delete),
        member(A::PoliciesWrite, Method::POST, "/v1/policies/{id}/revisions", policies::revise),
        member(A::PoliciesRead, Method::GET, "/v1/policies/{id}/revisions", policies::list_revisions),
        member(A::PoliciesRead, Method::GET, "/v1/policies/{id}/revisions/{number}", policies::get_revision),
    ]
}

fn of_evals() -> Vec<Route> {
    use Action as A;
    use evals::runs;
    // An upload has a bound of its own, and is written as it comes.
    let upload = axum::routing::post(files::create).layer(DefaultBodyLimit::disable());
    vec![
        member(A::EvalsRun, Method::POST, "/v1/evals", evals::create),
        member(A::EvalsRead, Method::GET, "/v1/evals", evals::list),
        member(A::EvalsRead, Method::GET, "/v1/evals/{id}", evals::get),
        member(A::EvalsRun, Method::POST, "/v1/evals/{id}", evals::change),
        member(A::EvalsRun, Method::DELETE, "/v1/evals/{id}", evals::delete),
        member(A::EvalsRun, Method::POST, "/v1/evals/{id}/runs", runs::create),
        member(A::EvalsRead, Method::GET, "/v1/evals/{id}/runs", runs::list),
        member(A::EvalsRead, Method::GET, "/v1/evals/{id}/runs/{run}", runs::get),
        member(A::EvalsRun, Method::POST, "/v1/evals/{id}/runs/{run}", runs::cancel_by_post),
        member(A::EvalsRun, Method::POST, "/v1/evals/{id}/runs/{run}/cancel", runs::cancel),
        member(A::EvalsRun, Method::DELETE, "/v1/evals/{id}/runs/{run}", runs::delete),
        member(A::EvalsRead, Method::GET, "/v1/evals/{id}/runs/{run}/events", runs::events),
        member(A::EvalsRead, Method::GET, "/v1/evals/{id}/runs/{run}/output_items", runs::list_items),
        member(A::EvalsRead, Method::GET, "/v1/evals/{id}/runs/{run}/output_items/{item}", runs::get_item),
        member(A::EvalsRun, Method::POST, "/v1/fine_tuning/alpha/graders/run", evals::run_grader),
        member(A::EvalsRun, Method::POST, "/v1/fine_tuning/alpha/graders/validate", evals::validate_grader),
        Route {
            caller: Caller::Member(A::EvalsRun),
            method: Method::POST,
            path: "/v1/files",
            handler: upload,
        },
        member(A::EvalsRead, Method::GET, "/v1/files", files::list),
        member(A::EvalsRead, Method::GET, "/v1/files/{id}", files::get),
        member(A::EvalsRun, Method::DELETE, "/v1/files/{id}", files::delete),
        member(A::EvalsRead, Method::GET, "/v1/files/{id}/content", files::content),
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

fn operator_of_vault() -> Vec<Route> {
    use Caller::Operator as O;
    vec![
        route(O, Method::GET, "/operator/v1/vault", vault::state),
        route(O, Method::POST, "/operator/v1/vault/renew", vault::renew),
        route(O, Method::POST, "/operator/v1/vault/end-move", vault::end_move),
        route(O, Method::POST, "/operator/v1/orgs/{id}/data-key", vault::rotate),
    ]
}

fn of_jobs() -> Vec<Route> {
    use Action as A;
    vec![
        member(A::JobsRun, Method::POST, "/v1/jobs", jobs::create),
        member(A::JobsRead, Method::GET, "/v1/jobs", jobs::list),
        member(A::JobsRead, Method::GET, "/v1/jobs/{id}", jobs::get),
        member(A::JobsRun, Method::DELETE, "/v1/jobs/{id}", jobs::delete),
        member(A::JobsRun, Method::POST, "/v1/jobs/{id}/cancel", jobs::cancel),
        member(A::JobsRun, Method::POST, "/v1/jobs/{id}/retry", jobs::retry),
        member(A::JobsRead, Method::GET, "/v1/jobs/{id}/output", jobs::download),
        member(A::JobsRead, Method::GET, "/v1/jobs/{id}/artefacts/{*path}", jobs::artefact),
        member(A::JobsRead, Method::GET, "/v1/jobs/{id}/events", events::stream),
        member(A::JobsRead, Method::GET, "/v1/queue", jobs::queue),
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
    let table = all();
    let limits = middleware::from_fn_with_state(app.clone(), rate_limits::layer);
    let router = all().into_iter().fold(Router::new(), |router, route| {
        let kind = preconditions::kind(&route, &table);
        let handler = match kind {
            Some(kind) => {
                let tags = middleware::from_fn(preconditions::layer);
                route.handler.route_layer(tags).route_layer(Extension(kind))
            }
            None => route.handler,
        };
        let handler = match rate_limits::is_limited(route.caller, route.path) {
            true => handler.route_layer(limits.clone()),
            false => handler,
        };
        // Whoever asks who calls, asks for whom the route is: without this, nobody is let in.
        router.route(route.path, handler.route_layer(Extension(route.caller)))
    });
    router
        .fallback(async || Error::from(Code::RouteNotFound))
        .method_not_allowed_fallback(async || Error::from(Code::MethodNotAllowed))
        .layer(middleware::from_fn(answer_headers::layer))
        .layer(CatchPanicLayer::custom(request_id::after_panic))
        .layer(middleware::from_fn_with_state(app.clone(), request_id::under_id))
        .layer(middleware::from_fn(drain::unread))
        .with_state(app)
}
