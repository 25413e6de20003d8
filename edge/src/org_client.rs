//! Calls to the objects of the orgs that a request concerns: reserve, settle, cancel.
//!
//! Invariant: no answer in time means no admission, and what may have been counted is cancelled by its id.

use crate::{
    answer::Limits,
    config, object, org_leases,
    org_wire::{AskNewer, Cancel, Given, ListNames, Names, Reserve, Reserved, Settle},
    resolve::{Route, Trail},
    visit::{self, Visit},
};
use alphagate_contract::{
    endpoint::QuotaMode,
    id::{OrgId, RequestId},
    key::ApiKey,
    problem::{Code, Problem},
    quota::{
        Amounts, Limit,
        book::{Caller, Refused},
    },
    record::{Push, Pushed, Record, RecordKey, RecordValue},
    usage::{Admission, Payer},
};
use futures_util::future::join;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use worker::Env;

/// How often a settlement is tried; after that the reservation's end settles it.
const SETTLE_TRIES: u32 = 3;

/// What was reserved for a request, and where.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// The reservation's id, and the usage event's.
    pub id: RequestId,
    /// The limits for the answer's headers.
    pub limits: Limits,
    /// What policies did to the request, for its usage event.
    pub flags: Vec<String>,
    pub(crate) orgs: Vec<OrgId>,
    /// Set if the version's quotas are leased.
    pub(crate) leased: Option<Box<Leased>>,
}

/// What leased mode needs to settle a request.
#[derive(Debug, Clone)]
pub struct Leased {
    /// When the request came, Unix milliseconds.
    pub started_ms: u64,
    /// The lease that it was admitted under; none: it was reserved by itself.
    pub given: Option<Given>,
}

impl Reservation {
    /// The id of a response that is made here.
    #[must_use]
    pub fn response_id(&self) -> String {
        format!("resp_{}", self.id.uuid().simple())
    }
}

/// What came of asking.
#[derive(Debug)]
pub enum Asked {
    /// Admitted.
    Admitted(Reservation),
    /// Configuration has changed; memory knows the newest now: resolve again.
    Outdated {
        /// Whether an object had admitted, and was told that it is off: it does not take that id again.
        cancelled: bool,
    },
}

/// What is asked for.
#[derive(Debug)]
pub struct Ask<'a> {
    /// What would serve it.
    pub route: &'a Route,
    /// What that was concluded from.
    pub trail: &'a Trail,
    /// What to reserve.
    pub estimate: Amounts,
    /// Whether the caller wants a stream.
    pub stream: bool,
    /// What the usage event goes by, and the reservation unless it is spent.
    pub id: RequestId,
    /// Whether nothing can be reserved under the id any more.
    pub spent: bool,
}

/// Reserves in the caller's object and, for an install, in the publisher's, in parallel.
///
/// # Errors
/// 429 over a quota, 403 when suspended, 503 when an object does not answer in time.
pub async fn reserve(visit: &Visit, key: &ApiKey, asked: &Ask<'_>) -> Result<Asked, Problem> {
    let id = if asked.spent { visit::new_id(visit.started_ms)? } else { asked.id };
    let caller = own_side(visit, key, asked, id);
    // An install is asked of two objects; both would have to lease, so neither does. What is leased goes by the event's id.
    let leased = asked.route.config()?.quota_mode == QuotaMode::Leased
        && asked.route.publisher == key.org
        && !asked.spent;
    if let Some(admission) = caller.admission.clone().filter(|_| leased) {
        return org_leases::reserve(visit, caller, admission).await;
    }
    let mut orgs = vec![key.org];
    let publisher = asked.route.publisher;
    let replies = if publisher == key.org {
        vec![ask(visit, &caller).await]
    } else {
        orgs.push(publisher);
        let publisher = publisher_side(visit, asked, id);
        let (own, other) = join(ask(visit, &caller), ask(visit, &publisher)).await;
        vec![own, other]
    };
    let reservation = Reservation { id, limits: Limits::default(), orgs, leased: None, flags: Vec::new() };
    conclude(visit, reservation, replies)
}

fn own_side(visit: &Visit, key: &ApiKey, asked: &Ask<'_>, id: RequestId) -> Reserve {
    let Ask { route, trail, estimate, stream, .. } = *asked;
    Reserve {
        org: key.org,
        id,
        seen: trail.of(key.org),
        caller: Caller { key: Some(key.id), endpoint: route.endpoint, install: route.install },
        metered: true,
        estimate,
        admission: Some(Admission {
            id: asked.id,
            at_ms: visit.started_ms,
            org: key.org,
            key: key.id,
            endpoint: route.endpoint,
            publisher: route.publisher,
            install: route.install,
            payer: route.payer,
            version: route.version,
            stream,
        }),
        ttl_ms: visit.settings.reservation_ttl_ms,
        lease: None,
    }
}

fn publisher_side(visit: &Visit, asked: &Ask<'_>, id: RequestId) -> Reserve {
    let Ask { route, trail, estimate, .. } = *asked;
    Reserve {
        org: route.publisher,
        id,
        seen: trail.of(route.publisher),
        caller: Caller { key: None, endpoint: route.endpoint, install: route.install },
        metered: route.payer == Payer::Publisher,
        estimate,
        admission: None,
        ttl_ms: visit.settings.reservation_ttl_ms,
        lease: None,
    }
}

pub(crate) fn conclude(
    visit: &Visit,
    mut reservation: Reservation,
    replies: Vec<Option<Reserved>>,
) -> Result<Asked, Problem> {
    let mut refusal = None;
    let mut outdated = false;
    let mut held = Vec::new();
    for (side, (org, reply)) in reservation.orgs.iter().zip(replies).enumerate() {
        if matches!(reply, Some(Reserved::Admitted { .. }) | None) {
            held.push(*org);
        }
        match reply {
            Some(Reserved::Admitted { requests, tokens, .. }) => {
                let limits = &mut reservation.limits;
                limits.requests =
                    limits.requests.into_iter().chain(requests).min_by_key(|room| room.remaining);
                limits.tokens = limits.tokens.into_iter().chain(tokens).min_by_key(|room| room.remaining);
            }
            Some(Reserved::Outdated { records }) => {
                config::learn(records);
                outdated = true;
            }
            Some(Reserved::Refused(refused)) => refusal = Some(over(&refused)),
            Some(Reserved::Suspended) if side == 0 => refusal = Some(Code::OrgSuspended.into()),
            // The publisher is suspended: to others its endpoints are not there.
            Some(Reserved::Suspended) => refusal = Some(Problem::new(Code::EndpointNotFound).param("model")),
            Some(Reserved::Unknown | Reserved::Spent) | None => {
                refusal.get_or_insert_with(|| Problem::new(Code::QuotaUnavailable).retry_after_ms(1_000));
            }
        }
    }
    if outdated || refusal.is_some() {
        // An object that has answered anything else has reserved nothing, and takes the id another time.
        let cancelled = !held.is_empty();
        if cancelled {
            reservation.orgs = held;
            cancel(visit, reservation);
        }
        return if outdated {
            Ok(Asked::Outdated { cancelled })
        } else {
            Err(refusal.unwrap_or(Code::QuotaUnavailable.into()))
        };
    }
    Ok(Asked::Admitted(reservation))
}

fn over(refused: &Refused) -> Problem {
    let quota = &refused.quota;
    let label = quota.label();
    let details = json!({"quota": quota, "name": label});
    if let Limit::Concurrency(limit) = quota.limit {
        let message =
            format!("Quota `{label}`: {} requests may run at once. Wait for one to end.", limit.concurrency);
        return Problem::new(Code::ConcurrencyExceeded)
            .message(message)
            .details(details)
            .retry_after_ms(1_000);
    }
    match refused.retry_after_ms {
        Some(ms) => Problem::new(Code::QuotaExceeded)
            .message(format!("Quota `{label}` is used up. It has room again in {} s.", ms.div_ceil(1000)))
            .details(details)
            .retry_after_ms(ms),
        None => Problem::new(Code::QuotaExceeded)
            .message(format!("This request is larger than the whole quota `{label}`. Ask for fewer tokens."))
            .details(details),
    }
}

/// Gives everything back, after the answer.
pub fn cancel(visit: &Visit, reservation: Reservation) {
    if org_leases::put_back(&reservation) {
        return;
    }
    let env = visit.env.clone();
    let limit_ms = visit.settings.object_timeout_ms;
    visit.context.wait_until(async move {
        let body = Cancel { id: reservation.id };
        for org in reservation.orgs {
            repeat(&env, org, "/cancel", &body, limit_ms).await;
        }
    });
}

/// Replaces the reservation by what was used, in every object that holds it.
pub async fn settle(env: &Env, limit_ms: u64, reservation: &Reservation, settle: &Settle) {
    for org in &reservation.orgs {
        if let Some(leased) = &reservation.leased {
            org_leases::settle(env, limit_ms, *org, leased, settle).await;
            continue;
        }
        repeat(env, *org, "/settle", settle, limit_ms).await;
    }
}

/// Tells an object until it answers, a few times.
pub(crate) async fn repeat<T: Serialize>(env: &Env, org: OrgId, path: &str, body: &T, limit_ms: u64) {
    for _ in 0..SETTLE_TRIES {
        if call::<_, bool>(env, org, path, body, limit_ms).await.is_some() {
            return;
        }
    }
}

/// Asks an object to reserve. `None`: no answer in time.
pub(crate) async fn ask(visit: &Visit, reserve: &Reserve) -> Option<Reserved> {
    call(&visit.env, reserve.org, "/reserve", reserve, visit.settings.object_timeout_ms).await
}

/// Asks the objects whether records have changed since KV told of them, and remembers those that have. An object that
/// does not answer knows of none.
pub async fn learn_newer(visit: &Visit, trail: &Trail) -> bool {
    let mut learned = false;
    for org in trail.owners() {
        let body = AskNewer { seen: trail.of(org) };
        let newer: Option<Vec<Record>> =
            call(&visit.env, org, "/newer", &body, visit.settings.object_timeout_ms).await;
        let newer = newer.unwrap_or_default();
        learned |= !newer.is_empty();
        config::learn(newer);
    }
    learned
}

/// What the objects say of a request that reserves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was judged by the newest records, and its org is not suspended.
    Current,
    /// The objects have newer records, which are known now.
    Outdated,
    /// The key's org is suspended.
    Suspended,
}

/// Whether the records of the trail are the newest, and the key's org may call: what a reservation would say.
///
/// # Errors
/// 503 when an object does not answer in time.
pub async fn standing(visit: &Visit, key: &ApiKey, trail: &Trail) -> Result<Standing, Problem> {
    let mut standing = Standing::Current;
    let mut orgs = trail.owners();
    if !orgs.contains(&key.org) {
        orgs.push(key.org);
    }
    for org in orgs {
        let mut seen = trail.of(org);
        if org == key.org {
            seen.push((RecordKey::Org(org), 0));
        }
        let body = AskNewer { seen };
        let newer: Option<Vec<Record>> =
            call(&visit.env, org, "/newer", &body, visit.settings.object_timeout_ms).await;
        let newer = newer.ok_or_else(|| Problem::new(Code::QuotaUnavailable).retry_after_ms(1_000))?;
        let (of_org, of_trail): (Vec<_>, Vec<_>) =
            newer.into_iter().partition(|record| matches!(record.key, RecordKey::Org(_)));
        if of_org.iter().any(|record| matches!(&record.value, RecordValue::Org(org) if org.suspended)) {
            return Ok(Standing::Suspended);
        }
        if !of_trail.is_empty() {
            standing = Standing::Outdated;
            config::learn(of_trail);
        }
    }
    Ok(standing)
}

/// As [`learn_newer`], of a key alone, whose org's object is asked.
pub async fn learn_newer_key(visit: &Visit, key: &ApiKey, revision: u64) -> bool {
    let body = AskNewer { seen: vec![(RecordKey::Key(key.id), revision)] };
    let newer: Option<Vec<Record>> =
        call(&visit.env, key.org, "/newer", &body, visit.settings.object_timeout_ms).await;
    let newer = newer.unwrap_or_default();
    let learned = !newer.is_empty();
    config::learn(newer);
    learned
}

/// Hands control's records to the org's object.
pub async fn push(visit: &Visit, push: &Push) -> Option<Pushed> {
    call(&visit.env, push.org, "/records", push, visit.settings.object_timeout_ms).await
}

/// The names that an org's keys can call.
pub async fn names(visit: &Visit, ask: &ListNames) -> Option<Names> {
    call(&visit.env, ask.org, "/names", ask, visit.settings.object_timeout_ms).await
}

async fn call<B: Serialize, T: DeserializeOwned>(
    env: &Env,
    org: OrgId,
    path: &str,
    body: &B,
    limit_ms: u64,
) -> Option<T> {
    object::post(env, ("ORG", &org.to_string()), path, body, limit_ms).await
}
