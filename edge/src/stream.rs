//! Starts the pump that carries a provider's stream to the caller, and decides what it shows and settles.
//!
//! The pump itself is `stream.js`: it runs on JavaScript promises, so a panic elsewhere in the isolate does not end
//! it. Its hooks are here. Until a target's stream is [`Serving`], its reservation is not the stream's to settle.

use crate::{
    attempt::Attempt,
    carrier::{self, Carrier, Told},
    carry::Carry,
    clock,
    disguise::{Disguise, Usage},
    lifecycle::Lifecycle,
    org_client::{self, Reservation},
    settings::{EVENT_MAX_BYTES, LINGER_MS},
    settlement::{self, End},
    source::Source,
    visit::Visit,
};
use alphagate_contract::{
    endpoint::Price,
    problem::{Code, Problem},
    usage::{Outcome, Served},
};
use alphagate_translate::pipeline::Audience;
use js_sys::{Object, Promise, Reflect, Uint8Array};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::web_sys::ReadableStream;

#[wasm_bindgen(module = "/src/stream.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn pump(source: &Source, hooks: &Object, limits: &Object) -> Result<Object, JsValue>;
}

/// One stream to a caller, whoever serves it in the end.
pub struct Stream {
    visit: Visit,
    /// Where it comes from.
    pub source: Source,
    /// When the first target was about to be asked, milliseconds since the request came.
    begun_ms: u64,
    fallback_id: String,
    audience: Audience,
    model: String,
    /// Of the attempt that is under way.
    lifecycle: RefCell<Lifecycle>,
    /// Translates that attempt; none: its bytes are the caller's.
    carrier: RefCell<Option<Carrier>>,
    /// Why no target could serve it.
    problem: RefCell<Option<Problem>>,
    serving: RefCell<Option<Serving>>,
}

/// The attempt that serves a stream.
#[derive(Debug)]
pub struct Serving {
    /// The attempt.
    pub attempt: Attempt,
    /// What was reserved for the request.
    pub reservation: Reservation,
    /// Which target it is.
    pub served: Served,
}

/// Closures that JavaScript calls; they live as long as the stream.
pub struct Hooks {
    /// See `stream.js`.
    pub rewrite: Closure<dyn FnMut(Uint8Array) -> JsValue>,
    /// See `translator.js`.
    pub translate: Closure<dyn FnMut(Option<Uint8Array>) -> JsValue>,
    content: Closure<dyn FnMut()>,
    fail: Closure<dyn FnMut(String, Uint8Array) -> Uint8Array>,
    settle: Closure<dyn FnMut(String, f64) -> Promise>,
}

impl Stream {
    /// A stream of which nothing has come; `disguise` is for what is said if nothing ever does.
    #[must_use]
    pub fn new(visit: Visit, (disguise, carry): (Disguise, &Carry), reservation: &Reservation) -> Rc<Self> {
        let (fallback_id, created_s) = (reservation.response_id(), visit.started_ms / 1000);
        let carrier = Carrier::new(carry, &disguise, &fallback_id, created_s);
        let (audience, model) = (carry.audience, disguise.model.clone());
        let lifecycle = Lifecycle::new(disguise, fallback_id.clone(), created_s);
        Rc::new(Self {
            begun_ms: visit.elapsed_ms(),
            visit,
            source: Source::new(),
            fallback_id,
            audience,
            model,
            lifecycle: RefCell::new(lifecycle),
            carrier: RefCell::new(carrier),
            problem: RefCell::default(),
            serving: RefCell::default(),
        })
    }

    /// An attempt begins: nothing of those before it was shown, so nothing of them counts.
    pub fn attempt(&self, attempt: &Attempt) {
        let created_s = self.visit.started_ms / 1000;
        let Attempt { carry, disguise, .. } = attempt;
        self.carrier.replace(Carrier::new(carry, disguise, &self.fallback_id, created_s));
        self.lifecycle.replace(Lifecycle::new(disguise.clone(), self.fallback_id.clone(), created_s));
        self.source.take(&attempt.call);
    }

    /// How the attempt under way ended and what it used, if it did, and whether that was because of what was asked.
    pub fn ended(&self) -> (Option<(Outcome, Option<Usage>)>, bool) {
        let life = self.lifecycle.borrow();
        match &*self.carrier.borrow() {
            Some(carrier) => (carrier.ended(&life), carrier.is_callers_fault(&life)),
            None => (life.ended(), life.is_callers_fault()),
        }
    }

    /// An attempt serves from now on.
    pub fn serve(&self, serving: Serving) {
        self.serving.replace(Some(serving));
    }

    /// No attempt has brought anything; everything is settled.
    pub fn refuse(&self, problem: Problem) {
        self.problem.replace(Some(problem));
    }

    /// What JavaScript asks.
    #[must_use]
    pub fn hooks(self: &Rc<Self>) -> Hooks {
        let stream = Rc::clone(self);
        let rewrite = Closure::new(move |event: Uint8Array| stream.rewrite(&event));
        let stream = Rc::clone(self);
        let translate = Closure::new(move |chunk: Option<Uint8Array>| stream.translate(chunk.as_ref()));
        let stream = Rc::clone(self);
        let content = Closure::new(move || stream.content_came());
        let stream = Rc::clone(self);
        let fail =
            Closure::new(move |reason: String, last: Uint8Array| stream.failure(&reason, &last.to_vec()));
        let stream = Rc::clone(self);
        let settle = Closure::new(move |how: String, content_ms: f64| {
            let stream = Rc::clone(&stream);
            future_to_promise(async move {
                stream.settle(&how, content_ms as u64).await;
                Ok(JsValue::UNDEFINED)
            })
        });
        Hooks { rewrite, translate, content, fail, settle }
    }

    /// Starts the pump; what comes back is the caller's body.
    ///
    /// # Errors
    /// [`Code::Internal`] when the platform refuses.
    pub fn start(&self, hooks: Hooks) -> Result<ReadableStream, Problem> {
        let told = object([
            ("rewrite", hooks.rewrite.as_ref().clone()),
            ("translate", hooks.translate.as_ref().clone()),
            ("content", hooks.content.as_ref().clone()),
            ("fail", hooks.fail.as_ref().clone()),
            ("settle", hooks.settle.as_ref().clone()),
            ("lastResort", self.last_resort().into()),
        ]);
        let internal = |_| Problem::new(Code::Internal);
        let pumped = pump(&self.source, &told, &self.limits()).map_err(internal)?;
        let readable = Reflect::get(&pumped, &"readable".into()).map_err(internal)?;
        let done: Promise = Reflect::get(&pumped, &"done".into()).map_err(internal)?.unchecked_into();
        self.visit.context.wait_until(async move {
            // The hooks live exactly as long as the pump.
            let _ = JsFuture::from(done).await;
            drop(hooks);
        });
        Ok(readable.unchecked_into())
    }

    /// Until a target's stream is open, the attempts keep their own time: here only the caller's runs.
    fn limits(&self) -> Object {
        let settings = &self.visit.settings;
        let waited_ms = self.visit.elapsed_ms().saturating_sub(self.begun_ms);
        let total_ms = settings.request_total_max_ms.saturating_sub(self.begun_ms);
        object([
            ("waitedMs", (waited_ms as f64).into()),
            ("keepAliveMs", (settings.keep_alive_ms as f64).into()),
            ("firstByteMaxMs", (total_ms as f64).into()),
            ("idleMaxMs", (settings.stream_idle_max_ms as f64).into()),
            ("totalMaxMs", (total_ms as f64).into()),
            ("lingerMs", (LINGER_MS as f64).into()),
            ("eventMaxBytes", (EVENT_MAX_BYTES as f64).into()),
        ])
    }

    fn rewrite(&self, event: &Uint8Array) -> JsValue {
        let shown = self.lifecycle.borrow_mut().show(&event.to_vec());
        let bytes = shown.text.map_or(JsValue::UNDEFINED, |text| Uint8Array::from(text.as_bytes()).into());
        let kind = shown.kind.map_or(JsValue::UNDEFINED, JsValue::from);
        let (terminal, whole) = (shown.terminal.into(), shown.whole.into());
        object([("bytes", bytes), ("terminal", terminal), ("whole", whole), ("kind", kind)]).into()
    }

    /// What the caller reads of a chunk; without one, of the stream's end.
    fn translate(&self, chunk: Option<&Uint8Array>) -> JsValue {
        let now_s = clock::now_ms() / 1000;
        let (mut carrier, mut life) = (self.carrier.borrow_mut(), self.lifecycle.borrow_mut());
        let told = match (carrier.as_mut(), chunk) {
            (Some(carrier), Some(chunk)) => carrier.feed(&mut life, &chunk.to_vec(), now_s),
            (Some(carrier), None) => carrier.finish(&mut life, now_s),
            (None, _) => Told::default(),
        };
        let bytes = Uint8Array::from(told.text.as_bytes());
        object([
            ("bytes", bytes.into()),
            ("terminal", told.terminal.into()),
            ("content", told.content.into()),
            ("finished", told.finished.into()),
        ])
        .into()
    }

    fn content_came(&self) {
        if let Some(serving) = &*self.serving.borrow() {
            serving.attempt.patient.brought_content();
        }
    }

    fn failure(&self, reason: &str, last_passed: &[u8]) -> Uint8Array {
        let problem = self.problem.borrow_mut().take().unwrap_or_else(|| {
            match reason {
                "late" => Code::UpstreamTimeout,
                _ => Code::UpstreamIncomplete,
            }
            .into()
        });
        let (mut carrier, mut life) = (self.carrier.borrow_mut(), self.lifecycle.borrow_mut());
        let tail = match carrier.as_mut() {
            Some(carrier) => carrier.fail(&mut life, &problem),
            None => life.fail(&problem, last_passed),
        };
        Uint8Array::from(tail.as_bytes())
    }

    /// The end of a stream of which nothing has come, for when nobody can be asked any more. The stream's own
    /// lifecycle must not learn of it.
    fn last_resort(&self) -> Uint8Array {
        let tail = self.lifecycle.borrow().clone().fail(&Code::UpstreamIncomplete.into(), &[]);
        let tail = carrier::in_words_of(self.audience, &self.model, tail);
        Uint8Array::from(tail.as_bytes())
    }

    /// Settles once: `ended` with the provider's figures, `gone` and `failed` at the estimate. What brought no content
    /// and says nothing of its use is free.
    async fn settle(&self, how: &str, content_ms: u64) {
        let Some(serving) = self.serving.take() else { return };
        let Serving { attempt, reservation, served } = serving;
        let (ended, callers_fault) = self.ended();
        let (outcome, usage) = match (how, ended) {
            ("ended", Some((outcome, usage))) => (outcome, usage),
            ("gone", _) => (Outcome::Aborted, None),
            _ => (Outcome::Failed, None),
        };
        attempt.patient.ended(if callers_fault { Outcome::Aborted } else { outcome });
        if outcome == Outcome::Failed && content_ms == 0 && usage.is_none() {
            org_client::cancel(&self.visit, reservation);
            return;
        }
        let content_ms = if content_ms > 0 { attempt.called_ms + content_ms } else { 0 };
        let price: Option<Price> = attempt.price;
        let settle = settlement::of(&reservation, End { outcome, usage, price, content_ms, served });
        let limit_ms = self.visit.settings.object_timeout_ms;
        org_client::settle(&self.visit.env, limit_ms, &reservation, &settle).await;
        log(&self.visit, outcome);
    }
}

fn log(visit: &Visit, outcome: Outcome) {
    let line = serde_json::json!({
        "message": "stream", "request_id": visit.id, "outcome": outcome, "total_ms": visit.elapsed_ms(), "at_ms": clock::now_ms(),
    });
    worker::console_log!("{line}");
}

/// A JavaScript object of these properties.
pub fn object<const N: usize>(entries: [(&str, JsValue); N]) -> Object {
    let object = Object::new();
    for (name, value) in entries {
        // Setting a plain property of a fresh object cannot fail.
        let _ = Reflect::set(&object, &JsValue::from_str(name), &value);
    }
    object
}
