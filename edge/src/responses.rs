//! `POST /v1/responses`, `/v1/responses/compact`, `/v1/chat/completions` and `/v1/embeddings`: walk 1, from the key to the settled answer.
//!
//! Invariant: the order is admit, configuration, policy, quota, targets; what an earlier step refuses costs
//! nothing in a later one. What was reserved is the attempts' to settle or to give back ([`Attempts`]).

use crate::{
    admit::{self, Purpose},
    answer,
    api::Api,
    asking::Asking,
    attempts::{Attempts, Commission},
    breaker::Standing,
    carry,
    chain::{self, Turn},
    compact,
    health::Patient,
    identity::{self, Identity},
    json_splice::Members,
    moderation,
    org_client::{self, Ask, Asked, Reservation, Standing as InOrg},
    pii::{self, Screened},
    proxy::{self, Lease},
    request::{self, Outgoing},
    resolve::{self, Route, Trail},
    schemas,
    settings::Settings,
    source, targets,
    visit::Visit,
    whole,
};
use alphagate_contract::{
    endpoint::Region,
    key::ApiKey,
    problem::{Code, Problem},
    quota::Amounts,
};
use alphagate_translate::schema::Schema;
use js_sys::{Reflect, Uint8Array};
use std::rc::Rc;
use wasm_bindgen::JsValue;
use worker::{Request, Response};

/// How often configuration may change under a request before it gives up: once is a publish, twice a coincidence.
const OUTDATED_MAX: u32 = 4;

/// The header that names the endpoint when `model` cannot.
pub const ENDPOINT_HEADER: &str = "x-ag-endpoint";

/// What would serve a request.
struct Plan {
    route: Route,
    /// The places of its targets, first to be asked first.
    order: Vec<usize>,
    /// Those of them that come last because their breaker is open.
    left_for_last: Vec<usize>,
    /// What goes to the first.
    outgoing: Outgoing,
    /// The name that the caller used.
    model: String,
    /// What the answer is checked against.
    schema: Option<Rc<Schema>>,
    /// What is kept of it, where the version keeps anything.
    turn: Option<Turn>,
    /// The body with the whole conversation and without what is redacted, where that is not what the caller sent.
    body: Option<Uint8Array>,
    /// What is shown to moderations first, as JSON.
    moderated: Option<Uint8Array>,
    /// What policies did to it.
    flags: Vec<String>,
}

/// An admitted request.
struct Admitted {
    plan: Plan,
    trail: Trail,
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
    let asking = Asking {
        api,
        endpoint: header(ENDPOINT_HEADER),
        region: region(request),
        caller: request.inner().signal(),
        lease: new_lease(&visit.settings),
        recall: None,
    };
    let served = match proxy::read_body(&visit.settings, request, &asking.lease).await {
        Ok(body) => serve(visit, &key, &asking, body).await,
        Err(problem) => Err(problem),
    };
    if served.is_err() {
        asking.lease.release();
    }
    served
}

/// The caller's continent, as Cloudflare knows it.
#[must_use]
pub fn region(request: &Request) -> Option<Region> {
    let of = |value: &JsValue, name: &str| Reflect::get(value, &JsValue::from_str(name)).ok();
    let place = of(request.inner().as_ref(), "cf").filter(JsValue::is_object)?;
    Region::of_code(&of(&place, "continent")?.as_string()?)
}

fn new_lease(settings: &Settings) -> Lease {
    Lease::new(settings.buffer_budget_bytes as f64, settings.lease_life_ms() as f64)
}

/// Serves what is asked, with the body that came.
///
/// # Errors
/// [`Problem`], as the caller reads it. The body's share of the budget is the caller's to give back then.
pub async fn serve(
    visit: &Visit,
    key: &ApiKey,
    asking: &Asking,
    body: Uint8Array,
) -> Result<Response, Problem> {
    let Admitted { plan, trail, reservation } = admit_request(visit, key, asking, &body).await?;
    if let Some(text) = &plan.moderated
        && let Err(problem) = moderation::of_input(visit, &plan.route, text, &asking.caller).await
    {
        org_client::cancel(visit, reservation);
        return Err(problem);
    }
    let stream = plan.outgoing.stream;
    let mut attempts = Attempts::new(Commission {
        visit: visit.clone(),
        key: key.clone(),
        api: asking.api,
        shown_model: plan.model,
        route: plan.route,
        trail,
        body: plan.body.unwrap_or(body),
        lease: asking.lease.clone(),
        caller: asking.caller.clone(),
        order: plan.order,
        outgoing: plan.outgoing,
        schema: plan.schema,
        reservation,
    });
    attempts.note_open(plan.left_for_last);
    let answer = if stream { source::serve(attempts).await? } else { whole::serve(attempts).await? };
    match plan.turn {
        _ if asking.api == Api::Compact => compacted(answer).await,
        Some(turn) => chain::finish(visit, turn, answer).await,
        None => Ok(answer),
    }
}

async fn compacted(mut answer: Response) -> Result<Response, Problem> {
    let bytes = answer.bytes().await.map_err(|_| Code::Internal)?;
    let headers = answer.headers().clone();
    let _ = headers.delete("content-length");
    let text = compact::concluded(&bytes)?;
    Ok(Response::from_bytes(text.into_bytes()).map_err(|_| Code::Internal)?.with_headers(headers))
}

/// Makes a conversation ready to be continued, and generates nothing: checked as a request is, it reaches no provider and
/// takes nothing from any quota.
///
/// # Errors
/// [`Problem`], as the caller reads it. The body's share of the budget is the caller's to give back then.
pub async fn warm_up(
    visit: &Visit,
    key: &ApiKey,
    asking: &Asking,
    body: &Uint8Array,
) -> Result<Response, Problem> {
    let plan = settled_plan(visit, key, asking, body).await?;
    let original = plan.body.as_ref().unwrap_or(body).to_vec();
    let id = format!("resp_{}", visit.id.uuid().simple());
    let events = carry::silence(&plan.outgoing, &original, &id, visit.started_ms / 1_000);
    asking.lease.release();
    let headers = answer::event_stream_headers().map_err(|_| Code::Internal)?;
    let response = Response::from_bytes(events.into_bytes()).map_err(|_| Code::Internal)?;
    let response = response.with_headers(headers);
    match plan.turn {
        Some(turn) => chain::finish(visit, turn, response).await,
        None => Ok(response),
    }
}

/// What would serve it, as the org's object has it.
async fn settled_plan(
    visit: &Visit,
    key: &ApiKey,
    asking: &Asking,
    body: &Uint8Array,
) -> Result<Plan, Problem> {
    for _ in 0..OUTDATED_MAX {
        let identity = identity::check(visit, key, Purpose::Call).await?;
        let mut trail = Trail::of_key(key, identity.revision);
        let planned = plan(visit, key, &identity, asking, body, &mut trail).await;
        match org_client::standing(visit, key, &trail).await? {
            InOrg::Outdated => {}
            InOrg::Suspended => return Err(Code::OrgSuspended.into()),
            InOrg::Current => return planned,
        }
    }
    Err(Problem::new(Code::ConfigUnavailable).retry_after_ms(1_000))
}

/// Resolves, checks and reserves; again if an object knows newer records.
async fn admit_request(
    visit: &Visit,
    key: &ApiKey,
    asking: &Asking,
    body: &Uint8Array,
) -> Result<Admitted, Problem> {
    // The usage event is found by `x-request-id`, however often was asked.
    let mut spent = false;
    for _ in 0..OUTDATED_MAX {
        let identity = identity::check(visit, key, Purpose::Call).await?;
        let mut trail = Trail::of_key(key, identity.revision);
        let plan = match plan(visit, key, &identity, asking, body, &mut trail).await {
            Ok(planned) => planned,
            // What KV says may be a minute old: a refusal stands if the objects know of nothing newer.
            Err(refusal) if refusal.code.retryable() => return Err(refusal),
            Err(refusal) => match org_client::learn_newer(visit, &trail).await {
                true => continue,
                false => return Err(refusal),
            },
        };
        let Outgoing { estimate, stream, .. } = plan.outgoing;
        let asked = Ask { route: &plan.route, trail: &trail, estimate, stream, id: visit.id, spent };
        match org_client::reserve(visit, key, &asked).await? {
            Asked::Admitted(mut reservation) => {
                reservation.flags.clone_from(&plan.flags);
                return Ok(Admitted { plan, trail, reservation });
            }
            Asked::Outdated { cancelled } => spent |= cancelled,
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
) -> Result<Plan, Problem> {
    let bytes = body.to_vec();
    let members = request::members(&bytes)?;
    let model = request::asked_model(&members, asking.endpoint.clone())?;
    let asked = admit::asked_name(&identity.record, &model);
    let route = resolve::route(visit, key, asked, trail).await?;
    let actions = &route.config()?.pii;
    let own = pii::screen(&members, actions, asking.api)?;
    let members = own.body.as_deref().map_or(Ok(members), request::members)?;
    let (turn, conversation) = chain::begin(visit, key, asking, &route, &members, &model).await?.unzip();
    let conversation = conversation.flatten();
    let members = conversation.as_deref().map_or(Ok(members), request::members)?;
    let expanded = compact::expanded(&members);
    let members = expanded.as_deref().map_or(Ok(members), request::members)?;
    // What a conversation brings may be of a time before the policy.
    let brought = match expanded.as_ref().or(conversation.as_ref()) {
        Some(_) => pii::screen(&members, actions, asking.api)?,
        None => Screened::default(),
    };
    let members = brought.body.as_deref().map_or(Ok(members), request::members)?;
    let targets = route.targets()?;
    let health = standings(&route, targets.len());
    let mut order = targets::order(targets, &health, asking.region, visit.id.uuid().as_u128());
    let mut outgoing = compose_first(&members, &route, asking.api, &model, &mut order)?;
    let first = order.first().copied().unwrap_or(0);
    let schema = match asking.api {
        Api::Responses | Api::Chat => schemas::of(&route)?,
        Api::Compact | Api::Embeddings => None,
    };
    // Whichever target serves it, what was reserved is enough for it.
    let Amounts { input_tokens, output_tokens, .. } = outgoing.estimate;
    let costs = targets.iter().filter_map(|target| target.price);
    let dearest = costs.map(|price| price.cost_micros(input_tokens, output_tokens)).max();
    outgoing.estimate.cost_micros = dearest.unwrap_or(0);
    let is_open = |at: &usize| health.get(*at) == Some(&Standing::Open);
    let left_for_last =
        if is_open(&first) { Vec::new() } else { order.iter().copied().filter(is_open).collect() };
    let moderated = moderation::input_text(&members, route.config()?, asking.api, outgoing.stream)?;
    let moderated = moderated.map(|text| Uint8Array::from(text.as_bytes()));
    let flags = own.redacted.union(&brought.redacted).map(|kind| format!("pii:{}", kind.as_str())).collect();
    let sent = brought.body.as_deref().or(expanded.as_deref()).or(conversation.as_deref());
    let sent = sent.or(own.body.as_deref()).map(Uint8Array::from);
    hold(&asking.lease, body, [sent.as_ref(), moderated.as_ref()])?;
    Ok(Plan { route, order, left_for_last, outgoing, model, schema, turn, body: sent, moderated, flags })
}

/// Takes what is held besides the caller's body out of the budget, too.
fn hold(lease: &Lease, body: &Uint8Array, besides: [Option<&Uint8Array>; 2]) -> Result<(), Problem> {
    let more: u64 = besides.into_iter().flatten().map(|bytes| u64::from(bytes.length())).sum();
    let all = more + u64::from(body.length());
    if more > 0 && !lease.grow(all as f64) {
        return Err(Problem::new(Code::Overloaded).retry_after_ms(1_000));
    }
    Ok(())
}

/// What goes to the first target that can serve the request. Those before it that cannot are not asked; if none can, the
/// refusal is the first one's.
fn compose_first(
    members: &Members<'_>,
    route: &Route,
    api: Api,
    model: &str,
    order: &mut Vec<usize>,
) -> Result<Outgoing, Problem> {
    let mut refusal: Option<Problem> = None;
    while let Some(at) = order.first().copied() {
        match api.compose(members, route.config()?, route.target(at)?, model, None) {
            Err(problem) if problem.code == Code::ParameterUnsupported => {
                refusal.get_or_insert(problem);
                order.remove(0);
            }
            composed => return composed,
        }
    }
    Err(refusal.unwrap_or_else(|| Code::EndpointMisconfigured.into()))
}

/// The health of the targets; a single one is asked whatever it is.
fn standings(route: &Route, targets: usize) -> Vec<Standing> {
    if targets < 2 {
        return Vec::new();
    }
    (0..targets).map(|at| Patient::new(route, at).standing()).collect()
}
