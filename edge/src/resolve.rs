//! From a name to what serves it: name → live pointer → immutable version → target and credential.
//!
//! Invariant: a route remembers the revision of every record that it was made of, so that the objects that own
//! them can say whether one is out of date.

use crate::{config, visit::Visit};
use alphagate_contract::{
    endpoint::{Target, VersionConfig},
    id::{CredentialId, EndpointId, InstallId, OrgId},
    key::ApiKey,
    name::EndpointName,
    problem::{Code, Problem},
    record::{CredentialRecord, KeyRecord, Record, RecordKey, RecordValue, VersionRecord},
    seal::Binding,
    secret::Secret,
    usage::Payer,
};
use std::rc::Rc;
use url::Url;

/// A record and the revision at which it was used.
pub type Seen = (RecordKey, u64);

/// What serves a name.
#[derive(Debug)]
pub struct Route {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The org that published it.
    pub publisher: OrgId,
    /// The install, if the endpoint is another org's.
    pub install: Option<InstallId>,
    /// Who pays the provider.
    pub payer: Payer,
    /// The version's number.
    pub version: u32,
    /// Records that the caller's object owns.
    pub seen_by_caller: Vec<Seen>,
    /// Records that the publisher's object owns, where that is another org's.
    pub seen_by_publisher: Vec<Seen>,
    /// The org whose credential is used.
    paying: OrgId,
    record: Rc<Record>,
    credential: Option<Rc<Record>>,
}

impl Route {
    /// The version's configuration.
    ///
    /// # Errors
    /// 502 when the record is of another kind.
    pub fn config(&self) -> Result<&VersionConfig, Problem> {
        match &self.record.value {
            RecordValue::Version(VersionRecord { config, .. }) => Ok(config),
            _ => Err(Code::EndpointMisconfigured.into()),
        }
    }

    /// The target that serves.
    ///
    /// # Errors
    /// 502 when the version has none.
    pub fn target(&self) -> Result<&Target, Problem> {
        self.config()?.targets.first().ok_or_else(|| Code::EndpointMisconfigured.into())
    }

    /// The provider's secret, for this target only.
    ///
    /// # Errors
    /// 502 when the credential is not for this target's origin, or was not sealed to this edge.
    pub fn secret(&self, visit: &Visit) -> Result<Option<Secret<String>>, Problem> {
        let Some(record) = &self.credential else { return Ok(None) };
        let (RecordKey::Credential(id), RecordValue::Credential(credential)) = (&record.key, &record.value)
        else {
            return Err(Code::EndpointMisconfigured.into());
        };
        let origin = origin(&self.target()?.base_url);
        if credential.org != self.paying || origin.as_ref() != Some(&credential.origin) {
            return Err(Code::EndpointMisconfigured.into());
        }
        open(visit, *id, credential).map(Some)
    }
}

fn open(visit: &Visit, id: CredentialId, record: &CredentialRecord) -> Result<Secret<String>, Problem> {
    let binding =
        Binding { org: record.org, credential: id, revision: record.sealed_revision, origin: &record.origin };
    record.sealed.open(&visit.settings.seal_keys, &binding).map_err(|error| {
        worker::console_error!("credential {id}: {error}");
        Code::EndpointMisconfigured.into()
    })
}

/// `scheme://host[:port]` of a URL.
#[must_use]
pub fn origin(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// The record of the key, as far as memory and KV know it.
///
/// # Errors
/// 503 when configuration cannot be read.
pub async fn key(visit: &Visit, key: &ApiKey) -> Result<Option<(KeyRecord, u64)>, Problem> {
    let record = config::get(visit, &RecordKey::Key(key.id)).await?;
    Ok(record.and_then(|record| match &record.value {
        RecordValue::Key(value) => Some((value.clone(), record.revision)),
        _ => None,
    }))
}

/// Finds what serves `name` for the org of `key`.
///
/// # Errors
/// 404 for every name that does not lead to a live version; 503 when configuration cannot be read.
pub async fn route(
    visit: &Visit,
    key: &ApiKey,
    key_revision: u64,
    name: Option<EndpointName>,
) -> Result<Route, Problem> {
    let not_found = || Problem::new(Code::EndpointNotFound).param("model");
    let name_key = RecordKey::Name(key.org, name.ok_or_else(not_found)?);
    let name_record = config::get(visit, &name_key).await?.ok_or_else(not_found)?;
    let RecordValue::Name(name) = &name_record.value else { return Err(not_found()) };
    let live_key = RecordKey::Live(name.endpoint);
    let live_record = config::get(visit, &live_key).await?.ok_or_else(not_found)?;
    let RecordValue::Live(live) = &live_record.value else { return Err(not_found()) };
    let pinned = name.install.as_ref().and_then(|install| install.pinned);
    let version = pinned.or(live.version).filter(|_| !live.withdrawn).ok_or_else(not_found)?;
    let record =
        config::get(visit, &RecordKey::Version(name.endpoint, version)).await?.ok_or_else(not_found)?;

    let payer = name.install.as_ref().map_or(Payer::Publisher, |install| install.payer);
    let mut route = Route {
        endpoint: name.endpoint,
        publisher: name.publisher,
        install: name.install.as_ref().map(|install| install.id),
        payer,
        version,
        seen_by_caller: vec![(RecordKey::Key(key.id), key_revision), (name_key, name_record.revision)],
        seen_by_publisher: Vec::new(),
        paying: if payer == Payer::Publisher { name.publisher } else { key.org },
        record,
        credential: None,
    };
    let own_credential = name.install.as_ref().and_then(|install| install.credential);
    let wanted = route.target()?.credential.map(|published| match payer {
        Payer::Publisher => Some(published),
        Payer::Installer => own_credential,
    });
    let mut of_publisher = vec![(live_key, live_record.revision)];
    if let Some(id) = wanted {
        let id = id.ok_or(Code::EndpointMisconfigured)?;
        let credential = config::get(visit, &RecordKey::Credential(id)).await?;
        let credential = credential.ok_or(Code::EndpointMisconfigured)?;
        let seen = (credential.key.clone(), credential.revision);
        match payer {
            Payer::Publisher => of_publisher.push(seen),
            Payer::Installer => route.seen_by_caller.push(seen),
        }
        route.credential = Some(credential);
    }
    if name.publisher == key.org {
        route.seen_by_caller.extend(of_publisher);
    } else {
        route.seen_by_publisher = of_publisher;
    }
    Ok(route)
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://API.example.com:443/v1").as_deref(), Some("https://api.example.com"));
        assert_eq!(origin("http://127.0.0.1:9/v1?x").as_deref(), Some("http://127.0.0.1:9"));
        assert_eq!(origin("data:text/plain,x"), None);
    }
}
