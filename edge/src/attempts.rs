//! The attempts at a request's targets, one after the other, until one brings content.
//!
//! Invariant: the caller's reservation is settled or given back exactly once. It is carried on from an attempt that used
//! nothing to the next; an attempt that brought no content is free, unless its provider says what it used: that is reserved
//! and settled under an id of its own, before anybody else is asked. So the event under the request's id is always that of
//! the attempt that served, and where the quotas have no room for a second attempt there is none.

use crate::{
    api::Api,
    attempt::{Attempt, Deadlines, Parcel},
    clock,
    disguise::Usage,
    health::Patient,
    org_client::{self, Ask, Asked, Reservation},
    output_format::Repair,
    proxy::Lease,
    request::{self, Outgoing},
    resolve::{Route, Trail},
    retry::{Next, Why},
    schemas::{self, Violated},
    settlement::{self, End},
    visit::{self, AskedTargets, Visit},
};
use alphagate_contract::{
    endpoint::Target,
    key::ApiKey,
    problem::{Code, Problem},
    quota::Amounts,
    usage::{Outcome, PassedOver, Served},
};
use alphagate_translate::schema::Schema;
use js_sys::Uint8Array;
use std::{collections::VecDeque, rc::Rc, time::Duration};
use worker::{Delay, web_sys::AbortSignal};

/// What every attempt is made from.
#[derive(Debug)]
pub struct Commission {
    /// Who asks.
    pub visit: Visit,
    /// With which key.
    pub key: ApiKey,
    /// What is asked.
    pub api: Api,
    /// The name that the caller used.
    pub shown_model: String,
    /// What serves it.
    pub route: Route,
    /// What that was concluded from.
    pub trail: Trail,
    /// The caller's body.
    pub body: Uint8Array,
    /// The body's share of the budget.
    pub lease: Lease,
    /// Aborted when the caller leaves.
    pub caller: AbortSignal,
    /// The targets in the order in which they are asked.
    pub order: Vec<usize>,
    /// What goes to the first of them.
    pub outgoing: Outgoing,
    /// What the answer is checked against.
    pub schema: Option<Rc<Schema>>,
    /// What was reserved.
    pub reservation: Reservation,
}

/// The attempts at one request's targets.
#[derive(Debug)]
pub struct Attempts {
    of: Commission,
    queue: VecDeque<usize>,
    retries: u8,
    /// How often the target at the front was asked again.
    retried: u8,
    /// How many calls were made.
    made: u8,
    passed_over: Vec<PassedOver>,
    problem: Option<Problem>,
    /// The answer that is to be mended.
    repair: Option<Repair>,
}

/// An attempt that brought no content.
#[derive(Debug)]
pub enum Failure {
    /// The caller has left.
    Gone,
    /// The answer violates the version's schema.
    Violated(Violated),
    /// The target failed.
    Target {
        /// Why.
        why: Why,
        /// What the caller reads of it, if nobody takes over.
        problem: Box<Problem>,
        /// What the provider says that it used.
        usage: Option<Usage>,
    },
}

impl Failure {
    /// A failure that used nothing.
    pub fn free(why: Why, problem: impl Into<Problem>) -> Self {
        Self::Target { why, problem: Box::new(problem.into()), usage: None }
    }
}

/// For the log: nobody reads the answer to a caller who has left.
fn left() -> Problem {
    Problem::new(Code::RequestMalformed).message("The caller left before the answer.")
}

impl Attempts {
    /// None was made yet.
    #[must_use]
    pub fn new(of: Commission) -> Self {
        let retries = of.route.config().map_or(0, |config| config.retries);
        let queue = of.order.iter().copied().collect();
        Self { of, queue, retries, retried: 0, made: 0, passed_over: Vec::new(), problem: None, repair: None }
    }

    /// What they are made from.
    #[must_use]
    pub const fn commission(&self) -> &Commission {
        &self.of
    }

    /// Calls the next target.
    ///
    /// # Errors
    /// What the last target's failure means for the caller, when none is left. Everything is given back then.
    pub fn begin(&mut self) -> Result<Attempt, Problem> {
        if self.of.caller.aborted() {
            return Err(self.give_up(left()));
        }
        while let Some(at) = self.queue.front().copied() {
            match self.call(at) {
                Ok(attempt) => {
                    self.made = self.made.saturating_add(1);
                    self.tell(Some(at));
                    return Ok(attempt);
                }
                Err(problem) => {
                    self.problem.get_or_insert(problem);
                    self.pass_over(at, "not_configured".into());
                    self.queue.pop_front();
                }
            }
        }
        let problem = self.problem.take().unwrap_or_else(|| Code::EndpointMisconfigured.into());
        self.tell(None);
        Err(self.give_up(problem))
    }

    fn call(&self, at: usize) -> Result<Attempt, Problem> {
        let Commission { visit, route, api, .. } = &self.of;
        let target = route.target(at)?;
        let secret = route.secret(visit, at)?;
        let is_composed = self.repair.is_none() && self.of.order.first() == Some(&at);
        let composed = if is_composed { None } else { Some(self.compose(target)?) };
        let outgoing = composed.as_ref().unwrap_or(&self.of.outgoing);
        let patient = Patient::new(route, at);
        let is_last = self.queue.len() <= 1 && self.retried >= self.retries;
        let id = visit.id.to_string();
        let parcel = Parcel {
            target,
            api: *api,
            secret,
            body: &self.of.body,
            outgoing,
            request_id: &id,
            caller: &self.of.caller,
            lease: Some(&self.of.lease).filter(|_| is_last && !self.may_repair()),
        };
        patient.ask();
        Ok(Attempt {
            call: parcel.send(),
            disguise: outgoing.disguise.clone(),
            carry: outgoing.carry.clone(),
            price: target.price,
            target: at,
            patient,
            deadlines: Deadlines::of(&visit.settings, self.left_ms()).with(&target.timeouts, outgoing.stream),
            called_ms: visit.elapsed_ms(),
            is_last,
        })
    }

    /// The body lies in Wasm memory only here.
    fn compose(&self, target: &Target) -> Result<Outgoing, Problem> {
        let bytes = self.of.body.to_vec();
        let members = request::members(&bytes)?;
        let config = self.of.route.config()?;
        self.of.api.compose(&members, config, target, &self.of.shown_model, self.repair.as_ref())
    }

    /// An attempt has failed: waits as long as the next one should.
    ///
    /// # Errors
    /// What it means for the caller, when there is no next one. Everything is settled or given back then.
    pub async fn failed(&mut self, attempt: &Attempt, failure: Failure) -> Result<(), Problem> {
        attempt.call.abort();
        let (why, problem, usage) = match failure {
            Failure::Target { why, problem, usage } => (why, problem, usage),
            Failure::Violated(violated) => return self.mend(attempt, violated).await,
            Failure::Gone => {
                attempt.patient.unknown();
                return Err(self.abandon(attempt));
            }
        };
        match why.failure() {
            Some(failure) => attempt.patient.failed(failure),
            None => attempt.patient.unknown(),
        }
        let served = self.served(attempt.target);
        self.pass_over(attempt.target, why.word());
        self.tell(None);
        let wait_ms = self.next(why);
        let goes_on = match usage {
            Some(usage) if wait_ms.is_some() => self.bill(attempt, usage, served.clone()).await,
            _ => wait_ms.is_some(),
        };
        let Some(wait_ms) = wait_ms.filter(|_| goes_on) else {
            return Err(match usage {
                Some(usage) => self.charge(attempt, Some(usage), served, *problem),
                None => self.give_up(*problem),
            });
        };
        self.problem = Some(*problem);
        if wait_ms > 0 {
            Delay::from(Duration::from_millis(wait_ms)).await;
        }
        Ok(())
    }

    /// Whether an answer that violates the schema would be sent back.
    fn may_repair(&self) -> bool {
        let output = self.of.route.config().ok().and_then(|config| config.output_schema.as_ref());
        let asks = self.of.schema.is_some() && output.is_some_and(|output| output.repair);
        asks && !self.of.outgoing.stream && self.repair.is_none()
    }

    /// An answer violates the schema: it is billed for what it was, and the same target is asked to mend it, once.
    async fn mend(&mut self, attempt: &Attempt, violated: Violated) -> Result<(), Problem> {
        let Violated { answer, violation, usage } = violated;
        attempt.patient.ended(Outcome::Completed);
        let problem = schemas::problem(&violation);
        let served = self.served(attempt.target);
        self.pass_over(attempt.target, "schema_violated".into());
        self.tell(None);
        let Amounts { input_tokens, output_tokens, .. } = self.of.outgoing.estimate;
        let used = usage.unwrap_or(Usage { input_tokens, output_tokens, ..Usage::default() });
        let goes_on = self.may_repair() && self.left_ms() > 0;
        if !goes_on || !self.bill(attempt, used, served.clone()).await {
            return Err(self.charge(attempt, usage, served, problem));
        }
        self.repair = Some(Repair { answer, violation });
        self.problem = Some(problem);
        Ok(())
    }

    /// How long to wait before the next attempt; none: there is none.
    fn next(&mut self, why: Why) -> Option<u64> {
        let random = clock::random().unwrap_or_default();
        let random = random.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        match why.next(self.retried, self.retries, self.left_ms(), random) {
            Next::Again(wait_ms) => {
                self.retried += 1;
                Some(wait_ms)
            }
            Next::Other => {
                self.queue.pop_front();
                self.retried = 0;
                Some(0).filter(|_| !self.queue.is_empty() && self.left_ms() > 0)
            }
            Next::Nothing => None,
        }
    }

    /// Bills an attempt for what it used, though it brought nothing, under an id of its own. Whether the quotas had room for
    /// it; a request more is not counted.
    async fn bill(&self, attempt: &Attempt, usage: Usage, served: Served) -> bool {
        let Commission { visit, key, route, trail, outgoing, .. } = &self.of;
        let mut estimate = usage.amounts(attempt.price);
        estimate.requests = 0;
        let Ok(id) = visit::new_id(visit.started_ms) else { return false };
        let ask = Ask { route, trail, estimate, stream: outgoing.stream, id, spent: false };
        let Ok(Asked::Admitted(reservation)) = org_client::reserve(visit, key, &ask).await else {
            return false;
        };
        let end =
            End { outcome: Outcome::Failed, usage: Some(usage), price: attempt.price, content_ms: 0, served };
        let mut settle = settlement::of(&reservation, end);
        settle.used = Some(estimate);
        settlement::later(visit, reservation, settle);
        true
    }

    /// The request ends with an attempt that used something.
    fn charge(&self, attempt: &Attempt, usage: Option<Usage>, served: Served, problem: Problem) -> Problem {
        let (outcome, price) = (Outcome::Failed, attempt.price);
        self.settle(End { outcome, usage, price, content_ms: 0, served });
        problem
    }

    /// The caller left while a provider was at work: that is charged at the estimate.
    pub fn abandon(&self, attempt: &Attempt) -> Problem {
        let served = self.served(attempt.target);
        self.settle(End {
            outcome: Outcome::Aborted,
            usage: None,
            price: attempt.price,
            content_ms: 0,
            served,
        });
        left()
    }

    /// Settles the request's own reservation, after the answer.
    pub fn settle(&self, end: End) {
        self.settle_flagged(end, &[]);
    }

    /// The same, of an answer that policies did something to.
    pub fn settle_flagged(&self, end: End, flags: &[String]) {
        self.of.lease.release();
        let mut reservation = self.of.reservation.clone();
        reservation.flags.extend_from_slice(flags);
        let settle = settlement::of(&reservation, end);
        settlement::later(&self.of.visit, reservation, settle);
    }

    fn give_up(&self, problem: Problem) -> Problem {
        self.of.lease.release();
        org_client::cancel(&self.of.visit, self.of.reservation.clone());
        problem
    }

    /// Which target serves, for the usage event.
    #[must_use]
    pub fn served(&self, target: usize) -> Served {
        Served {
            target: u8::try_from(target).unwrap_or(u8::MAX),
            attempt: self.made.max(1),
            passed_over: self.passed_over.clone(),
            credential: self.of.route.credential(target),
        }
    }

    fn pass_over(&mut self, target: usize, why: String) {
        let target = u8::try_from(target).unwrap_or(u8::MAX);
        self.passed_over.push(PassedOver { target, why });
    }

    /// Targets whose breaker is open and that were left for last.
    pub fn note_open(&mut self, targets: impl IntoIterator<Item = usize>) {
        for target in targets {
            self.pass_over(target, "breaker_open".into());
        }
    }

    fn tell(&self, serving: Option<usize>) {
        let mut attempts = self.made.to_string();
        for (at, passed_over) in self.passed_over.iter().enumerate() {
            attempts.push_str(if at == 0 { "; " } else { ", " });
            attempts.push_str(&passed_over.to_string());
        }
        *self.of.visit.asked.borrow_mut() = Some(AskedTargets { serving, attempts });
    }

    /// What is left of the caller's time, milliseconds.
    fn left_ms(&self) -> u64 {
        let visit = &self.of.visit;
        visit.settings.request_total_max_ms.saturating_sub(visit.elapsed_ms())
    }
}
