//! Master keys: they wrap the orgs' data keys, and nothing else. Where they lie is a provider's affair.
//!
//! Any number of providers and keys may be known: the first provider's newest key wraps, all of them unwrap. So a rotation,
//! or a move from a file to a key service, takes nothing away before everything is wrapped anew.

use super::aead::{self, KEY_BYTES};
use crate::{error::Error, platform::Platform, settings::Settings};
use alphagate_contract::{
    id::OrgId,
    problem::Code,
    ring::{Kid, Ring},
    secret::Secret,
};
use anyhow::Context as _;
use clap::ValueEnum;
use futures_util::future::{BoxFuture, FutureExt as _, ready};

/// Which provider wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// A ring in a setting or a file; for development and for who keeps keys themselves.
    Local,
    /// AWS's key management service: the master key never leaves it.
    AwsKms,
}

/// Whose data key is wrapped: a wrapped key that was moved elsewhere does not open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrapped {
    pub(super) org: OrgId,
    pub(super) number: i32,
}

/// The clear key of an org.
pub(super) type Clear = Secret<[u8; KEY_BYTES]>;

/// Somewhere master keys lie.
pub(super) trait MasterKeys: Send + Sync {
    /// The name of the key that wraps, as it is kept beside what it wraps.
    fn current(&self) -> &str;

    /// Whether a key of this name can unwrap here.
    fn knows(&self, name: &str) -> bool;

    /// Wraps a data key with the current master key.
    fn wrap<'a>(
        &'a self,
        platform: &'a dyn Platform,
        place: Wrapped,
        key: &'a Clear,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>>;

    /// Unwraps what the key of this name has wrapped for exactly this place.
    fn unwrap<'a>(
        &'a self,
        name: &'a str,
        place: Wrapped,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Clear, Error>>;
}

/// Every provider that is configured, the one that wraps first.
pub(super) struct Masters {
    first: Box<dyn MasterKeys>,
    others: Vec<Box<dyn MasterKeys>>,
}

impl Masters {
    /// What the settings name.
    pub(super) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let local: Box<dyn MasterKeys> = Box::new(Local::open(settings)?);
        let service = service(settings)?;
        match (settings.master_provider, service) {
            (Provider::Local, service) => Ok(Self { first: local, others: service.into_iter().collect() }),
            (Provider::AwsKms, Some(service)) => Ok(Self { first: service, others: vec![local] }),
            (Provider::AwsKms, None) => anyhow::bail!("AG_MASTER_PROVIDER=aws-kms needs AG_MASTER_KMS_KEYS"),
        }
    }

    /// The name of the key that wraps.
    pub(super) fn current(&self) -> &str {
        self.first.current()
    }

    /// Whether what the key of this name has wrapped can be unwrapped.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.all().any(|provider| provider.knows(name))
    }

    /// Wraps with the current key.
    pub(super) async fn wrap(
        &self,
        platform: &dyn Platform,
        place: Wrapped,
        key: &Clear,
    ) -> Result<Vec<u8>, Error> {
        self.first.wrap(platform, place, key).await
    }

    /// Unwraps with the key of this name.
    pub(super) async fn unwrap(&self, name: &str, place: Wrapped, wrapped: &[u8]) -> Result<Clear, Error> {
        let Some(provider) = self.all().find(|provider| provider.knows(name)) else {
            tracing::error!(master_key = name, org = %place.org, "a master key is missing: configure it again");
            return Err(Code::VaultUnavailable.into());
        };
        provider.unwrap(name, place, wrapped).await
    }

    fn all(&self) -> impl Iterator<Item = &dyn MasterKeys> {
        std::iter::once(&*self.first).chain(self.others.iter().map(|provider| &**provider))
    }
}

#[cfg(feature = "kms")]
fn service(settings: &Settings) -> anyhow::Result<Option<Box<dyn MasterKeys>>> {
    if settings.master_kms_keys.is_empty() {
        return Ok(None);
    }
    Ok(Some(Box::new(super::kms::Kms::open(settings)?)))
}

#[cfg(not(feature = "kms"))]
fn service(settings: &Settings) -> anyhow::Result<Option<Box<dyn MasterKeys>>> {
    anyhow::ensure!(settings.master_kms_keys.is_empty(), "this program was built without the feature `kms`");
    Ok(None)
}

/// Names of local keys begin so.
const LOCAL: &str = "local:";

/// A ring in memory; and the vault's, which may have wrapped before there was another.
struct Local {
    ring: Ring,
    vault_ring: Ring,
    current: String,
}

impl Local {
    fn open(settings: &Settings) -> anyhow::Result<Self> {
        let ring = match (&settings.master_ring, &settings.master_ring_file) {
            (Some(ring), _) => ring.clone(),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("AG_MASTER_RING_FILE: {} cannot be read", file.display()))?;
                Ring::parse(&text).context("AG_MASTER_RING_FILE")?
            }
            (None, None) => settings.vault_ring.clone(),
        };
        Ok(Self::new(ring, settings.vault_ring.clone()))
    }

    fn new(ring: Ring, vault_ring: Ring) -> Self {
        let current = name(ring.current().0);
        Self { ring, vault_ring, current }
    }

    fn key(&self, name: &str) -> Option<&[u8; KEY_BYTES]> {
        let kid = name.strip_prefix(LOCAL)?;
        self.ring.get(kid).or_else(|| self.vault_ring.get(kid))
    }
}

fn name(kid: &Kid) -> String {
    format!("{LOCAL}{kid}")
}

fn purpose(place: Wrapped) -> String {
    format!("data key v1\n{}\n{}", place.org, place.number)
}

impl MasterKeys for Local {
    fn current(&self) -> &str {
        &self.current
    }

    fn knows(&self, name: &str) -> bool {
        self.key(name).is_some()
    }

    fn wrap<'a>(
        &'a self,
        platform: &'a dyn Platform,
        place: Wrapped,
        key: &'a Clear,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        ready(aead::seal(platform, self.ring.current().1, &purpose(place), key.reveal())).boxed()
    }

    fn unwrap<'a>(
        &'a self,
        name: &'a str,
        place: Wrapped,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Clear, Error>> {
        let clear = self.key(name).and_then(|key| aead::open(key, &purpose(place), wrapped));
        let clear = clear.and_then(|clear| clear.try_into().ok()).map(Secret::new);
        ready(clear.ok_or_else(|| Error::internal("a data key does not open with its master key"))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fixed::Fixed;

    fn masters(ring: &str) -> Masters {
        let local = Local::new(Ring::parse(ring).unwrap(), Ring::parse(&self::ring("v", "33")).unwrap());
        Masters { first: Box::new(local), others: Vec::new() }
    }

    fn ring(kid: &str, byte: &str) -> String {
        format!("{kid}:{}", byte.repeat(32))
    }

    #[tokio::test]
    async fn the_newest_wraps_older_ones_unwrap_and_a_key_opens_in_its_own_place_only() {
        let key = Secret::new([7; KEY_BYTES]);
        let here = Wrapped { org: OrgId::new(0, [1; 10]), number: 1 };
        let old = masters(&ring("a", "11"));
        let wrapped = old.wrap(&Fixed::new(), here, &key).await.unwrap();
        assert_eq!(old.current(), "local:a");
        let both = masters(&format!("{},{}", ring("b", "22"), ring("a", "11")));
        assert_eq!(both.current(), "local:b");
        assert_eq!(both.unwrap("local:a", here, &wrapped).await.unwrap(), key);
        assert!(both.unwrap("local:b", here, &wrapped).await.is_err());
        for elsewhere in [Wrapped { number: 2, ..here }, Wrapped { org: OrgId::new(0, [2; 10]), ..here }] {
            assert!(both.unwrap("local:a", elsewhere, &wrapped).await.is_err(), "{elsewhere:?}");
        }
        let before = masters(&ring("v", "33"));
        let wrapped_before = before.wrap(&Fixed::new(), here, &key).await.unwrap();
        assert_eq!(both.unwrap("local:v", here, &wrapped_before).await.unwrap(), key, "the vault's own ring");
        let new = masters(&ring("b", "22"));
        assert!(!new.knows("local:a") && both.knows("local:a"));
        assert!(new.unwrap("local:a", here, &wrapped).await.is_err());
    }
}
