//! The state that every handler gets: settings, platform, database, vault, and the way to the edge.

use crate::{
    accounts::Hasher,
    blobs,
    error::Error,
    events::Hub,
    mail::Mailer,
    outbox::{Courier, EdgeClient, Inbox},
    platform::Platform,
    rate_limits::RateLimits,
    settings::Settings,
    store,
    tenant::Tenants,
    upstream::Rules,
    vault::Vault,
};
use object_store::ObjectStore;
use sqlx::PgPool;
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// The state of the program; cloning it is cheap.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    settings: Settings,
    platform: Arc<dyn Platform>,
    tenants: Tenants,
    system: PgPool,
    vault: Vault,
    courier: Courier,
    edge: EdgeClient,
    hub: Hub,
    hasher: Hasher,
    mailer: Mailer,
    rate_limits: RateLimits,
    blobs: OnceLock<Arc<dyn ObjectStore>>,
}

impl App {
    /// Builds the state. Nothing is dialled yet.
    ///
    /// # Errors
    /// When a database URL cannot be read, or no HTTP client can be made.
    pub fn new(settings: Settings, platform: Arc<dyn Platform>) -> anyhow::Result<(Self, Inbox)> {
        let (courier, inbox) = Courier::new(settings.push_wait);
        let inner = Inner {
            tenants: Tenants::new(store::pool(&settings, &settings.database_url, Some(store::FOR_VALUES))?),
            system: store::pool(&settings, &settings.system_database_url, None)?,
            vault: Vault::open(&settings)?,
            edge: EdgeClient::new(&settings)?,
            courier,
            hub: Hub::new(),
            hasher: Hasher::new(),
            mailer: Mailer::new(&settings)?,
            rate_limits: RateLimits::new(&settings),
            blobs: OnceLock::new(),
            platform,
            settings,
        };
        Ok((Self(Arc::new(inner)), inbox))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn platform(&self) -> &dyn Platform {
        &*self.0.platform
    }

    /// Opens transactions of one org.
    pub(crate) fn tenants(&self) -> &Tenants {
        &self.0.tenants
    }

    /// The pool of the system role, for work that crosses orgs.
    pub(crate) fn system(&self) -> &PgPool {
        &self.0.system
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn courier(&self) -> &Courier {
        &self.0.courier
    }

    pub(crate) fn edge(&self) -> &EdgeClient {
        &self.0.edge
    }

    /// Where those are woken who wait for a job, a runner or work.
    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Where passwords are hashed.
    pub(crate) fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    /// The way out for mail.
    pub(crate) fn mailer(&self) -> &Mailer {
        &self.0.mailer
    }

    /// How much each caller may ask.
    pub(crate) fn rate_limits(&self) -> &RateLimits {
        &self.0.rate_limits
    }

    /// The store of what is too large for the database; opened when it is first needed.
    pub(crate) fn blobs(&self) -> Result<Arc<dyn ObjectStore>, Error> {
        if let Some(store) = self.0.blobs.get() {
            return Ok(store.clone());
        }
        let store = blobs::store(self.settings()).map_err(|error| Error::internal(format!("{error:#}")))?;
        Ok(self.0.blobs.get_or_init(|| store).clone())
    }

    /// Which upstreams versions and credentials may name.
    pub(crate) fn upstreams(&self) -> Rules {
        Rules { allow_private: self.settings().allow_private_upstreams }
    }

    /// A new id of something that only this program's tables know.
    pub(crate) fn new_uuid(&self) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(self.platform().now_ms(), &self.platform().bytes())
            .into_uuid()
    }

    /// A new id, by any id type's `new`.
    pub(crate) fn new_id<T>(&self, make: impl FnOnce(u64, [u8; 10]) -> T) -> T {
        make(self.platform().now_ms(), self.platform().bytes())
    }
}
