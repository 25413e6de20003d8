//! A turn of a conversation that is known here: what goes before it is put into the request, and what comes of it is kept,
//! or remembered by the connection that it came on.
//!
//! Invariant: the provider is sent the whole conversation and keeps nothing, so any target can go on with it. Only what
//! ended well is kept, before the caller sees its end; and where it could not be kept, the answer says `store: false`.

use crate::{
    api::Api,
    asking::Asking,
    chain_client,
    chain_index::Noted,
    chain_object::{HISTORY_MAX_BYTES, HISTORY_MAX_ITEMS, History, Kept},
    conversation::{self, can_be_sent_again, joined},
    json_splice::{self, Members},
    recall::Recall,
    references,
    resolve::Route,
    settings::EVENT_MAX_BYTES,
    sse,
    visit::{self, Visit},
};
use alphagate_contract::{
    endpoint::VersionConfig,
    id::{EndpointId, OrgId},
    key::ApiKey,
    problem::{Code, Problem},
    response_id::ResponseId,
};
use futures_util::future::join;
use js_sys::{Promise, Uint8Array};
use serde_json::{Value, value::RawValue};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use worker::{Response, web_sys::ReadableStream};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[wasm_bindgen(module = "/src/chain.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn shown(
        stream: ReadableStream,
        show: &Closure<dyn FnMut(Uint8Array) -> Promise>,
        max_event_bytes: f64,
    ) -> Result<ReadableStream, JsValue>;
}

/// A turn under way.
#[derive(Debug)]
pub struct Turn {
    /// Whether the version keeps responses.
    keeps: bool,
    /// What the response is called, if it is to be kept.
    id: Option<ResponseId>,
    /// What it continues, as the caller named it.
    previous: Option<String>,
    /// The same, if it is kept.
    kept_before: Option<ResponseId>,
    org: OrgId,
    endpoint: EndpointId,
    model: String,
    expires_ms: u64,
    /// What is to be kept with it: the items that nobody keeps yet.
    input: Vec<Box<RawValue>>,
    /// What the connection remembers, where it came on one.
    recall: Option<Recall>,
}

/// What goes before a turn.
struct Before {
    /// As the caller named it.
    named: String,
    /// If it is kept.
    kept: Option<ResponseId>,
    items: Vec<Box<RawValue>>,
}

/// Begins a turn where the version keeps responses or the connection remembers them. What comes with it is the body with the
/// whole conversation, if there is more of it than the caller has sent.
///
/// # Errors
/// 400 for a previous response that is not there, another endpoint's, or too long to be continued; 503 over the byte budget.
pub async fn begin(
    visit: &Visit,
    key: &ApiKey,
    asking: &Asking,
    route: &Route,
    members: &Members<'_>,
    model: &str,
) -> Result<Option<(Turn, Option<Vec<u8>>)>, Problem> {
    let config = route.config()?;
    let retain = config.retain.filter(|_| matches!(asking.api, Api::Responses | Api::Compact));
    let is_stored = is_stored(members, config);
    // What a provider is allowed to keep, it keeps.
    let recall = asking.recall.clone().filter(|_| !config.allow.previous_response_id || !is_stored);
    if retain.is_none() && recall.is_none() {
        return Ok(None);
    }
    let ring = &visit.settings.key_ring;
    let before = before(visit, key, route, recall.as_ref(), members).await?;
    let mut input = conversation::items(named(members, "input"))?;
    let is_resolved = retain.is_some() && references::resolve(visit, key, route.endpoint, &mut input).await?;
    let id = match retain {
        Some(_) if is_stored && asking.api == Api::Responses => {
            let response = visit::new_id(visit.started_ms)?.uuid();
            let chain = before.as_ref().and_then(|before| before.kept.as_ref());
            let chain = chain.map_or(visit.id.uuid(), |before| before.chain);
            Some(ResponseId::mint(ring, key.org, chain, response))
        }
        _ => None,
    };
    let body = match &before {
        None if !is_resolved => None,
        before => Some(continued(members, before.as_ref(), &input)?),
    };
    let days = retain.map_or(0, |retain| u64::from(retain.days));
    let mut turn = Turn {
        keeps: retain.is_some(),
        id,
        previous: before.as_ref().map(|before| before.named.clone()),
        kept_before: before.as_ref().and_then(|before| before.kept.clone()),
        org: key.org,
        endpoint: route.endpoint,
        model: model.to_owned(),
        expires_ms: visit.started_ms.saturating_add(days * DAY_MS),
        input: Vec::new(),
        recall: None,
    };
    if turn.id.is_some() {
        // What was remembered only is kept with what continues it.
        let remembered = before.filter(|before| before.kept.is_none()).map(|before| before.items);
        turn.input = remembered.unwrap_or_default();
        turn.input.append(&mut input);
    } else if let Some(recall) = &recall {
        let before = before.map(|before| before.items).unwrap_or_default();
        let (items, count) = (joined(before.iter().chain(&input)), before.len() + input.len());
        if items.len() <= HISTORY_MAX_BYTES && count <= HISTORY_MAX_ITEMS {
            recall.hold(&items, count);
        }
    }
    turn.recall = recall;
    Ok(Some((turn, body)))
}

fn named<'a>(members: &Members<'a>, field: &str) -> Option<&'a str> {
    members.get(field).filter(|text| *text != "null")
}

/// Whether the response may be kept, wherever; that is the protocol's default.
fn is_stored(members: &Members<'_>, config: &VersionConfig) -> bool {
    let own = named(members, "store").map(str::to_owned);
    own.or_else(|| config.defaults.get("store").map(Value::to_string)).as_deref() != Some("false")
}

/// The same words whether it never was, is no more, or is another's.
fn not_there() -> Problem {
    Problem::new(Code::PreviousResponseNotFound).param("previous_response_id")
}

/// The conversation that is continued; none: there is none, or its provider knows it.
async fn before(
    visit: &Visit,
    key: &ApiKey,
    route: &Route,
    recall: Option<&Recall>,
    members: &Members<'_>,
) -> Result<Option<Before>, Problem> {
    let Some(text) = named(members, "previous_response_id") else { return Ok(None) };
    let named = serde_json::from_str::<String>(text).map_err(|_| not_there())?;
    if let Some(history) = recall.and_then(|recall| recall.history(&named)) {
        return Ok(Some(Before { named, kept: None, items: checked(history, route.endpoint)? }));
    }
    if route.config()?.retain.is_none() {
        let is_providers = recall.is_none() && route.config()?.allow.previous_response_id;
        return if is_providers { Ok(None) } else { Err(not_there()) };
    }
    let kept = ResponseId::verify(&visit.settings.key_ring, key.org, &named).ok_or_else(not_there)?;
    let items = checked(chain_client::history(visit, &kept).await?, route.endpoint)?;
    Ok(Some(Before { named, kept: Some(kept), items }))
}

fn checked(history: History, endpoint: EndpointId) -> Result<Vec<Box<RawValue>>, Problem> {
    if history.too_long {
        return Err(Problem::new(Code::ParameterInvalid)
            .message(
                "The conversation is too long to be continued. Begin a new one, with a summary of this one.",
            )
            .param("previous_response_id"));
    }
    if history.endpoint != Some(endpoint) {
        return Err(not_there());
    }
    Ok(history.items)
}

fn continued(
    members: &Members<'_>,
    before: Option<&Before>,
    input: &[Box<RawValue>],
) -> Result<Vec<u8>, Problem> {
    let items = before.map(|before| before.items.as_slice()).unwrap_or_default();
    conversation::check_outputs(items, input)?;
    let all = joined(items.iter().filter(|item| can_be_sent_again(item)).chain(input));
    let mut edits = vec![("input", format!("[{all}]"))];
    if before.is_some() {
        edits.push(("previous_response_id", "null".to_owned()));
    }
    Ok(json_splice::join(members.text().as_bytes(), &members.splice(&edits)))
}

/// The answer as it stands in the conversation; what it brings is kept on its way.
///
/// # Errors
/// When the platform refuses.
pub async fn finish(visit: &Visit, turn: Turn, mut response: Response) -> Result<Response, Problem> {
    let internal = |_| Problem::new(Code::Internal);
    let headers = response.headers().clone();
    if response.status_code() != 200 {
        return Ok(response);
    }
    let kind = headers.get("content-type").ok().flatten().unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        let bytes = response.bytes().await.map_err(internal)?;
        let bytes = turn.show(visit, &bytes).await.unwrap_or(bytes);
        let _ = headers.delete("content-length");
        return Ok(Response::from_bytes(bytes).map_err(internal)?.with_headers(headers));
    }
    let inner: worker::web_sys::Response = response.into();
    let Some(stream) = inner.body() else { return Ok(inner.into()) };
    let (turn, visit) = (Rc::new(turn), visit.clone());
    let show = Closure::new(move |event: Uint8Array| {
        let (turn, visit, event) = (Rc::clone(&turn), visit.clone(), event.to_vec());
        future_to_promise(async move {
            let shown = turn.show_event(&visit, &event).await;
            Ok(Uint8Array::from(shown.unwrap_or(event).as_slice()).into())
        })
    });
    let stream = shown(stream, &show, EVENT_MAX_BYTES as f64).map_err(|_| Code::Internal)?;
    // Given to JavaScript, which drops it with the stream.
    drop(show.into_js_value());
    let init = worker::web_sys::ResponseInit::new();
    init.set_headers(&inner.headers());
    worker::web_sys::Response::new_with_opt_readable_stream_and_init(Some(&stream), &init)
        .map(Response::from)
        .map_err(|_| Code::Internal.into())
}

impl Turn {
    async fn show_event(&self, visit: &Visit, event: &[u8]) -> Option<Vec<u8>> {
        let event = std::str::from_utf8(event).ok()?;
        let data = sse::data(event)?;
        let members = Members::read(data.as_bytes()).ok()?;
        let response = self.show(visit, members.get("response")?.as_bytes()).await?;
        let pieces = members.splice(&[("response", String::from_utf8(response).ok()?)]);
        let data = String::from_utf8(json_splice::join(data.as_bytes(), &pieces)).ok()?;
        Some(sse::with_data(event, &data).into_bytes())
    }

    /// A response object under our id; kept or remembered if it ended well. None if it is not an object.
    async fn show(&self, visit: &Visit, object: &[u8]) -> Option<Vec<u8>> {
        let members = Members::read(object).ok()?;
        let shown = self.named(object, &members, self.id.is_some());
        if !has_ended_well(&members) {
            if has_failed(&members) {
                self.forget();
            }
            return Some(shown);
        }
        let Some(id) = &self.id else {
            self.remember(&members);
            return Some(shown);
        };
        let kept = match self.kept(id, &shown) {
            Some(kept) => self.keep(visit, id, &kept).await,
            None => false,
        };
        Some(if kept { shown } else { self.named(object, &members, false) })
    }

    /// Keeps the response, so that it and its items are found.
    async fn keep(&self, visit: &Visit, id: &ResponseId, kept: &Kept) -> bool {
        let items: Vec<String> = kept.output.iter().filter_map(|item| conversation::id(item)).collect();
        if items.is_empty() {
            return chain_client::keep(visit, id, kept).await;
        }
        let noted = Noted { items, response: id.to_string(), expires_ms: self.expires_ms };
        let kept = chain_client::keep(visit, id, kept);
        let (kept, noted) = join(kept, chain_client::note(visit, self.org, &noted)).await;
        kept && noted
    }

    fn named(&self, object: &[u8], members: &Members<'_>, store: bool) -> Vec<u8> {
        let mut edits = Vec::new();
        if self.keeps || self.previous.is_some() {
            let previous = self.previous.as_deref().map_or(Value::Null, Value::from);
            edits.push(("previous_response_id", previous.to_string()));
        }
        if self.keeps {
            edits.push(("store", store.to_string()));
        }
        if let Some(id) = &self.id {
            edits.push(("id", Value::from(id.as_str()).to_string()));
        }
        json_splice::join(object, &members.splice(&edits))
    }

    fn kept(&self, id: &ResponseId, shown: &[u8]) -> Option<Kept> {
        let members = Members::read(shown).ok()?;
        Some(Kept {
            id: id.to_string(),
            previous: self.kept_before.as_ref().map(ResponseId::to_string),
            endpoint: self.endpoint,
            model: self.model.clone(),
            expires_ms: self.expires_ms,
            response: serde_json::from_slice(shown).ok()?,
            output: serde_json::from_str(members.get("output").unwrap_or("[]")).ok()?,
            input: self.input.clone(),
        })
    }

    fn remember(&self, members: &Members<'_>) {
        let Some(recall) = &self.recall else { return };
        let output = serde_json::from_str::<Vec<Box<RawValue>>>(members.get("output").unwrap_or("[]"));
        let id = members.get("id").and_then(|id| serde_json::from_str::<String>(id).ok());
        match (id, output) {
            (Some(id), Ok(output)) => recall.keep(&id, self.endpoint, &joined(&output), output.len()),
            _ => self.forget(),
        }
    }

    fn forget(&self) {
        if let Some(recall) = &self.recall {
            recall.fail(self.previous.as_deref().unwrap_or_default());
        }
    }
}

fn has_ended_well(members: &Members<'_>) -> bool {
    matches!(members.get("status"), Some("\"completed\"" | "\"incomplete\""))
}

fn has_failed(members: &Members<'_>) -> bool {
    matches!(members.get("status"), Some("\"failed\"" | "\"cancelled\""))
}
