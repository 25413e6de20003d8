//! A turn of a conversation that is kept here: what goes before it is put into the request, and what comes of it is kept.
//!
//! Invariant: the provider is sent the whole conversation and keeps nothing, so any target can go on with it. Only what
//! ended well is kept, before the caller sees its end; and where it could not be kept, the answer says `store: false`.

use crate::{
    api::Api,
    chain_client,
    chain_object::Kept,
    json_splice::{Members, join},
    resolve::Route,
    settings::EVENT_MAX_BYTES,
    sse,
    visit::{self, Visit},
};
use alphagate_contract::{
    id::EndpointId,
    key::ApiKey,
    problem::{Code, Problem},
    response_id::ResponseId,
};
use js_sys::{Promise, Uint8Array};
use serde_json::{Value, json, value::RawValue};
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
    /// What the response is called, if it is to be kept.
    id: Option<ResponseId>,
    previous: Option<ResponseId>,
    endpoint: EndpointId,
    model: String,
    expires_ms: u64,
    input: Vec<Box<RawValue>>,
}

/// Begins a turn where the version keeps responses. What comes with it is the body with the whole conversation, if there
/// is more of it than the caller has sent.
///
/// # Errors
/// 400 for a previous response that is not there, another endpoint's, or too long to be continued.
pub async fn begin(
    visit: &Visit,
    key: &ApiKey,
    api: Api,
    route: &Route,
    members: &Members<'_>,
    model: &str,
) -> Result<Option<(Turn, Option<Vec<u8>>)>, Problem> {
    let config = route.config()?;
    let Some(retain) = config.retain.filter(|_| matches!(api, Api::Responses)) else { return Ok(None) };
    let text = |field: &str| members.get(field).filter(|text| *text != "null");
    let store = text("store").map(str::to_owned);
    let store = store.or_else(|| config.defaults.get("store").map(Value::to_string));
    let ring = &visit.settings.key_ring;
    let previous = match text("previous_response_id") {
        None => None,
        Some(text) => {
            let asked = serde_json::from_str::<String>(text).map_err(|_| not_there())?;
            Some(ResponseId::verify(ring, key.org, &asked).ok_or_else(not_there)?)
        }
    };
    let input = items(text("input"))?;
    let id = match store.as_deref() {
        Some("false") => None,
        _ => {
            let response = visit::new_id(visit.started_ms)?.uuid();
            let chain = previous.as_ref().map_or(visit.id.uuid(), |previous| previous.chain);
            Some(ResponseId::mint(ring, key.org, chain, response))
        }
    };
    let body = match &previous {
        Some(previous) => Some(continued(visit, previous, route.endpoint, members, &input).await?),
        None => None,
    };
    let expires_ms = visit.started_ms.saturating_add(u64::from(retain.days) * DAY_MS);
    let (endpoint, model) = (route.endpoint, model.to_owned());
    Ok(Some((Turn { id, previous, endpoint, model, expires_ms, input }, body)))
}

/// The same words whether it never was, is no more, or is another's.
fn not_there() -> Problem {
    Problem::new(Code::PreviousResponseNotFound).param("previous_response_id")
}

async fn continued(
    visit: &Visit,
    previous: &ResponseId,
    endpoint: EndpointId,
    members: &Members<'_>,
    input: &[Box<RawValue>],
) -> Result<Vec<u8>, Problem> {
    let history = chain_client::history(visit, previous).await?;
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
    let mut all = String::from("[");
    for item in history.items.iter().filter(|item| can_be_sent_again(item)).chain(input) {
        if all.len() > 1 {
            all.push(',');
        }
        all.push_str(item.get());
    }
    all.push(']');
    let pieces = members.splice(&[("input", all), ("previous_response_id", "null".to_owned())]);
    Ok(join(members.text().as_bytes(), &pieces))
}

/// Reasoning is of use to a provider that has kept nothing only if it comes with its encrypted content.
fn can_be_sent_again(item: &RawValue) -> bool {
    let item = serde_json::from_str::<Value>(item.get()).unwrap_or_default();
    let is_reasoning = item.get("type").is_some_and(|kind| kind == "reasoning");
    !is_reasoning || item.get("encrypted_content").is_some_and(Value::is_string)
}

/// The input as items; a text is a message of the user.
fn items(input: Option<&str>) -> Result<Vec<Box<RawValue>>, Problem> {
    let invalid = || {
        Problem::new(Code::ParameterInvalid)
            .message("`input` must be a string or an array of items.")
            .param("input")
    };
    let Some(text) = input else { return Ok(Vec::new()) };
    if !text.starts_with('"') {
        return serde_json::from_str(text).map_err(|_| invalid());
    }
    let text: String = serde_json::from_str(text).map_err(|_| invalid())?;
    let content = json!([{"type": "input_text", "text": text}]);
    let item = json!({"type": "message", "role": "user", "content": content});
    serde_json::value::to_raw_value(&item).map(|item| vec![item]).map_err(|_| invalid())
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
        let data = String::from_utf8(join(data.as_bytes(), &pieces)).ok()?;
        Some(sse::with_data(event, &data).into_bytes())
    }

    /// A response object under our id; kept if it ended well. None if it is not an object.
    async fn show(&self, visit: &Visit, object: &[u8]) -> Option<Vec<u8>> {
        let members = Members::read(object).ok()?;
        let shown = self.named(object, &members, self.id.is_some());
        let Some(id) = self.id.as_ref().filter(|_| has_ended_well(&members)) else { return Some(shown) };
        let kept = match self.kept(id, &shown) {
            Some(kept) => chain_client::keep(visit, id, &kept).await,
            None => false,
        };
        Some(if kept { shown } else { self.named(object, &members, false) })
    }

    fn named(&self, object: &[u8], members: &Members<'_>, store: bool) -> Vec<u8> {
        let previous = self.previous.as_ref().map_or(Value::Null, |previous| previous.as_str().into());
        let mut edits = vec![("previous_response_id", previous.to_string()), ("store", store.to_string())];
        if let Some(id) = &self.id {
            edits.push(("id", Value::from(id.as_str()).to_string()));
        }
        join(object, &members.splice(&edits))
    }

    fn kept(&self, id: &ResponseId, shown: &[u8]) -> Option<Kept> {
        let members = Members::read(shown).ok()?;
        Some(Kept {
            id: id.to_string(),
            previous: self.previous.as_ref().map(ResponseId::to_string),
            endpoint: self.endpoint,
            model: self.model.clone(),
            expires_ms: self.expires_ms,
            response: serde_json::from_slice(shown).ok()?,
            output: serde_json::from_str(members.get("output").unwrap_or("[]")).ok()?,
            input: self.input.clone(),
        })
    }
}

fn has_ended_well(members: &Members<'_>) -> bool {
    matches!(members.get("status"), Some("\"completed\"" | "\"incomplete\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_message_and_items_stay_as_they_came() {
        let shown = |input| -> Vec<String> {
            items(input).unwrap().iter().map(|item| item.get().to_owned()).collect()
        };
        assert!(shown(None).is_empty());
        assert_eq!(shown(Some(r#"[{"a": 1.50}]"#)), [r#"{"a": 1.50}"#]);
        let message: Value = serde_json::from_str(&shown(Some(r#""h\u00e4""#))[0]).unwrap();
        assert_eq!((&message["role"], &message["content"][0]["text"]), (&json!("user"), &json!("hä")));
        assert_eq!(items(Some("7")).unwrap_err().param.as_deref(), Some("input"));
    }

    #[test]
    fn reasoning_is_sent_again_only_with_its_encrypted_content() {
        let cases = [
            (r#"{"type":"message"}"#, true),
            (r#"{"type":"reasoning","id":"rs_1"}"#, false),
            (r#"{"type":"reasoning","encrypted_content":null}"#, false),
            (r#"{"type":"reasoning","encrypted_content":"x"}"#, true),
        ];
        for (item, sent) in cases {
            let item: Box<RawValue> = serde_json::from_str(item).unwrap();
            assert_eq!(can_be_sent_again(&item), sent, "{item}");
        }
    }
}
