//! What a document wants of an endpoint, and what there is: the two sides that `apply` and `diff` compare.
//!
//! A document is what the API takes: the body of a new endpoint and, as its member `version`, the body of a version. Two
//! versions are the same if they mean the same: what a document leaves out is as the contract's defaults have it.

use crate::{
    client::Client,
    commands::reference::{endpoint_named, id, policies},
    document::{Assignment, Document},
    failure::Failure,
    pages::{Paging, Walk, fetch},
};
use alphagate_contract::endpoint::VersionConfig;
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The member that holds the version.
pub(super) const VERSION: &str = "version";

/// Which document.
#[derive(Debug, Args)]
pub(super) struct FromFile {
    /// YAML or JSON: an endpoint's fields, and `version`; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Set a member of the document: `version.targets[0].credential=cred_…`
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Assignment>,
}

/// What a document says.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) document: Document,
    pub(super) name: String,
    pub(super) version: Option<Value>,
}

/// What control has.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) endpoint: Value,
    /// The newest version's number and configuration.
    pub(super) newest: Option<(u64, Value)>,
}

impl FromFile {
    pub(super) fn read(&self) -> Result<Wanted, Failure> {
        let mut document = Document::read(&self.file, &self.set)?;
        let name = document.text("name")?.to_owned();
        let version = document.take(VERSION);
        Ok(Wanted { document, name, version })
    }
}

impl Wanted {
    /// The same, with the revisions of the policies that it names without: the newest ones, as control would take them.
    /// So a policy that was revised is a change of every document that does not say otherwise.
    pub(super) async fn pinned(mut self, client: &Client) -> Result<Self, Failure> {
        let named = self.version.as_mut().and_then(|version| version.get_mut("policies")?.as_array_mut());
        let mut open: Vec<&mut Value> = named.into_iter().flatten().filter(|one| is_open(one)).collect();
        if open.is_empty() {
            return Ok(self);
        }
        let known = policies(client).await?;
        for one in &mut open {
            if let Some(policy) = known.iter().find(|policy| policy["name"] == one["name"]) {
                one["revision"] = policy["revision"].clone();
            }
        }
        Ok(self)
    }

    /// The endpoint's members that are not as the document says. Its name is how it was found.
    pub(super) fn changes(&self, endpoint: &Value) -> Map<String, Value> {
        let members = self.document.value.as_object().into_iter().flatten();
        let differs = |name: &str, wanted: &Value| {
            name != "name" && normal(name, wanted) != normal(name, &endpoint[name])
        };
        members
            .filter(|(name, wanted)| differs(name, wanted))
            .map(|(name, wanted)| (name.clone(), wanted.clone()))
            .collect()
    }

    /// Whether the newest version is the one that the document wants, or it wants none.
    pub(super) fn has_version(&self, newest: Option<&(u64, Value)>) -> bool {
        match (&self.version, newest) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wanted), Some((_, config))) => normal(VERSION, wanted) == normal(VERSION, config),
        }
    }

    /// The document with what it leaves out, for comparing.
    pub(super) fn normal(&self) -> Value {
        let mut all: Map<String, Value> = self.document.value.as_object().cloned().unwrap_or_default();
        all.extend(self.version.clone().map(|version| (VERSION.to_owned(), version)));
        all.into_iter().map(|(name, value)| (name.clone(), normal(&name, &value))).collect()
    }
}

impl Present {
    /// What control has under this name.
    pub(super) async fn find(client: &Client, name: &str) -> Result<Option<Self>, Failure> {
        let Some(endpoint) = endpoint_named(client, name).await? else { return Ok(None) };
        let newest = newest(client, id(&endpoint)?).await?;
        Ok(Some(Self { endpoint, newest }))
    }

    /// The same members as the document has, with what it leaves out, for comparing.
    pub(super) fn normal(&self, wanted: &Wanted) -> Value {
        let names = wanted.document.value.as_object().into_iter().flatten().map(|(name, _)| name);
        let mut all: Map<String, Value> = names
            .filter(|name| !self.endpoint[name.as_str()].is_null())
            .map(|name| (name.clone(), normal(name, &self.endpoint[name.as_str()])))
            .collect();
        if let (Some(_), Some((_, config))) = (&wanted.version, &self.newest) {
            all.insert(VERSION.to_owned(), normal(VERSION, config));
        }
        Value::Object(all)
    }
}

/// The number and the configuration of an endpoint's newest version.
pub(super) async fn newest(client: &Client, endpoint: &str) -> Result<Option<(u64, Value)>, Failure> {
    let path = ["v1", "endpoints", endpoint, "versions"];
    let found = fetch(client, &path, &[], Walk::Cursor, Paging::first(1)).await?;
    let Some(number) = found.data.first().and_then(|version| version["version"].as_u64()) else {
        return Ok(None);
    };
    let mut version =
        client.get(&["v1", "endpoints", endpoint, "versions", &number.to_string()], &[]).await?;
    Ok(Some((number, version["config"].take())))
}

fn is_open(reference: &Value) -> bool {
    reference.is_object() && reference["revision"].is_null()
}

/// A member with its defaults. What this program does not know is compared as it stands, and judged by control.
fn normal(name: &str, value: &Value) -> Value {
    match name {
        VERSION => serde_json::from_value::<VersionConfig>(value.clone())
            .ok()
            .and_then(|config| serde_json::to_value(config).ok())
            .unwrap_or_else(|| value.clone()),
        "installs" if value.is_object() => {
            let mut value = value.clone();
            if value["limits"].is_null() {
                value["limits"] = json!([]);
            }
            value
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Wanted {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        FromFile { file: file.path().to_owned(), set: Vec::new() }.read().unwrap()
    }

    const DOCUMENT: &str = "{name: haiku, visibility: public, installs: {payer: installer}, \
        version: {targets: [{base_url: 'https://a.example/v1', model: m}]}}";

    #[test]
    fn what_means_the_same_is_the_same() {
        let wanted = wanted(DOCUMENT);
        let endpoint = json!({"name": "haiku", "visibility": "public", "description": "",
            "installs": {"payer": "installer", "limits": []}, "live": 1});
        assert!(wanted.changes(&endpoint).is_empty());
        // As control stores it: with defaults that the document leaves out.
        let config = json!({"targets": [{"base_url": "https://a.example/v1", "model": "m"}],
            "allow": {"previous_response_id": false, "conversation": false, "prompt": false, "background": false,
                "store": false, "file_ids": false, "tools": []}});
        assert!(wanted.has_version(Some(&(1, config.clone()))));
        let present = Present { endpoint, newest: Some((1, config)) };
        assert_eq!(present.normal(&wanted), wanted.normal());
    }

    #[test]
    fn what_differs_is_found_and_unknown_fields_are_not_swallowed() {
        let wanted = wanted(DOCUMENT);
        let endpoint = json!({"name": "haiku", "visibility": "private",
            "installs": {"payer": "installer", "limits": []}});
        assert_eq!(wanted.changes(&endpoint).keys().collect::<Vec<_>>(), ["visibility"]);
        assert!(!wanted.has_version(None));
        let other = json!({"targets": [{"base_url": "https://a.example/v1", "model": "n"}]});
        assert!(!wanted.has_version(Some(&(1, other))));
        let odd = self::wanted("{name: haiku, visibilty: public}");
        assert_eq!(odd.changes(&endpoint).keys().collect::<Vec<_>>(), ["visibilty"], "control refuses it");
    }
}
