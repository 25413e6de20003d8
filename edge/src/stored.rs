//! `GET /v1/responses/{id}`, `GET /v1/responses/{id}/input_items` and `DELETE /v1/responses/{id}`: responses that are kept
//! here.
//!
//! Invariant: a response is shown to the keys that could call its endpoint under the name that was used, and to all others
//! its absence looks like that of one that never was.

use crate::{
    admit::{self, Purpose},
    answer, chain_client,
    chain_object::Kept,
    identity,
    org_client::{self, Standing},
    replay,
    resolve::{self, Trail},
    visit::Visit,
};
use alphagate_contract::{
    key::ApiKey,
    problem::{Code, Problem},
    response_id::ResponseId,
};
use serde_json::{Value, json};
use url::Url;
use worker::{Method, Request, Response};

/// What comes before a response's id in its path.
pub const PREFIX: &str = "/v1/responses/";

/// Most items of one page, as OpenAI has it.
const PAGE_MAX: usize = 100;
/// Items of a page if the caller does not say how many, as OpenAI has it.
const PAGE_DEFAULT: usize = 20;
/// How often configuration may turn out to be old.
const OUTDATED_MAX: u32 = 3;

/// Serves what is asked of the response; `rest` is the path behind `/v1/responses/`.
///
/// # Errors
/// [`Problem`], as the caller reads it.
pub async fn serve(visit: &Visit, request: &Request, rest: &str) -> Result<Response, Problem> {
    let (id, is_list) = match rest.split_once('/') {
        None => (rest, false),
        Some((id, "input_items")) => (id, true),
        Some(_) => return Err(Code::RouteNotFound.into()),
    };
    let method = request.method();
    if method != Method::Get && (method != Method::Delete || is_list) {
        return Err(Code::MethodNotAllowed.into());
    }
    let header = request.headers().get("authorization").ok().flatten();
    let key = admit::key(&visit.settings.key_ring, header.as_deref())?;
    identity::check(visit, &key, Purpose::Call).await?;
    let id = ResponseId::verify(&visit.settings.key_ring, key.org, id).ok_or_else(not_there)?;
    let kept = chain_client::read(visit, &id).await?.ok_or_else(not_there)?;
    check_reach(visit, &key, &kept).await?;
    let url = request.url().map_err(|_| Code::RequestMalformed)?;
    let body = match (method, is_list) {
        (Method::Delete, _) => {
            chain_client::delete(visit, &id).await?;
            json!({"id": id.as_str(), "object": "response", "deleted": true}).to_string()
        }
        (_, true) => page(&url, &input_items(visit, &key, &kept).await?)?.to_string(),
        _ if url.query_pairs().any(|(name, value)| name == "stream" && value == "true") => {
            return replayed(&url, &kept);
        }
        _ => kept.response.get().to_owned(),
    };
    answer::json(body.into_bytes()).map_err(|_| Code::Internal.into())
}

/// The response as the events of a stream.
fn replayed(url: &Url, kept: &Kept) -> Result<Response, Problem> {
    let after = url.query_pairs().find(|(name, _)| name == "starting_after").map(|(_, value)| value.parse());
    let invalid = |_| Problem::new(Code::ParameterInvalid).param("starting_after");
    let after = after.transpose().map_err(invalid)?;
    let response = serde_json::from_str(kept.response.get()).map_err(|_| Code::Internal)?;
    let headers = answer::event_stream_headers().map_err(|_| Code::Internal)?;
    let answer = Response::from_bytes(replay::events(&response, after).into_bytes());
    Ok(answer.map_err(|_| Code::Internal)?.with_headers(headers))
}

fn not_there() -> Problem {
    Problem::new(Code::NotFound).message("There is no such response.")
}

/// Whether the key could make the call again, as the objects have it.
async fn check_reach(visit: &Visit, key: &ApiKey, kept: &Kept) -> Result<(), Problem> {
    for _ in 0..OUTDATED_MAX {
        let identity = identity::check(visit, key, Purpose::Call).await?;
        let mut trail = Trail::of_key(key, identity.revision);
        let asked = admit::asked_name(&identity.record, &kept.model);
        let reached = match resolve::route(visit, key, asked, &mut trail).await {
            Err(problem) if problem.code.retryable() => return Err(problem),
            route => route.is_ok_and(|route| route.endpoint == kept.endpoint),
        };
        match org_client::standing(visit, key, &trail).await? {
            Standing::Outdated => {}
            Standing::Suspended => return Err(Code::OrgSuspended.into()),
            Standing::Current if reached => return Ok(()),
            Standing::Current => return Err(not_there()),
        }
    }
    Err(Problem::new(Code::ConfigUnavailable).retry_after_ms(1_000))
}

/// All that the model was given, oldest first, each with an id.
async fn input_items(visit: &Visit, key: &ApiKey, kept: &Kept) -> Result<Vec<Value>, Problem> {
    let previous = kept.previous.as_deref();
    let previous = previous.and_then(|id| ResponseId::verify(&visit.settings.key_ring, key.org, id));
    let before = match previous {
        Some(previous) => chain_client::history(visit, &previous).await?.items,
        None => Vec::new(),
    };
    let items = before.iter().chain(&kept.input).enumerate().map(|(place, item)| {
        let mut item = serde_json::from_str::<Value>(item.get()).unwrap_or_default();
        if let Some(members) = item.as_object_mut() {
            members.entry("id").or_insert_with(|| format!("item_{place}").into());
            members.entry("type").or_insert_with(|| "message".into());
        }
        item
    });
    Ok(items.collect())
}

fn page(url: &Url, items: &[Value]) -> Result<Value, Problem> {
    let query = |name: &str| url.query_pairs().find(|(other, _)| other == name).map(|(_, value)| value);
    let invalid = |field: &str| Problem::new(Code::ParameterInvalid).param(field);
    let limit = query("limit").map_or(Ok(PAGE_DEFAULT), |text| text.parse()).map_err(|_| invalid("limit"))?;
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(invalid("limit"));
    }
    let mut items: Vec<&Value> = items.iter().collect();
    match query("order").as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => return Err(invalid("order")),
    }
    let from = match query("after") {
        None => 0,
        Some(after) => {
            let at = items
                .iter()
                .position(|item| item.get("id").is_some_and(|id| *id == *after))
                .ok_or_else(|| invalid("after"))?;
            at + 1
        }
    };
    let data: Vec<&Value> = items.iter().skip(from).take(limit).copied().collect();
    let id = |item: Option<&&Value>| item.and_then(|item| item.get("id")).cloned().unwrap_or_default();
    Ok(json!({
        "object": "list", "first_id": id(data.first()), "last_id": id(data.last()),
        "has_more": items.len() > from + data.len(), "data": data,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_until_there_is_no_more() {
        let items: Vec<Value> = (0..5).map(|at| json!({"id": format!("item_{at}")})).collect();
        let url = |query: &str| Url::parse(&format!("https://edge/x?{query}")).unwrap();
        let cases = [
            ("", "item_4", "item_0", false),
            ("limit=2", "item_4", "item_3", true),
            ("limit=2&order=asc", "item_0", "item_1", true),
            ("limit=3&order=asc&after=item_1", "item_2", "item_4", false),
            ("limit=1&after=item_1", "item_0", "item_0", false),
        ];
        for (query, first, last, more) in cases {
            let page = page(&url(query), &items).unwrap();
            assert_eq!((&page["first_id"], &page["last_id"]), (&json!(first), &json!(last)), "{query}");
            assert_eq!(page["has_more"], more, "{query}");
        }
        for query in ["limit=0", "limit=101", "limit=x", "order=up", "after=item_9"] {
            assert!(page(&url(query), &items).is_err(), "{query}");
        }
    }
}
