//! The eval of a document: found again if it was made before, else made.
//!
//! Control keeps schema and graders in a form of its own, so a document is known again by a digest of what it says, which
//! lies in the eval's metadata. A document that says something else is another eval: verdicts of both stay apart.

use crate::{
    client::Client,
    commands::reference::id,
    document::Document,
    failure::Failure,
    pages::{Paging, Walk, fetch},
};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The metadata that holds the digest.
const DIGEST: &str = "document_sha256";

/// The id of the document's eval, and whether it was made now.
pub(super) async fn find_or_create(client: &Client, document: &Document) -> Result<(String, bool), Failure> {
    let digest = digest(&document.value);
    let newest_first = [("order", "desc".to_owned())];
    let known = fetch(client, &["v1", "evals"], &newest_first, Walk::After, Paging::EVERY).await?;
    if let Some(eval) = known.data.iter().find(|eval| eval["metadata"][DIGEST] == digest.as_str()) {
        return Ok((id(eval)?.to_owned(), false));
    }
    let made = client.post(&["v1", "evals"], &with_digest(&document.value, &digest)).await;
    let made = made.map_err(|failure| document.locate("", failure))?;
    Ok((id(&made)?.to_owned(), true))
}

fn with_digest(definition: &Value, digest: &str) -> Value {
    let mut definition = definition.clone();
    let members = definition.as_object_mut();
    let metadata = members.map(|members| members.entry("metadata").or_insert(Value::Null));
    if let Some(metadata) = metadata {
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        // What is neither is refused by control.
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert(DIGEST.into(), digest.into());
        }
    }
    definition
}

/// The same for documents that say the same, in whatever order.
fn digest(definition: &Value) -> String {
    hex::encode(Sha256::digest(sorted(definition).to_string()))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            names.into_iter().map(|name| (name.clone(), sorted(&members[name]))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        leaf => leaf.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_known_again_by_what_it_says() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let one = parse(r#"{"name": "a", "testing_criteria": [{"x": 1, "y": 2}]}"#);
        let same = parse(r#"{"testing_criteria": [{"y": 2, "x": 1}], "name": "a"}"#);
        let other = parse(r#"{"name": "a", "testing_criteria": [{"x": 1, "y": 3}]}"#);
        assert_eq!(digest(&one), digest(&same));
        assert_ne!(digest(&one), digest(&other));
    }

    #[test]
    fn metadata_of_the_document_stay() {
        let made = with_digest(&json!({"name": "a", "metadata": {"team": "x"}}), "d");
        assert_eq!(made["metadata"], json!({"team": "x", "document_sha256": "d"}));
        assert_eq!(with_digest(&json!({}), "d")["metadata"], json!({"document_sha256": "d"}));
        assert_eq!(with_digest(&json!({"metadata": 5}), "d")["metadata"], 5);
    }
}
