//! The records that control pushes and the edge reads: keys, names, live pointers, versions, credentials, orgs.
//!
//! Every record has one key (its text is the KV key), one owner (the org whose object keeps its newest revision)
//! and a revision that only grows; an older revision never replaces a newer one. `v1` in the key text is the schema:
//! another layout gets another prefix, because old and new edges run side by side while a deploy drains.

use crate::{
    endpoint::VersionConfig,
    id::{CredentialId, EndpointId, InstallId, KeyId, OrgId},
    key::Digest,
    name::EndpointName,
    quota::Quota,
    seal::Sealed,
    usage::Payer,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// Most records in one push.
pub const PUSH_MAX_RECORDS: usize = 100;

/// What a record is about; its text is the KV key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// `v1/org/<org>`: suspension and quotas; kept in the object only.
    Org(OrgId),
    /// `v1/key/<key>`.
    Key(KeyId),
    /// `v1/name/<org>/<name>`: an org's own name for an endpoint.
    Name(OrgId, EndpointName),
    /// `v1/live/<endpoint>`: the pointer that a publish moves.
    Live(EndpointId),
    /// `v1/version/<endpoint>/<number>`.
    Version(EndpointId, u32),
    /// `v1/credential/<credential>`.
    Credential(CredentialId),
}

/// The text is not the key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the key of a record")]
pub struct RecordKeyError;

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Org(org) => write!(f, "v1/org/{org}"),
            Self::Key(key) => write!(f, "v1/key/{key}"),
            Self::Name(org, name) => write!(f, "v1/name/{org}/{name}"),
            Self::Live(endpoint) => write!(f, "v1/live/{endpoint}"),
            Self::Version(endpoint, number) => write!(f, "v1/version/{endpoint}/{number}"),
            Self::Credential(credential) => write!(f, "v1/credential/{credential}"),
        }
    }
}

impl FromStr for RecordKey {
    type Err = RecordKeyError;

    fn from_str(text: &str) -> Result<Self, RecordKeyError> {
        read_key(text).ok_or(RecordKeyError)
    }
}

fn read_key(text: &str) -> Option<RecordKey> {
    let (kind, rest) = text.strip_prefix("v1/")?.split_once('/')?;
    let key = match kind {
        "org" => RecordKey::Org(rest.parse().ok()?),
        "key" => RecordKey::Key(rest.parse().ok()?),
        "name" => {
            let (org, name) = rest.split_once('/')?;
            RecordKey::Name(org.parse().ok()?, name.parse().ok()?)
        }
        "live" => RecordKey::Live(rest.parse().ok()?),
        "version" => {
            let (endpoint, number) = rest.split_once('/')?;
            let number: u32 = number.parse().ok().filter(|n: &u32| n.to_string() == number)?;
            RecordKey::Version(endpoint.parse().ok()?, number)
        }
        "credential" => RecordKey::Credential(rest.parse().ok()?),
        _ => return None,
    };
    Some(key)
}

impl Serialize for RecordKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// One record at one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What it is about.
    pub key: RecordKey,
    /// Grows with every change of this record.
    pub revision: u64,
    /// Its content.
    pub value: RecordValue,
}

/// The content of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RecordValue {
    /// Of [`RecordKey::Org`].
    Org(OrgRecord),
    /// Of [`RecordKey::Key`].
    Key(KeyRecord),
    /// Of [`RecordKey::Name`].
    Name(NameRecord),
    /// Of [`RecordKey::Live`].
    Live(LiveRecord),
    /// Of [`RecordKey::Version`].
    Version(Box<VersionRecord>),
    /// Of [`RecordKey::Credential`].
    Credential(CredentialRecord),
    /// There is no such thing any more; kept as a revision so that nothing older comes back.
    Gone,
}

/// What the edge must know of an org before it admits anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrgRecord {
    /// A suspended org's calls are refused at once.
    pub suspended: bool,
    /// Every quota of the org.
    pub quotas: Vec<Quota>,
}

/// What the edge must know of an API key. A revoked key's record is [`RecordValue::Gone`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The org that the key belongs to.
    pub org: OrgId,
    /// HMAC of the key's text.
    pub digest: Digest,
    /// Whether the key may call endpoints.
    pub call: bool,
    /// From then on the key is refused, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// The only texts that may stand in `model`, as a run's key has them: `name`, or `name@version` for a version under
    /// test. None: every endpoint of the org, and no version by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
}

/// What an org's own name for an endpoint stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NameRecord {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The org that published it.
    pub publisher: OrgId,
    /// Unix seconds at which the name was made; `created` in `GET /v1/models`.
    pub created_s: u64,
    /// Set if the endpoint is another org's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<InstallRecord>,
}

/// How another org's endpoint is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstallRecord {
    /// The install.
    pub id: InstallId,
    /// The version it stays on; none: it follows what is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<u32>,
    /// Who pays the provider.
    pub payer: Payer,
    /// The installer's credential, when the installer pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
}

/// The pointer that a publish moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRecord {
    /// The org that published the endpoint.
    pub publisher: OrgId,
    /// The version that is live; none before the first publication.
    pub version: Option<u32>,
    /// A withdrawn endpoint serves nobody, pinned installs included.
    pub withdrawn: bool,
    /// The version that a part of the keys is served instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

/// A version that is tried on a part of the keys. Which of them, is the same for as long as the canary runs: it follows
/// from key and endpoint, and those of a smaller share are among those of a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Canary {
    /// The version.
    pub version: u32,
    /// The share of keys that it serves, in percent: 1 to 99.
    pub percent: u8,
}

/// One version, as it was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The org that published it.
    pub publisher: OrgId,
    /// Its configuration.
    pub config: VersionConfig,
}

/// A provider's secret that only the edge can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRecord {
    /// The org that owns it.
    pub org: OrgId,
    /// The only origin it may be sent to, as `scheme://host[:port]`.
    pub origin: String,
    /// The revision that the seal is bound to.
    pub sealed_revision: u64,
    /// The secret.
    pub sealed: Sealed,
}

/// Body of control's push to the edge, `POST /internal/v1/records`: at most [`PUSH_MAX_RECORDS`] of one org.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// The org whose object keeps them.
    pub org: OrgId,
    /// The records, oldest first.
    pub records: Vec<Record>,
}

/// Answer to a [`Push`]: it is durable in the org's object, and holds for every request from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// How many records were newer than what the object had.
    pub applied: usize,
    /// How many of the org's KV puts are still to come (KV is a cache: the object already answers with the newest).
    pub kv_pending: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn keys() -> Vec<RecordKey> {
        let uuid = Uuid::from_bytes([5; 16]);
        vec![
            RecordKey::Org(OrgId::from_uuid(uuid)),
            RecordKey::Key(KeyId::from_uuid(uuid)),
            RecordKey::Name(OrgId::from_uuid(uuid), "a-b.c_1".parse().unwrap()),
            RecordKey::Live(EndpointId::from_uuid(uuid)),
            RecordKey::Version(EndpointId::from_uuid(uuid), 12),
            RecordKey::Credential(CredentialId::from_uuid(uuid)),
        ]
    }

    #[test]
    fn key_text_round_trips() {
        for key in keys() {
            assert_eq!(key.to_string().parse(), Ok(key.clone()), "{key}");
        }
    }

    proptest! {
        #[test]
        fn one_spelling_a_key(which in 0usize..6, position in 0usize..64, byte in 0u8..128) {
            let mut bytes = keys()[which].to_string().into_bytes();
            let position = position % bytes.len();
            bytes[position] = byte;
            let text = String::from_utf8(bytes).unwrap();
            if let Ok(key) = text.parse::<RecordKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }

    #[test]
    fn longer_paths_and_padded_numbers_are_refused() {
        let version = keys()[4].to_string();
        for text in [format!("{version}/x"), version.replace("/12", "/012"), "v2/org/x".into(), String::new()]
        {
            assert!(text.parse::<RecordKey>().is_err(), "{text}");
        }
    }
}
