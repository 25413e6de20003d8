//! From a name to what serves it: name → live pointer (or its canary) → immutable version → targets and credentials.
//!
//! Invariant: the trail holds the revision of every record that was looked at, also where the way ended, so that the
//! objects that own them can say whether one is out of date.

use crate::{canary, config, opened, visit::Visit};
use alphagate_contract::{
    endpoint::{Target, VersionConfig},
    id::{CredentialId, EndpointId, InstallId, OrgId},
    key::ApiKey,
    name::VersionedName,
    problem::{Code, Problem},
    record::{CredentialRecord, Record, RecordKey, RecordValue},
    seal::Binding,
    secret::Secret,
    usage::Payer,
};
use std::rc::Rc;
use url::Url;

/// A record and the revision at which it was used; 0 if there was none.
pub type Seen = (RecordKey, u64);

/// The records that a request was judged by, each with the org whose object keeps its newest revision.
#[derive(Debug, Default)]
pub struct Trail(Vec<(OrgId, Seen)>);

impl Trail {
    /// Begins with the key.
    #[must_use]
    pub fn of_key(key: &ApiKey, revision: u64) -> Self {
        Self(vec![(key.org, (RecordKey::Key(key.id), revision))])
    }

    /// The records that this org's object owns.
    #[must_use]
    pub fn of(&self, org: OrgId) -> Vec<Seen> {
        self.0.iter().filter(|(owner, _)| *owner == org).map(|(_, seen)| seen.clone()).collect()
    }

    /// The orgs whose objects can say whether a record is out of date; none if only the key was looked at.
    #[must_use]
    pub fn owners(&self) -> Vec<OrgId> {
        let mut owners: Vec<OrgId> = self.0.iter().skip(1).map(|(owner, _)| *owner).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    async fn get(
        &mut self,
        visit: &Visit,
        owner: OrgId,
        key: RecordKey,
    ) -> Result<Option<Rc<Record>>, Problem> {
        let record = config::get(visit, &key).await?;
        self.0.push((owner, (key, record.as_ref().map_or(0, |record| record.revision))));
        Ok(record)
    }

    /// Targets often share a credential: it stands in the trail once.
    async fn credential(&mut self, visit: &Visit, owner: OrgId, id: CredentialId) -> Result<Wanted, Problem> {
        let key = RecordKey::Credential(id);
        let record = match self.0.iter().any(|(_, (seen, _))| *seen == key) {
            true => config::get(visit, &key).await?,
            false => self.get(visit, owner, key).await?,
        };
        Ok(record.map_or(Wanted::Missing, Wanted::Record))
    }
}

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
    /// The org whose credentials are used.
    pub paying: OrgId,
    record: Rc<Record>,
    /// By target.
    credentials: Vec<Wanted>,
    /// By moderation.
    of_moderations: Vec<Wanted>,
}

/// The credential of a target.
#[derive(Debug, Clone)]
enum Wanted {
    /// It asks for none.
    None,
    /// This one.
    Record(Rc<Record>),
    /// One that is not there.
    Missing,
}

impl Route {
    /// The version's configuration.
    ///
    /// # Errors
    /// 502 when the record is of another kind.
    pub fn config(&self) -> Result<&VersionConfig, Problem> {
        match &self.record.value {
            RecordValue::Version(version) => Ok(&version.config),
            _ => Err(Code::EndpointMisconfigured.into()),
        }
    }

    /// The targets, in the version's order.
    ///
    /// # Errors
    /// 502 when the version has none.
    pub fn targets(&self) -> Result<&[Target], Problem> {
        let targets = self.config()?.targets.as_slice();
        if targets.is_empty() { Err(Code::EndpointMisconfigured.into()) } else { Ok(targets) }
    }

    /// The target at this place.
    ///
    /// # Errors
    /// 502 when the version has none there.
    pub fn target(&self, at: usize) -> Result<&Target, Problem> {
        self.config()?.targets.get(at).ok_or_else(|| Code::EndpointMisconfigured.into())
    }

    /// The credential that the target at this place is served with.
    #[must_use]
    pub fn credential(&self, at: usize) -> Option<CredentialId> {
        match self.credentials.get(at) {
            Some(Wanted::Record(record)) => match record.key {
                RecordKey::Credential(id) => Some(id),
                _ => None,
            },
            _ => None,
        }
    }

    /// The provider's secret, for the target at this place only.
    ///
    /// An installer who pays has one credential, which is for one origin: it goes to the targets there, and to none with
    /// headers, because these may make a gateway pass it on to wherever the publisher says.
    ///
    /// # Errors
    /// 502 when the credential is not there, is not for this target's origin, or was not sealed to this edge.
    pub fn secret(&self, visit: &Visit, at: usize) -> Result<Option<Secret<String>>, Problem> {
        let target = self.target(at)?;
        let may_leak = self.payer == Payer::Installer && !target.headers.is_empty();
        let secret = secret(visit, self.credentials.get(at), self.paying, &target.base_url)?;
        if may_leak && secret.is_some() {
            return Err(Code::EndpointMisconfigured.into());
        }
        Ok(secret)
    }

    /// The secret for the moderation at this place: the publisher's, whoever pays.
    ///
    /// # Errors
    /// As [`Route::secret`].
    pub fn moderation_secret(
        &self,
        visit: &Visit,
        at: usize,
        base_url: &str,
    ) -> Result<Option<Secret<String>>, Problem> {
        secret(visit, self.of_moderations.get(at), self.publisher, base_url)
    }
}

/// Opens what is wanted, if it is this org's and for the origin of this URL.
fn secret(
    visit: &Visit,
    wanted: Option<&Wanted>,
    org: OrgId,
    base_url: &str,
) -> Result<Option<Secret<String>>, Problem> {
    let record = match wanted {
        Some(Wanted::None) => return Ok(None),
        Some(Wanted::Record(record)) => record,
        Some(Wanted::Missing) | None => return Err(Code::EndpointMisconfigured.into()),
    };
    let (RecordKey::Credential(id), RecordValue::Credential(credential)) = (&record.key, &record.value)
    else {
        return Err(Code::EndpointMisconfigured.into());
    };
    if credential.org != org || origin(base_url).as_ref() != Some(&credential.origin) {
        return Err(Code::EndpointMisconfigured.into());
    }
    open(visit, *id, credential).map(Some)
}

fn open(visit: &Visit, id: CredentialId, record: &CredentialRecord) -> Result<Secret<String>, Problem> {
    let binding =
        Binding { org: record.org, credential: id, revision: record.sealed_revision, origin: &record.origin };
    opened::secret(id, record, || {
        record.sealed.open(&visit.settings.seal_keys, &binding).map_err(|error| {
            worker::console_error!("credential {id}: {error}");
            Code::EndpointMisconfigured.into()
        })
    })
}

/// `scheme://host[:port]` of a URL.
#[must_use]
pub fn origin(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// Finds what serves `asked` for the org of `key`: what is live or pinned, or the version that is asked for by its number
/// if the endpoint is the org's own.
///
/// # Errors
/// 404 for everything that does not lead to a version; 503 when configuration cannot be read.
pub async fn route(
    visit: &Visit,
    key: &ApiKey,
    asked: Option<VersionedName>,
    trail: &mut Trail,
) -> Result<Route, Problem> {
    let not_found = || Problem::new(Code::EndpointNotFound).param("model");
    let asked = asked.ok_or_else(not_found)?;
    let name_key = RecordKey::Name(key.org, asked.name);
    let name_record = trail.get(visit, key.org, name_key).await?.ok_or_else(not_found)?;
    let RecordValue::Name(name) = &name_record.value else { return Err(not_found()) };
    if asked.version.is_some() && name.publisher != key.org {
        return Err(not_found());
    }
    let live_key = RecordKey::Live(name.endpoint);
    let live_record = trail.get(visit, name.publisher, live_key).await?.ok_or_else(not_found)?;
    let RecordValue::Live(live) = &live_record.value else { return Err(not_found()) };
    let pinned = name.install.as_ref().and_then(|install| install.pinned);
    let version = asked.version.or(pinned).or_else(|| canary::version(live, key.id, name.endpoint));
    let version = version.filter(|_| !live.withdrawn).ok_or_else(not_found)?;
    // A version never changes: nobody has to be asked whether it has.
    let record =
        config::get(visit, &RecordKey::Version(name.endpoint, version)).await?.ok_or_else(not_found)?;

    let payer = name.install.as_ref().map_or(Payer::Publisher, |install| install.payer);
    let mut route = Route {
        endpoint: name.endpoint,
        publisher: name.publisher,
        install: name.install.as_ref().map(|install| install.id),
        payer,
        version,
        paying: if payer == Payer::Publisher { name.publisher } else { key.org },
        record,
        credentials: Vec::new(),
        of_moderations: Vec::new(),
    };
    let own = name.install.as_ref().and_then(|install| install.credential);
    let wanted: Vec<Option<CredentialId>> = route.targets()?.iter().map(|target| target.credential).collect();
    for published in wanted {
        let id = match payer {
            Payer::Publisher => published,
            Payer::Installer => own,
        };
        let credential = match (published, id) {
            (None, _) => Wanted::None,
            (Some(_), None) => Wanted::Missing,
            (Some(_), Some(id)) => trail.credential(visit, route.paying, id).await?,
        };
        route.credentials.push(credential);
    }
    let asked: Vec<Option<CredentialId>> =
        route.config()?.moderation.iter().map(|moderation| moderation.credential).collect();
    for id in asked {
        let credential = match id {
            None => Wanted::None,
            Some(id) => trail.credential(visit, route.publisher, id).await?,
        };
        route.of_moderations.push(credential);
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
