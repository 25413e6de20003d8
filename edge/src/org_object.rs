//! The Durable Object of an org: it alone decides what the org may use, knows the newest revision of every
//! record, and keeps the ledger until control has it.
//!
//! Glue over `contract::quota::book`: between reading the book and writing it there is no `.await`, so requests
//! cannot come between a check and its count. KV puts and hand-overs are made by the alarm alone, one at a time.

use crate::{
    clock, org_alarm,
    org_store::{Held, OrgStore},
    org_wire::{AskNewer, Cancel, ListNames, Named, Names, Reserve, Reserved, Return, Settle},
    settings::Settings,
};
use alphagate_contract::{
    id::OrgId,
    name::VersionedName,
    quota::{
        Amounts, Quota,
        book::{Book, Decision},
        lease::LEASE_LOST_MS,
    },
    record::{LiveRecord, OrgRecord, Push, Pushed, Record, RecordKey, RecordValue},
    usage::{Admission, Outcome, Served, UsageEvent},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::{Cell, Ref, RefCell},
    rc::Rc,
};
use worker::{
    DurableObject, Env, Error, Method, Request, Response, ResponseBody, Result, State, durable_object,
};

/// What the object holds in memory; everything in it is also in storage.
#[derive(Debug)]
pub struct Core {
    pub(crate) store: OrgStore,
    pub(crate) book: RefCell<Book>,
    org: RefCell<Option<Record>>,
}

/// The Durable Object.
#[durable_object]
pub struct OrgObject {
    state: State,
    env: Env,
    core: RefCell<Option<Rc<Core>>>,
    alarm_ms: Cell<Option<u64>>,
}

impl DurableObject for OrgObject {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, core: RefCell::new(None), alarm_ms: Cell::new(None) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let body = request.text().await?;
        match request.path().as_str() {
            "/reserve" => reply(&self.reserve(&read(&body)?).await?),
            "/settle" => reply(&self.settle(&read(&body)?).await?),
            "/return" => reply(&self.take_back(&read(&body)?).await?),
            "/cancel" => reply(&self.cancel(&read(&body)?).await?),
            "/records" => reply(&self.apply(&read(&body)?).await?),
            "/newer" => reply(&self.core()?.store.newer(&read::<AskNewer>(&body)?.seen)?),
            "/names" => reply(&self.names(&read(&body)?)?),
            _ => Response::error("no such call", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.alarm_ms.set(None);
        let core = self.core()?;
        let settings = self.settings()?;
        self.expire(&core)?;
        let due_ms = org_alarm::run(&core.store, &self.env, &settings).await?;
        let next = [due_ms, core.book.borrow().next_expiry_ms()].into_iter().flatten().min();
        if let Some(due_ms) = next {
            self.wake_at(due_ms).await?;
        }
        Response::empty()
    }
}

impl OrgObject {
    fn settings(&self) -> Result<Rc<Settings>> {
        Settings::of(&self.env).map_err(|problem| Error::RustError(problem.message))
    }

    fn core(&self) -> Result<Rc<Core>> {
        if let Some(core) = self.core.borrow().as_ref() {
            return Ok(Rc::clone(core));
        }
        let store = OrgStore::open(self.state.storage().sql())?;
        let book = RefCell::new(store.book()?);
        let core = Rc::new(Core { store, book, org: RefCell::new(None) });
        self.core.replace(Some(Rc::clone(&core)));
        Ok(core)
    }

    /// Sets the alarm unless one is due earlier.
    async fn wake_at(&self, due_ms: u64) -> Result<()> {
        if self.alarm_ms.get().is_some_and(|set_ms| set_ms <= due_ms) {
            return Ok(());
        }
        self.alarm_ms.set(Some(due_ms));
        let in_ms = due_ms.saturating_sub(clock::now_ms()).max(1);
        self.state.storage().set_alarm(i64::try_from(in_ms).unwrap_or(i64::MAX)).await
    }

    async fn reserve(&self, ask: &Reserve) -> Result<Reserved> {
        let core = self.core()?;
        if core.org(ask.org)?.is_none() {
            self.learn_of(&core, ask.org).await?;
        }
        // From here to the answer nothing is awaited but the alarm: check and count are one step.
        let records = core.store.newer(&ask.seen)?;
        if !records.is_empty() {
            return Ok(Reserved::Outdated { records });
        }
        let quotas: Vec<Quota> = match core.org(ask.org)? {
            None => return Ok(Reserved::Unknown),
            Some(org) if org.suspended => return Ok(Reserved::Suspended),
            // Whoever pays for another org's calls has set a limit for them; it may still be on its way here.
            Some(org) if ask.pays_for_install() && !ask.is_limited(&org.quotas) => {
                return Ok(Reserved::Unknown);
            }
            Some(org) if ask.metered => org.quotas.clone(),
            Some(_) => Vec::new(),
        };
        self.expire(&core)?;
        let reserved = core.reserve(ask, &quotas)?;
        if matches!(reserved, Reserved::Admitted { .. }) {
            let lost_ms = ask.lease.as_ref().map_or(ask.ttl_ms, |_| ask.ttl_ms.min(LEASE_LOST_MS));
            self.wake_at(clock::now_ms().saturating_add(lost_ms)).await?;
        }
        Ok(reserved)
    }

    /// Asks control for an org that was never pushed here, e.g. because its first push is still on the way.
    async fn learn_of(&self, core: &Core, org: OrgId) -> Result<()> {
        let settings = self.settings()?;
        let path = format!("/internal/v1/records/{}", RecordKey::Org(org));
        let answer = crate::control::call(&settings, Method::Get, &path, "", "").await;
        if let Some(answer) = answer.filter(|answer| answer.status == 200) {
            core.keep(&read::<Record>(&answer.body)?)?;
        }
        Ok(())
    }

    async fn settle(&self, settle: &Settle) -> Result<bool> {
        let core = self.core()?;
        let settled = core.settle(settle)?;
        if settled {
            let flush_ms = self.settings()?.ledger_flush_ms;
            self.wake_at(clock::now_ms().saturating_add(flush_ms)).await?;
        }
        Ok(settled)
    }

    async fn take_back(&self, returned: &Return) -> Result<bool> {
        let settled = self.core()?.take_back(returned)?;
        // The alarm also looks when what still runs becomes an orphan.
        let flush_ms = self.settings()?.ledger_flush_ms;
        self.wake_at(clock::now_ms().saturating_add(flush_ms)).await?;
        Ok(settled)
    }

    async fn cancel(&self, cancel: &Cancel) -> Result<bool> {
        let core = self.core()?;
        let (cancelled, ends_ms) = {
            let mut book = core.book.borrow_mut();
            let cancelled = book.cancel(clock::now_ms(), cancel.id).is_some();
            core.store.save(&mut book)?;
            (cancelled, book.tombstone(cancel.id))
        };
        if let Some(ends_ms) = ends_ms {
            self.wake_at(ends_ms).await?;
        }
        Ok(cancelled)
    }

    async fn apply(&self, push: &Push) -> Result<Pushed> {
        let core = self.core()?;
        let mut applied = 0;
        for record in &push.records {
            applied += usize::from(core.keep(record)?);
        }
        let (kv_pending, due_ms) = core.store.puts()?;
        if let Some(due_ms) = due_ms {
            self.wake_at(due_ms).await?;
        }
        Ok(Pushed { applied, kv_pending })
    }

    fn names(&self, ask: &ListNames) -> Result<Names> {
        let core = self.core()?;
        let outdated = core.store.newer(&ask.seen)?;
        if !outdated.is_empty() {
            return Ok(Names { outdated, names: Vec::new() });
        }
        let names = match &ask.only {
            Some(only) => core.chosen(ask.org, only)?,
            None => core.all_names(ask.org)?,
        };
        Ok(Names { outdated, names })
    }

    /// Charges reservations that nobody settled in time.
    fn expire(&self, core: &Core) -> Result<()> {
        let orphans = core.book.borrow_mut().expire(clock::now_ms());
        // Of a lease there may be nothing left but tokens that no request took.
        for (id, reservation) in orphans.into_iter().filter(|(_, held)| held.estimate.requests > 0) {
            let settle = Settle {
                id,
                outcome: Outcome::Orphaned,
                used: None,
                cached_input_tokens: 0,
                reasoning_tokens: 0,
                first_byte_ms: 0,
                served: Served::default(),
                flags: Vec::new(),
            };
            core.record_use(&settle, reservation.estimate)?;
        }
        core.store.save(&mut core.book.borrow_mut())
    }
}

impl Core {
    /// The org's own record, read from storage once.
    fn org(&self, org: OrgId) -> Result<Option<Ref<'_, OrgRecord>>> {
        if self.org.borrow().is_none() {
            self.org.replace(self.store.record(&RecordKey::Org(org))?);
        }
        Ok(Ref::filter_map(self.org.borrow(), |record| match record.as_ref().map(|record| &record.value) {
            Some(RecordValue::Org(org)) => Some(org),
            _ => None,
        })
        .ok())
    }

    fn keep(&self, record: &Record) -> Result<bool> {
        let kept = self.store.keep(record, clock::now_ms())?;
        if kept && matches!(record.key, RecordKey::Org(_)) {
            self.org.replace(Some(record.clone()));
        }
        Ok(kept)
    }

    fn reserve(&self, ask: &Reserve, quotas: &[Quota]) -> Result<Reserved> {
        let mut book = self.book.borrow_mut();
        let now_ms = clock::now_ms();
        match book.reserve(now_ms, quotas, &ask.caller, ask.id, ask.estimate, ask.ttl_ms) {
            Decision::Admitted(admitted) => {
                let reservation = book.reservation(ask.id).cloned();
                if let Some(reservation) = reservation {
                    let held = Held {
                        reservation,
                        admission: ask.admission.clone(),
                        flagged: admitted.flagged.clone(),
                    };
                    self.store.hold(ask.id, held)?;
                }
                let lease = self.grant(&mut book, ask, quotas)?;
                self.store.save(&mut book)?;
                Ok(Reserved::Admitted {
                    flagged: admitted.flagged,
                    requests: admitted.requests,
                    tokens: admitted.tokens,
                    lease,
                })
            }
            Decision::Refused(refused) => Ok(Reserved::Refused(*refused)),
            Decision::Spent => Ok(Reserved::Spent),
        }
    }

    fn settle(&self, settle: &Settle) -> Result<bool> {
        let now_ms = clock::now_ms();
        let Some(estimate) = self.book.borrow().reservation(settle.id).map(|held| held.estimate) else {
            return Ok(false);
        };
        let used = settle.used.unwrap_or(estimate);
        self.record_use(settle, used)?;
        let mut book = self.book.borrow_mut();
        book.settle(now_ms, settle.id, used);
        self.store.save(&mut book)?;
        Ok(true)
    }

    /// Writes the usage event, in the org that called.
    fn record_use(&self, settle: &Settle, amounts: Amounts) -> Result<()> {
        let Some(Held { admission: Some(admission), flagged, .. }) = self.store.held(settle.id)? else {
            return Ok(());
        };
        let total_ms = clock::now_ms().saturating_sub(admission.at_ms);
        self.append(admission, flagged, settle, amounts, total_ms)
    }

    /// Appends a usage event to the ledger.
    pub(crate) fn append(
        &self,
        admission: Admission,
        flagged: Vec<String>,
        settle: &Settle,
        amounts: Amounts,
        total_ms: u64,
    ) -> Result<()> {
        self.store.append(&UsageEvent {
            admission,
            outcome: settle.outcome,
            amounts,
            estimated: settle.used.is_none(),
            cached_input_tokens: settle.cached_input_tokens,
            reasoning_tokens: settle.reasoning_tokens,
            first_byte_ms: settle.first_byte_ms,
            total_ms,
            flagged,
            flags: settle.flags.clone(),
            served: settle.served.clone(),
        })
    }

    fn all_names(&self, org: OrgId) -> Result<Vec<Named>> {
        let mut names = Vec::new();
        for record in self.store.with_prefix(&format!("v1/name/{org}/"))? {
            names.extend(self.named(record)?);
        }
        Ok(names)
    }

    /// The names of a run's key: where it says a version of an own endpoint, that one, live or not.
    fn chosen(&self, org: OrgId, only: &[String]) -> Result<Vec<Named>> {
        let mut names = Vec::new();
        for text in only {
            let Ok(asked) = text.parse::<VersionedName>() else { continue };
            let Some(record) = self.store.record(&RecordKey::Name(org, asked.name))? else { continue };
            match asked.version {
                Some(version) if self.has_version(org, &record, version)? => {
                    names.extend(shown(record).map(|named| Named { name: text.clone(), ..named }));
                }
                Some(_) => {}
                None => names.extend(self.named(record)?),
            }
        }
        Ok(names)
    }

    /// Whether the name is of an own endpoint that is not withdrawn and has this version.
    fn has_version(&self, org: OrgId, name: &Record, version: u32) -> Result<bool> {
        let RecordValue::Name(name) = &name.value else { return Ok(false) };
        let live = self.store.record(&RecordKey::Live(name.endpoint))?.map(|record| record.value);
        let serves = matches!(live, Some(RecordValue::Live(live)) if !live.withdrawn);
        let key = RecordKey::Version(name.endpoint, version);
        Ok(serves && name.publisher == org && self.store.record(&key)?.is_some())
    }

    /// A name as `GET /v1/models` shows it; an own endpoint that is not live is left out.
    fn named(&self, record: Record) -> Result<Option<Named>> {
        let (RecordKey::Name(org, _), RecordValue::Name(value)) = (&record.key, &record.value) else {
            return Ok(None);
        };
        if value.publisher == *org {
            let live = self.store.record(&RecordKey::Live(value.endpoint))?;
            let callable = |live: &LiveRecord| live.version.is_some() && !live.withdrawn;
            match live.map(|record| record.value) {
                Some(RecordValue::Live(live)) if callable(&live) => {}
                _ => return Ok(None),
            }
        }
        Ok(shown(record))
    }
}

fn shown(record: Record) -> Option<Named> {
    let (RecordKey::Name(_, name), RecordValue::Name(value)) = (record.key, record.value) else {
        return None;
    };
    Some(Named {
        name: name.to_string(),
        created_s: value.created_s,
        publisher: value.publisher,
        endpoint: value.endpoint,
        install: value.install.map(|install| install.id),
    })
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    Ok(serde_json::from_str(text)?)
}

fn reply<T: Serialize>(value: &T) -> Result<Response> {
    Response::from_body(ResponseBody::Body(serde_json::to_vec(value)?))
}
