//! Starts the pump that carries a provider's stream to the caller, and decides what it shows and settles.
//!
//! The pump itself is `stream.js`: it runs on JavaScript promises, so a panic elsewhere in the isolate does not end
//! it. Its hooks are here.

use crate::{
    clock,
    disguise::{Disguise, Usage},
    lifecycle::Lifecycle,
    org_client::{self, Reservation},
    org_wire::Settle,
    proxy::{self, Call},
    settings::{EVENT_MAX_BYTES, LINGER_MS},
    visit::Visit,
};
use alphagate_contract::{
    endpoint::Price,
    problem::{Code, Problem},
    usage::{Outcome, Served},
};
use js_sys::{Object, Promise, Reflect, Uint8Array};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::web_sys::ReadableStream;

#[wasm_bindgen(module = "/src/stream.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn pump(call: &Call, hooks: &Object, limits: &Object) -> Result<Object, JsValue>;
}

/// One stream, from dialling to settlement.
pub struct Stream {
    visit: Visit,
    reservation: Reservation,
    lifecycle: RefCell<Lifecycle>,
    disguise: Disguise,
    price: Option<Price>,
    /// Milliseconds from the request's start to the call of the provider.
    dialled_ms: u64,
}

type RewriteHook = Closure<dyn FnMut(Uint8Array) -> JsValue>;
type FailHook = Closure<dyn FnMut(String, Uint8Array) -> Uint8Array>;
type SettleHook = Closure<dyn FnMut(String, f64) -> Promise>;

impl Stream {
    /// A stream for this reservation; its provider was called `dialled_ms` after the request's start.
    #[must_use]
    pub fn new(
        visit: Visit,
        reservation: Reservation,
        disguise: Disguise,
        price: Option<Price>,
        dialled_ms: u64,
    ) -> Self {
        let fallback_id = format!("resp_{}", reservation.id.uuid().simple());
        let lifecycle = Lifecycle::new(disguise.clone(), fallback_id, visit.started_ms / 1000);
        Self { visit, reservation, lifecycle: RefCell::new(lifecycle), disguise, price, dialled_ms }
    }

    /// Starts it; what comes back is the caller's body.
    ///
    /// # Errors
    /// [`Code::Internal`] when the platform refuses.
    pub fn start(self, call: Call) -> Result<ReadableStream, Problem> {
        let context = Rc::clone(&self.visit.context);
        let limits = self.limits();
        let this = Rc::new(self);
        let (rewrite, fail, settle) = Self::hooks(&this);
        let last_resort = this.last_resort();
        let hooks = object([
            ("rewrite", rewrite.as_ref().clone()),
            ("fail", fail.as_ref().clone()),
            ("settle", settle.as_ref().clone()),
            ("lastResort", last_resort.into()),
        ]);
        let internal = |_| Problem::new(Code::Internal);
        let pumped = pump(&call, &hooks, &limits).map_err(internal)?;
        let readable = Reflect::get(&pumped, &"readable".into()).map_err(internal)?;
        let done: Promise = Reflect::get(&pumped, &"done".into()).map_err(internal)?.unchecked_into();
        context.wait_until(async move {
            // The hooks live exactly as long as the pump.
            let _ = JsFuture::from(done).await;
            drop((rewrite, fail, settle));
        });
        Ok(readable.unchecked_into())
    }

    fn limits(&self) -> Object {
        let settings = &self.visit.settings;
        let waited_ms = self.visit.elapsed_ms().saturating_sub(self.dialled_ms);
        object([
            ("waitedMs", (waited_ms as f64).into()),
            ("keepAliveMs", (settings.keep_alive_ms as f64).into()),
            ("firstByteMaxMs", (settings.first_byte_timeout_ms as f64).into()),
            ("idleMaxMs", (settings.stream_idle_max_ms as f64).into()),
            ("totalMaxMs", (settings.request_total_max_ms as f64).into()),
            ("lingerMs", (LINGER_MS as f64).into()),
            ("eventMaxBytes", (EVENT_MAX_BYTES as f64).into()),
        ])
    }

    fn hooks(this: &Rc<Self>) -> (RewriteHook, FailHook, SettleHook) {
        let stream = Rc::clone(this);
        let rewrite = Closure::new(move |event: Uint8Array| stream.rewrite(&event));
        let stream = Rc::clone(this);
        let fail =
            Closure::new(move |reason: String, last: Uint8Array| stream.failure(&reason, &last.to_vec()));
        let stream = Rc::clone(this);
        let settle = Closure::new(move |how: String, first_byte_ms: f64| {
            let stream = Rc::clone(&stream);
            future_to_promise(async move {
                stream.settle(&how, first_byte_ms as u64).await;
                Ok(JsValue::UNDEFINED)
            })
        });
        (rewrite, fail, settle)
    }

    fn rewrite(&self, event: &Uint8Array) -> JsValue {
        let shown = self.lifecycle.borrow_mut().show(&event.to_vec());
        let bytes = shown.text.map_or(JsValue::UNDEFINED, |text| Uint8Array::from(text.as_bytes()).into());
        object([("bytes", bytes), ("terminal", shown.terminal.into()), ("whole", shown.whole.into())]).into()
    }

    fn failure(&self, reason: &str, last_passed: &[u8]) -> Uint8Array {
        let problem = match reason.split_once(' ') {
            Some(("refused", status)) => {
                proxy::refusal(status.parse().unwrap_or(502), b"", None, &self.disguise)
            }
            _ => match reason {
                "late" => Code::UpstreamTimeout,
                "unreachable" => Code::UpstreamUnreachable,
                _ => Code::UpstreamIncomplete,
            }
            .into(),
        };
        let tail = self.lifecycle.borrow_mut().fail(&problem, last_passed);
        Uint8Array::from(tail.as_bytes())
    }

    /// The end of a stream of which nothing has come, for when nobody can be asked any more. The stream's own
    /// lifecycle must not learn of it.
    fn last_resort(&self) -> Uint8Array {
        let tail = self.lifecycle.borrow().clone().fail(&Code::UpstreamIncomplete.into(), &[]);
        Uint8Array::from(tail.as_bytes())
    }

    /// Settles once: `ended` with the provider's figures, `gone` and `failed` at the estimate. A provider that never
    /// began costs nothing.
    async fn settle(&self, how: &str, first_byte_ms: u64) {
        let (began, ended) = {
            let lifecycle = self.lifecycle.borrow();
            (lifecycle.began(), lifecycle.ended())
        };
        if how == "failed" && !began {
            org_client::cancel(&self.visit, self.reservation.clone());
            return;
        }
        let (outcome, usage) = match (how, ended) {
            ("ended", Some((outcome, usage))) => (outcome, usage),
            ("gone", _) => (Outcome::Aborted, None),
            _ => (Outcome::Failed, None),
        };
        let first_byte_ms = if first_byte_ms > 0 { self.dialled_ms + first_byte_ms } else { 0 };
        let settle = settlement(&self.reservation, outcome, usage, self.price, first_byte_ms);
        org_client::settle(
            &self.visit.env,
            self.visit.settings.object_timeout_ms,
            &self.reservation,
            &settle,
        )
        .await;
        log(&self.visit, outcome);
    }
}

fn log(visit: &Visit, outcome: Outcome) {
    let line = serde_json::json!({
        "message": "stream", "request_id": visit.id, "outcome": outcome, "total_ms": visit.elapsed_ms(), "at_ms": clock::now_ms(),
    });
    worker::console_log!("{line}");
}

/// What to settle for a request that ended with this usage; without usage, the estimate.
#[must_use]
pub fn settlement(
    reservation: &Reservation,
    outcome: Outcome,
    usage: Option<Usage>,
    price: Option<Price>,
    first_byte_ms: u64,
) -> Settle {
    Settle {
        id: reservation.id,
        outcome,
        used: usage.map(|usage| usage.amounts(price)),
        cached_input_tokens: usage.map_or(0, |usage| usage.cached_tokens),
        reasoning_tokens: usage.map_or(0, |usage| usage.reasoning_tokens),
        first_byte_ms,
        served: Served::default(),
    }
}

fn object<const N: usize>(entries: [(&str, JsValue); N]) -> Object {
    let object = Object::new();
    for (name, value) in entries {
        // Setting a plain property of a fresh object cannot fail.
        let _ = Reflect::set(&object, &JsValue::from_str(name), &value);
    }
    object
}
