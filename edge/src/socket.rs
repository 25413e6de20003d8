//! `GET /v1/responses` with `Upgrade: websocket`: one response after the other over one connection.
//!
//! After the Open Responses specification of 2026-04-24, "WebSocket transport" (<https://www.openresponses.org/specification>),
//! and OpenAI's guide (<https://developers.openai.com/api/docs/guides/websocket-mode>): a message `response.create` is the body
//! of `POST /v1/responses`; the answer is the events of its stream as text frames, without the mark that ends a stream over
//! HTTP; messages are worked off one after the other; a failure is a frame `error` with `status` and `error.code`; a
//! connection lasts 60 minutes. A provider is called over HTTP as ever. Pings are answered by the engine, which sends none.
//!
//! Invariant: every message goes the whole way of a request, from the key to the settled answer; what holds for the next
//! request holds for the next message.

use crate::{
    admit::{self, Purpose},
    api::Api,
    asking::Asking,
    identity,
    message::{Message, frame},
    proxy::Lease,
    recall::{RENEW_MS, Recall},
    responses::{self, ENDPOINT_HEADER},
    settings::EVENT_MAX_BYTES,
    stream::object,
    visit::Visit,
};
use alphagate_contract::{
    endpoint::Region,
    key::ApiKey,
    problem::{Code, Problem},
};
use js_sys::{Object, Promise, Reflect, Uint8Array};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{
    Request, Response,
    web_sys::{self, AbortSignal},
};

/// Most connections of an isolate; each holds some kilobytes besides what its memory counts.
const CONNECTIONS_MAX: u32 = 1_000;
/// Most messages that wait on one connection while a response is under way; their bytes count as bodies do.
const WAITING_MAX: u32 = 8;
/// When there may be room for another connection, milliseconds.
const RETRY_MS: u64 = 5_000;

#[wasm_bindgen(module = "/src/socket.js")]
extern "C" {
    #[wasm_bindgen(js_name = open, catch)]
    fn open_with(recall: &Recall, hooks: &Object, limits: &Object) -> Result<JsValue, JsValue>;
}

/// Whether a request wants to become a connection.
#[must_use]
pub fn is_wanted(request: &Request) -> bool {
    let upgrade = request.headers().get("upgrade").ok().flatten();
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// Who is at the other end.
struct Connection {
    visit: Visit,
    key: ApiKey,
    endpoint: Option<String>,
    region: Option<Region>,
    recall: Recall,
}

/// What JavaScript asks; it lives as long as the connection.
struct Hooks {
    turn: Closure<dyn FnMut(Uint8Array, Lease, AbortSignal) -> Promise>,
    refusal: Closure<dyn FnMut(String) -> String>,
}

/// Opens a connection.
///
/// # Errors
/// 401 and 403 for the key, 503 when there are too many.
pub async fn open(visit: &Visit, request: &Request) -> Result<Response, Problem> {
    let header = |name: &str| request.headers().get(name).ok().flatten();
    let key = admit::key(&visit.settings.key_ring, header("authorization").as_deref())?;
    identity::check(visit, &key, Purpose::Call).await?;
    let recall = Recall::empty(&visit.settings);
    let (endpoint, region) = (header(ENDPOINT_HEADER), responses::region(request));
    let connection =
        Rc::new(Connection { visit: visit.clone(), key, endpoint, region, recall: recall.clone() });
    let hooks = connection.hooks();
    let told = object([("turn", hooks.turn.as_ref().clone()), ("refusal", hooks.refusal.as_ref().clone())]);
    let opened = open_with(&recall, &told, &limits(visit)).map_err(|_| Code::Internal)?;
    if opened.is_undefined() {
        return Err(Problem::new(Code::Overloaded).retry_after_ms(RETRY_MS));
    }
    let part = |name: &str| Reflect::get(&opened, &name.into()).map_err(|_| Problem::new(Code::Internal));
    let done: Promise = part("done")?.unchecked_into();
    let response: web_sys::Response = part("response")?.unchecked_into();
    visit.context.wait_until(async move {
        let _ = JsFuture::from(done).await;
        drop(hooks);
    });
    Ok(response.into())
}

fn limits(visit: &Visit) -> Object {
    let settings = &visit.settings;
    object([
        ("bodyMaxBytes", (settings.body_max_bytes as f64).into()),
        ("budgetBytes", (settings.buffer_budget_bytes as f64).into()),
        ("lifeMs", (settings.lease_life_ms() as f64).into()),
        ("eventMaxBytes", (EVENT_MAX_BYTES as f64).into()),
        ("waitingMax", WAITING_MAX.into()),
        ("connectionsMax", CONNECTIONS_MAX.into()),
        ("renewMs", (RENEW_MS as f64).into()),
        ("ageMaxMs", (settings.socket_max_ms as f64).into()),
    ])
}

impl Connection {
    fn hooks(self: &Rc<Self>) -> Hooks {
        let connection = Rc::clone(self);
        let turn = Closure::new(move |message: Uint8Array, lease: Lease, caller: AbortSignal| {
            let connection = Rc::clone(&connection);
            future_to_promise(async move { Ok(connection.turn(message, lease, caller).await) })
        });
        let connection = Rc::clone(self);
        let refusal = Closure::new(move |word: String| connection.refusal(&word));
        Hooks { turn, refusal }
    }

    /// The response to a message, or the frame that says why there is none.
    async fn turn(&self, message: Uint8Array, lease: Lease, caller: AbortSignal) -> JsValue {
        let visit = match self.visit.again() {
            Ok(visit) => visit,
            Err(problem) => return frame(&problem, &self.visit).into(),
        };
        let asking = Asking {
            api: Api::Responses,
            endpoint: self.endpoint.clone(),
            region: self.region,
            caller,
            lease,
            recall: Some(self.recall.clone()),
        };
        let mut previous = None;
        let served = match Message::read(&message.to_vec()) {
            Ok(message) => {
                previous = message.previous.clone();
                self.serve(&visit, &asking, message).await
            }
            Err(problem) => Err(problem),
        };
        log(&visit, served.as_ref().err());
        match served {
            Ok(response) => web_sys::Response::from(response).into(),
            Err(problem) => {
                asking.lease.release();
                self.recall.fail(previous.as_deref().unwrap_or_default());
                frame(&problem, &visit).into()
            }
        }
    }

    async fn serve(&self, visit: &Visit, asking: &Asking, message: Message) -> Result<Response, Problem> {
        let body = Uint8Array::from(message.body.as_bytes());
        if message.generate {
            responses::serve(visit, &self.key, asking, body).await
        } else {
            responses::warm_up(visit, &self.key, asking, &body).await
        }
    }

    /// Why a message is not even read.
    fn refusal(&self, word: &str) -> String {
        let settings = &self.visit.settings;
        let problem = match word {
            "binary" => Problem::new(Code::RequestMalformed).message("Send text frames, each of them one JSON object."),
            "too_large" => Problem::new(Code::BodyTooLarge)
                .message(format!("The message is over the limit of {} bytes.", settings.body_max_bytes)),
            "crowded" => Problem::new(Code::ConcurrencyExceeded).message(format!(
                "One response at a time is made on a connection, and {WAITING_MAX} messages wait already. Wait for an \
                 answer, or open another connection."
            )),
            "expired" => Code::ConnectionLimit.into(),
            _ => Problem::new(Code::Overloaded).retry_after_ms(1_000),
        };
        frame(&problem, &self.visit)
    }
}

fn log(visit: &Visit, problem: Option<&Problem>) {
    let code = problem.map(|problem| problem.code.as_str());
    let line = serde_json::json!({
        "message": "turn", "request_id": visit.id, "code": code, "head_ms": visit.elapsed_ms(),
    });
    worker::console_log!("{line}");
}
