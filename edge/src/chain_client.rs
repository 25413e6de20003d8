//! Calls to the object of a conversation chain.
//!
//! Invariant: an object is called for an id only that was proved to be of the caller's org.

use crate::{
    chain_object::{History, Kept, Which},
    visit::Visit,
    wait,
};
use alphagate_contract::{
    problem::{Code, Problem},
    response_id::ResponseId,
};
use serde::{Serialize, de::DeserializeOwned};
use worker::{Method, Request, RequestInit, Result};

/// Keeps a response; false if it could not be.
pub async fn keep(visit: &Visit, id: &ResponseId, kept: &Kept) -> bool {
    call(visit, id, "/keep", kept).await.unwrap_or(false)
}

/// The response, if it is there.
///
/// # Errors
/// 503 when the object does not answer.
pub async fn read(visit: &Visit, id: &ResponseId) -> Result<Option<Kept>, Problem> {
    call(visit, id, "/read", &which(id)).await
}

/// The conversation up to the response.
///
/// # Errors
/// 503 when the object does not answer.
pub async fn history(visit: &Visit, id: &ResponseId) -> Result<History, Problem> {
    call(visit, id, "/history", &which(id)).await
}

/// Deletes the response; whether it was there.
///
/// # Errors
/// 503 when the object does not answer.
pub async fn delete(visit: &Visit, id: &ResponseId) -> Result<bool, Problem> {
    call(visit, id, "/delete", &which(id)).await
}

fn which(id: &ResponseId) -> Which {
    Which { id: id.to_string() }
}

async fn call<B: Serialize, T: DeserializeOwned>(
    visit: &Visit,
    id: &ResponseId,
    path: &str,
    body: &B,
) -> Result<T, Problem> {
    let exchange = async {
        let stub = visit.env.durable_object("CHAIN")?.get_by_name(&id.chain.simple().to_string())?;
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
