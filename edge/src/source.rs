//! Opens a stream: asks the targets until one brings content, while keep-alives keep the caller's connection.
//!
//! Invariant: as long as another target could take over, nothing of a stream is shown before its first content; of the
//! last one everything is shown as it comes, because there is nothing to wait for.

use crate::{
    answer,
    attempt::Attempt,
    attempts::{Attempts, Failure},
    proxy::{Call, Head},
    retry::Why,
    settings::EVENT_MAX_BYTES,
    stream::{Hooks, Serving, Stream, object},
    whole,
};
use alphagate_contract::{
    problem::{Code, Problem},
    usage::Outcome,
};
use futures_util::future::{Either, select};
use js_sys::{Function, Object, Reflect};
use std::{pin::pin, rc::Rc, time::Duration};
use wasm_bindgen::prelude::*;
use worker::{Delay, Response};

#[wasm_bindgen(module = "/src/source.js")]
extern "C" {
    /// The calls that are made for one stream.
    pub type Source;

    /// Without a call.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Source;

    /// A call is under way.
    #[wasm_bindgen(method, js_name = use)]
    pub fn take(this: &Source, call: &Call);

    /// Whether the caller has left.
    #[wasm_bindgen(method, getter)]
    fn gone(this: &Source) -> bool;

    /// Whether nobody waits for it any more.
    #[wasm_bindgen(method, getter)]
    fn over(this: &Source) -> bool;

    #[wasm_bindgen(method)]
    fn open(this: &Source, opened: &Object);

    #[wasm_bindgen(catch)]
    async fn hold(
        call: &Call,
        rewrite: &Function,
        limits: &Object,
        translate: &Function,
    ) -> Result<JsValue, JsValue>;
}

/// The hooks that look at what is held back.
struct Looks {
    rewrite: Function,
    translate: Function,
}

impl Looks {
    fn of(hooks: &Hooks) -> Self {
        let function = |hook: &JsValue| hook.clone().unchecked_into();
        Self { rewrite: function(hooks.rewrite.as_ref()), translate: function(hooks.translate.as_ref()) }
    }
}

/// Serves a stream from the first target that brings content.
///
/// # Errors
/// The last target's failure, if it is known before the first keep-alive is due; after it, failures are events.
pub async fn serve(attempts: Attempts) -> Result<Response, Problem> {
    let commission = attempts.commission();
    let visit = commission.visit.clone();
    let reservation = commission.reservation.clone();
    let told = (commission.outgoing.disguise.clone(), &commission.outgoing.carry);
    let stream = Stream::new(visit.clone(), told, &reservation);
    let hooks = stream.hooks();
    let looks = Looks::of(&hooks);
    let wait_ms = visit.settings.keep_alive_ms;
    let mut opening = Box::pin(open(attempts, Rc::clone(&stream), looks));
    let early = {
        let delay = pin!(Delay::from(Duration::from_millis(wait_ms)));
        match select(&mut opening, delay).await {
            Either::Left((opened, _)) => Some(opened?),
            Either::Right(_) => None,
        }
    };
    if early.is_none() {
        // The status is committed now, so that comments can keep the connection alive.
        let stream = Rc::clone(&stream);
        visit.context.wait_until(async move {
            let opened = opening.await.unwrap_or_else(|problem| {
                stream.refuse(problem);
                object([("why", "refused".into())])
            });
            stream.source.open(&opened);
        });
    }
    respond(&stream, hooks, early, &reservation.limits)
}

fn respond(
    stream: &Stream,
    hooks: Hooks,
    opened: Option<Object>,
    limits: &answer::Limits,
) -> Result<Response, Problem> {
    if let Some(opened) = &opened {
        stream.source.open(opened);
    }
    let body = stream.start(hooks)?;
    let internal = |_| Problem::new(Code::Internal);
    let headers = answer::event_stream_headers().map_err(internal)?;
    answer::add_limits(&headers, limits).map_err(internal)?;
    Ok(Response::builder().with_headers(headers).stream(body))
}

/// Asks the targets; what comes back is what the pump reads from.
async fn open(mut attempts: Attempts, stream: Rc<Stream>, looks: Looks) -> Result<Object, Problem> {
    loop {
        let attempt = attempts.begin()?;
        stream.attempt(&attempt);
        match listen(&attempts, &attempt, &stream, &looks).await {
            // The pump has ended meanwhile, and would settle nothing.
            Ok(_) if stream.source.gone() => attempts.failed(&attempt, Failure::Gone).await?,
            Ok(_) if stream.source.over() => {
                let late = Failure::free(Why::Timeout, Code::UpstreamTimeout);
                attempts.failed(&attempt, late).await?;
            }
            Ok(opened) => {
                attempts.commission().lease.release();
                let served = attempts.served(attempt.target);
                let reservation = attempts.commission().reservation.clone();
                stream.serve(Serving { attempt, reservation, served });
                return Ok(opened);
            }
            Err(failure) => attempts.failed(&attempt, failure).await?,
        }
    }
}

/// Waits for a target's answer, and for its first content if another target could take over.
async fn listen(
    attempts: &Attempts,
    attempt: &Attempt,
    stream: &Stream,
    looks: &Looks,
) -> Result<Object, Failure> {
    let call = &attempt.call;
    let head = call.wait_head(attempt.deadlines.head_ms).await;
    if stream.source.gone() {
        return Err(Failure::Gone);
    }
    match head {
        Head::Status(200) if call.is_event_stream() => {}
        head => return Err(whole::refused(attempts, attempt, head, "an event stream").await),
    }
    if attempt.is_last {
        return Ok(described(attempts, attempt, object([("call", call.into())])));
    }
    let limits = limits(attempts, attempt);
    let held = hold(call, &looks.rewrite, &limits, &looks.translate).await.unwrap_or(JsValue::UNDEFINED);
    if stream.source.gone() {
        return Err(Failure::Gone);
    }
    let how = Reflect::get(&held, &"how".into()).ok().and_then(|how| how.as_string()).unwrap_or_default();
    match how.as_str() {
        "content" => attempt.patient.brought_content(),
        "long" => {}
        "ended" => failed_early(stream)?,
        "late" => return Err(Failure::free(Why::Timeout, Code::UpstreamTimeout)),
        _ => return Err(Failure::free(Why::CutOff, Code::UpstreamIncomplete)),
    }
    let _ = Reflect::set(&held, &"call".into(), call.as_ref());
    Ok(described(attempts, attempt, held.unchecked_into()))
}

/// A stream that has ended before any content: whether it failed, and not because of what was asked.
fn failed_early(stream: &Stream) -> Result<(), Failure> {
    match stream.ended() {
        (Some((Outcome::Failed, usage)), false) => {
            let problem = Box::new(Code::UpstreamError.into());
            Err(Failure::Target { why: Why::Failed, problem, usage })
        }
        _ => Ok(()),
    }
}

/// What the pump must know of the call besides.
fn described(attempts: &Attempts, attempt: &Attempt, opened: Object) -> Object {
    let limits = limits(attempts, attempt);
    let called_ago_ms = Reflect::get(&limits, &"calledAgoMs".into()).unwrap_or(JsValue::UNDEFINED);
    for (name, value) in [("limits", limits.into()), ("calledAgoMs", called_ago_ms)] {
        let _ = Reflect::set(&opened, &name.into(), &value);
    }
    opened
}

fn limits(attempts: &Attempts, attempt: &Attempt) -> Object {
    let deadlines = &attempt.deadlines;
    let called_ago_ms = attempts.commission().visit.elapsed_ms().saturating_sub(attempt.called_ms);
    let content_ms = deadlines.content_ms.map_or(JsValue::UNDEFINED, |ms| (ms as f64).into());
    object([
        ("calledAgoMs", (called_ago_ms as f64).into()),
        ("firstByteMaxMs", (deadlines.first_byte_ms as f64).into()),
        ("contentMaxMs", content_ms),
        ("idleMaxMs", (deadlines.idle_ms as f64).into()),
        ("translated", (!attempt.carry.is_native()).into()),
        ("totalMaxMs", (deadlines.total_ms as f64).into()),
        ("eventMaxBytes", (EVENT_MAX_BYTES as f64).into()),
    ])
}
