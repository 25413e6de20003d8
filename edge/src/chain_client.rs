//! Calls to the object of a conversation chain, and to the org's index of items.
//!
//! Invariant: an object is called for an id only that was proved to be of the caller's org.

use crate::{
    chain_index::Noted,
    chain_object::{History, Kept, Pick, Picked, Which},
    visit::Visit,
    wait,
};
use alphagate_contract::{
    id::OrgId,
    problem::{Code, Problem},
    response_id::ResponseId,
};
use serde::{Serialize, de::DeserializeOwned};
use worker::{Method, Request, RequestInit, Result};

/// Keeps a response; false if it could not be.
pub async fn keep(visit: &Visit, id: &ResponseId, kept: &Kept) -> bool {
    call(visit, &chain(id), "/keep", kept).await.unwrap_or(false)
}

/// Notes which response of the org items belong to; false if that could not be.
pub async fn note(visit: &Visit, org: OrgId, noted: &Noted) -> bool {
    call(visit, &index(org), "/note", noted).await.unwrap_or(false)
}

/// The items that are known to the org, each with its response.
///
/// # Errors
/// 503 when the object does not answer.
pub async fn find(visit: &Visit, org: OrgId, items: Vec<String>) -> Result<Vec<(String, String)>, Problem> {
    call(visit, &index(org), "/find", &items).await
}

/// Items of a response.
///
/// # Errors
/// 503 when the object does not answer.
pub async fn pick(visit: &Visit, id: &ResponseId, items: Vec<String>) -> Result<Picked, Problem> {
    call(visit, &chain(id), "/pick", &Pick { id: id.to_string(), items }).await
}

/// The response, if it is there.
///
/// # Errors
/// 503 when the object does not answer.
pub async fn read(visit: &Visit, id: &ResponseId) -> Result<Option<Kept>, Problem> {
    call(visit, &chain(id), "/read", &which(id)).await
}

/// The conversation up to the response.
///
/// # Errors
/// 503 when the object does not answer.
pub async fn history(visit: &Visit, id: &ResponseId) -> Result<History, Problem> {
    call(visit, &chain(id), "/history", &which(id)).await
}

/// Deletes the response; whether it was there.
///
/// # Errors
/// 503 when the object does not answer.
pub async fn delete(visit: &Visit, id: &ResponseId) -> Result<bool, Problem> {
    call(visit, &chain(id), "/delete", &which(id)).await
}

fn which(id: &ResponseId) -> Which {
    Which { id: id.to_string() }
}

/// The name of a chain's object.
fn chain(id: &ResponseId) -> String {
    id.chain.simple().to_string()
}

/// The name of the object of an org's index.
fn index(org: OrgId) -> String {
    format!("items of {org}")
}

async fn call<B: Serialize, T: DeserializeOwned>(
    visit: &Visit,
    name: &str,
    path: &str,
    body: &B,
) -> Result<T, Problem> {
    let exchange = async {
        let stub = visit.env.durable_object("CHAIN")?.get_by_name(name)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(serde_json::to_string(body)?.into()));
        let request = Request::new_with_init(&format!("https://chain{path}"), &init)?;
        let mut response = stub.fetch_with_request(request).await?;
        let text = response.text().await?;
        if response.status_code() != 200 {
            return Err(worker::Error::RustError(text));
        }
        Ok(serde_json::from_str::<T>(&text)?)
    };
    match wait::at_most(visit.settings.object_timeout_ms, exchange).await {
        Some(Ok(reply)) => return Ok(reply),
        Some(Err(error)) => worker::console_error!("object of a chain{path}: {error}"),
        None => worker::console_error!("object of a chain{path}: no answer in time"),
    }
    Err(Problem::new(Code::ConfigUnavailable)
        .message("The kept responses cannot be reached right now. Try again in a moment.")
        .retry_after_ms(1_000))
}
