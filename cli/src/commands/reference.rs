//! Endpoints by id or by name, as people name them.

use crate::{
    client::Client,
    failure::Failure,
    pages::{Paging, Walk, fetch},
};
use alphagate_contract::id::EndpointId;
use serde_json::Value;

/// The org's own endpoint of this id or name.
pub(crate) async fn endpoint(client: &Client, text: &str) -> Result<Value, Failure> {
    if text.parse::<EndpointId>().is_ok() {
        return client.get(&["v1", "endpoints", text], &[]).await;
    }
    let missing = || {
        Failure::said(format!("there is no endpoint `{text}` in your org"))
            .hint("alphagate endpoints list --all")
    };
    endpoint_named(client, text).await?.ok_or_else(missing)
}

/// The org's own endpoint of this name, if there is one.
pub(crate) async fn endpoint_named(client: &Client, name: &str) -> Result<Option<Value>, Failure> {
    let found = fetch(client, &["v1", "endpoints"], &[], Walk::Cursor, Paging::EVERY).await?;
    Ok(found.data.into_iter().find(|endpoint| endpoint["name"] == name))
}

/// Every policy of the org.
pub(crate) async fn policies(client: &Client) -> Result<Vec<Value>, Failure> {
    Ok(fetch(client, &["v1", "policies"], &[], Walk::Cursor, Paging::EVERY).await?.data)
}

/// The id of an object, as a part of a path.
pub(crate) fn id(value: &Value) -> Result<&str, Failure> {
    value["id"].as_str().ok_or_else(|| Failure::said("the server answered an object without an id"))
}
