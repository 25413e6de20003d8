//! `POST /v1/responses` and `POST /v1/embeddings`: walk 1, from the key to the settled answer.
//!
//! Invariant: the order is admit, configuration, policy, quota, provider; what an earlier step refuses costs
//! nothing in a later one, and what was reserved is settled or given back exactly once.

use crate::{
    admit::{self, Purpose},
    answer,
    api::Api,
    disguise::{Disguise, Usage},
    identity::{self, Identity},
    org_client::{self, Ask, Asked, Reservation},
    org_wire::Settle,
    proxy::{self, Call, Dial, Head, Lease},
    request::{self, Outgoing},
    resolve::{self, Route, Trail},
    settings::Settings,
    stream::{self, Stream},
    visit::Visit,
};
use alphagate_contract::{
    endpoint::Price,
    key::ApiKey,
    problem::{Code, Problem},
    usage::Outcome,
};
use js_sys::Uint8Array;
use worker::{Request, Response};

/// How often configuration may change under a request before it gives up: once is a publish, twice a coincidence.
const OUTDATED_MAX: u32 = 4;

/// The header that names the endpoint when `model` cannot.
const ENDPOINT_HEADER: &str = "x-ag-endpoint";

/// What is asked for, and of which endpoint where the body does not say.
struct Asking {
    api: Api,
    endpoint: Option<String>,
}

/// An admitted request.
struct Admitted {
    route: Route,
    outgoing: Outgoing,
    reservation: Reservation,
}

/// Serves one request.
///
/// # Errors
/// [`Problem`], as the caller reads it.
pub async fn create(visit: &Visit, request: &Request, api: Api) -> Result<Response, Problem> {
    let header = |name: &str| request.headers().get(name).ok().flatten();
    let key = admit::key(&visit.settings.key_ring, header("authorization").as_deref())?;
    identity::check(visit, &key, Purpose::Call).await?;
    let lease = new_lease(&visit.settings);
    let asked = Asking { api, endpoint: header(ENDPOINT_HEADER) };
    let served = serve(visit, request, &key, &asked, &lease).await;
    if served.is_err() {
        lease.release();
    }
    served
}

fn new_lease(settings: &Settings) -> Lease {
    let life_ms = settings.body_deadline_ms + settings.first_byte_timeout_ms;
    Lease::new(settings.buffer_budget_bytes as f64, life_ms as f64)
}

async fn serve(
    visit: &Visit,
    request: &Request,
    key: &ApiKey,
    asking: &Asking,
    lease: &Lease,
) -> Result<Response, Problem> {
    let body = proxy::read_body(&visit.settings, request, lease).await?;
    let admitted = admit_request(visit, key, asking, &body).await?;
    let target = admitted.route.target()?;
    let price = target.price;
    let secret = match admitted.route.secret(visit) {
        Ok(secret) => secret,
        Err(problem) => return Err(give_back(visit, admitted.reservation, problem)),
    };
    let Admitted { outgoing, reservation, .. } = &admitted;
    if request.inner().signal().aborted() {
        return Err(give_back(visit, admitted.reservation, left()));
    }
    let url = format!("{}{}", target.base_url.trim_end_matches('/'), asking.api.path());
    let id = visit.id.to_string();
    let dial = Dial {
        url: &url,
        secret: secret.as_ref(),
        request_id: &id,
        stream: outgoing.stream,
        caller: request,
    };
    let call = proxy::dial(&dial, &body, &outgoing.pieces, lease);
    drop(body);
    let (reservation, disguise) = (reservation.clone(), outgoing.disguise.clone());
    if outgoing.stream {
        streamed(visit, call, reservation, disguise, price, lease).await
    } else {
        whole(visit, call, asking.api, reservation, &disguise, price, lease).await
    }
}

/// Resolves, checks and reserves; again if an object knows newer records.
async fn admit_request(
    visit: &Visit,
    key: &ApiKey,
    asking: &Asking,
    body: &Uint8Array,
) -> Result<Admitted, Problem> {
    for attempt in 0..OUTDATED_MAX {
        let identity = identity::check(visit, key, Purpose::Call).await?;
        let mut trail = Trail::of_key(key, identity.revision);
        let (route, outgoing) = match plan(visit, key, &identity, asking, body, &mut trail).await {
            Ok(planned) => planned,
            // What KV says may be a minute old: a refusal stands if the objects know of nothing newer.
            Err(refusal) if refusal.code.retryable() => return Err(refusal),
            Err(refusal) => match org_client::learn_newer(visit, &trail).await {
                true => continue,
                false => return Err(refusal),
            },
        };
        let asked =
            Ask { route: &route, trail: &trail, estimate: outgoing.estimate, stream: outgoing.stream };
        match org_client::reserve(visit, key, &asked, attempt).await? {
            Asked::Admitted(reservation) => return Ok(Admitted { route, outgoing, reservation }),
            Asked::Outdated => {}
        }
    }
    Err(Problem::new(Code::ConfigUnavailable).retry_after_ms(1_000))
}

/// The body lies in Wasm memory only here, and while configuration is warm nothing is awaited meanwhile.
async fn plan(
    visit: &Visit,
    key: &ApiKey,
    identity: &Identity,
    asking: &Asking,
    body: &Uint8Array,
    trail: &mut Trail,
) -> Result<(Route, Outgoing), Problem> {
    let bytes = body.to_vec();
    let members = request::members(&bytes)?;
    let model = request::asked_model(&members, asking.endpoint.clone())?;
    let asked = admit::asked_name(&identity.record, &model);
    let route = resolve::route(visit, key, asked, trail).await?;
    let outgoing = asking.api.compose(&members, route.config()?, route.target()?, &model)?;
    Ok((route, outgoing))
}

/// For the log: nobody reads the answer to a caller who has left.
fn left() -> Problem {
    Problem::new(Code::RequestMalformed).message("The caller left before the answer.")
}

fn give_back(visit: &Visit, reservation: Reservation, problem: Problem) -> Problem {
    org_client::cancel(visit, reservation);
    problem
}

async fn streamed(
    visit: &Visit,
    call: Call,
    reservation: Reservation,
    disguise: Disguise,
    price: Option<Price>,
    lease: &Lease,
) -> Result<Response, Problem> {
    let settings = &visit.settings;
    let dialled_ms = visit.elapsed_ms();
    let head = call.wait_head(settings.keep_alive_ms.min(settings.first_byte_timeout_ms)).await;
    let refused = match head {
        _ if call.gone() => return Err(abandoned(visit, reservation, price)),
        Head::Status(200) if call.is_event_stream() => None,
        // Nothing yet: the status is committed now, so that comments can keep the connection alive.
        Head::Silent if settings.keep_alive_ms < settings.first_byte_timeout_ms => None,
        Head::Silent => Some(Code::UpstreamTimeout.into()),
        Head::Unreachable => Some(Code::UpstreamUnreachable.into()),
        Head::Status(200) => Some(not_as_asked("an event stream")),
        Head::Status(status) => Some(call.refusal(status, &disguise, lease).await),
    };
    if let Some(problem) = refused {
        call.abort();
        return Err(give_back(visit, reservation, problem));
    }
    let limits = reservation.limits;
    let body = Stream::new(visit.clone(), reservation, disguise, price, dialled_ms).start(call)?;
    let internal = |_| Problem::new(Code::Internal);
    let headers = answer::event_stream_headers().map_err(internal)?;
    answer::add_limits(&headers, &limits).map_err(internal)?;
    Ok(Response::builder().with_headers(headers).stream(body))
}

fn not_as_asked(what: &str) -> Problem {
    Problem::new(Code::UpstreamError)
        .message(format!("The provider behind this endpoint did not answer with {what}."))
}

async fn whole(
    visit: &Visit,
    call: Call,
    api: Api,
    reservation: Reservation,
    disguise: &Disguise,
    price: Option<Price>,
    lease: &Lease,
) -> Result<Response, Problem> {
    let settings = &visit.settings;
    let refused = match call.wait_head(settings.first_byte_timeout_ms).await {
        _ if call.gone() => return Err(abandoned(visit, reservation, price)),
        Head::Status(200) if !call.is_event_stream() => None,
        Head::Silent => Some(Code::UpstreamTimeout.into()),
        Head::Unreachable => Some(Code::UpstreamUnreachable.into()),
        Head::Status(200) => Some(not_as_asked("JSON")),
        Head::Status(status) => Some(call.refusal(status, disguise, lease).await),
    };
    if let Some(problem) = refused {
        call.abort();
        return Err(give_back(visit, reservation, problem));
    }
    let first_byte_ms = visit.elapsed_ms();
    let left_ms = settings.request_total_max_ms.saturating_sub(first_byte_ms);
    let answered = call.whole(lease, left_ms).await;
    let shown = answered.and_then(|bytes| show(api, &bytes, disguise));
    lease.release();
    let (outcome, usage) = match &shown {
        Ok((_, outcome, usage)) => (*outcome, *usage),
        Err(_) if call.gone() => (Outcome::Aborted, None),
        Err(_) => (Outcome::Failed, None),
    };
    let settle = stream::settlement(&reservation, outcome, usage, price, first_byte_ms);
    let limits = reservation.limits;
    settle_later(visit, reservation, settle);
    let mut response = shown?.0;
    answer::add_limits(response.headers_mut(), &limits).map_err(|_| Code::Internal)?;
    Ok(response)
}

/// The caller left while the provider was at work: it is charged at the estimate.
fn abandoned(visit: &Visit, reservation: Reservation, price: Option<Price>) -> Problem {
    let settle = stream::settlement(&reservation, Outcome::Aborted, None, price, 0);
    settle_later(visit, reservation, settle);
    left()
}

fn settle_later(visit: &Visit, reservation: Reservation, settle: Settle) {
    let (env, limit_ms) = (visit.env.clone(), visit.settings.object_timeout_ms);
    visit.context.wait_until(async move {
        org_client::settle(&env, limit_ms, &reservation, &settle).await;
    });
}

fn show(
    api: Api,
    bytes: &Uint8Array,
    disguise: &Disguise,
) -> Result<(Response, Outcome, Option<Usage>), Problem> {
    let text = bytes.to_vec();
    let pieces = disguise.response(&text).map_err(|_| Code::UpstreamIncomplete)?;
    let (outcome, usage) = api.ended(&text);
    let response = proxy::respond(bytes, &pieces, &[("content-type", "application/json")])?;
    Ok((response, outcome, usage))
}
