//! Items that a caller refers to by their ids instead of sending them, where the version keeps responses.
//!
//! After OpenAI's `item_reference` (<https://platform.openai.com/docs/api-reference/responses/create>, `input`): SDKs that
//! count on stored responses send the ids of a model's items back, and no `previous_response_id`.
//!
//! Invariant: an item is found for the org whose key asked for it first, on the same endpoint, as long as its response is kept.

use crate::{
    chain_client,
    conversation::{self, can_be_sent_again},
    visit::Visit,
};
use alphagate_contract::{
    id::EndpointId,
    key::ApiKey,
    problem::{Code, Problem},
    response_id::ResponseId,
};
use futures_util::future::try_join_all;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// Most references of one request: as many items as a conversation may have.
const REFERENCES_MAX: usize = crate::chain_object::HISTORY_MAX_ITEMS;
/// Most responses that they may come from: each is one call of an object.
const RESPONSES_MAX: usize = 256;

/// Puts the items themselves in the places of references to them. Whether there were any.
///
/// # Errors
/// 400 for an item that is not there, or another endpoint's; 503 when an object does not answer.
pub async fn resolve(
    visit: &Visit,
    key: &ApiKey,
    endpoint: EndpointId,
    input: &mut Vec<Box<RawValue>>,
) -> Result<bool, Problem> {
    let wanted: Vec<String> = input.iter().filter_map(|item| conversation::reference(item)).collect();
    if wanted.is_empty() {
        return Ok(false);
    }
    if wanted.len() > REFERENCES_MAX {
        return Err(too_many());
    }
    let found = found(visit, key, endpoint, wanted).await?;
    let mut items = Vec::with_capacity(input.len());
    for item in input.drain(..) {
        match conversation::reference(&item) {
            None => items.push(item),
            Some(id) => {
                let kept = found.get(&id).ok_or_else(|| not_there(&id))?;
                if can_be_sent_again(kept) {
                    items.push(kept.clone());
                }
            }
        }
    }
    *input = items;
    Ok(true)
}

/// The items that are there, by their ids.
async fn found(
    visit: &Visit,
    key: &ApiKey,
    endpoint: EndpointId,
    wanted: Vec<String>,
) -> Result<HashMap<String, Box<RawValue>>, Problem> {
    let mut by_response: HashMap<String, Vec<String>> = HashMap::new();
    for (item, response) in chain_client::find(visit, key.org, wanted).await? {
        by_response.entry(response).or_default().push(item);
    }
    if by_response.len() > RESPONSES_MAX {
        return Err(too_many());
    }
    let ring = &visit.settings.key_ring;
    let picks = by_response.into_iter().filter_map(|(response, items)| {
        let response = ResponseId::verify(ring, key.org, &response)?;
        Some(async move { chain_client::pick(visit, &response, items).await })
    });
    let picked = try_join_all(picks).await?;
    let of_endpoint = picked.into_iter().filter(|picked| picked.endpoint == Some(endpoint));
    let items = of_endpoint.flat_map(|picked| picked.items);
    Ok(items.filter_map(|item| Some((conversation::id(&item)?, item))).collect())
}

fn not_there(id: &str) -> Problem {
    Problem::new(Code::ParameterInvalid)
        .message(format!(
            "Item `{id}` is not there: it was not kept, is past its time, or was deleted. Send the item itself; with \
             `store: false`, SDKs do so on their own."
        ))
        .param("input")
}

fn too_many() -> Problem {
    let message = "The input refers to too many items. Send the items themselves, or continue with `previous_response_id`.";
    Problem::new(Code::ParameterInvalid).message(message).param("input")
}
