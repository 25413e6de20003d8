//! A tenant's transaction: the only door to its rows.
//!
//! Every query names the org, and the database checks it once more: the login of this pool is in the role
//! `alphagate_tenant`, whose policies show the rows of `app.org_id` only. That setting is local to the transaction, so a
//! connection that goes back to the pool belongs to nobody.

use alphagate_contract::id::OrgId;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use std::ops::{Deref, DerefMut};

/// The pool of the tenant role; it gives out nothing but [`TenantTx`].
pub(crate) struct Tenants(PgPool);

/// A transaction that sees and writes the rows of one org. Dropped, it is rolled back.
pub(crate) struct TenantTx {
    inner: Transaction<'static, Postgres>,
    org: OrgId,
}

impl Tenants {
    pub(crate) const fn new(pool: PgPool) -> Self {
        Self(pool)
    }

    /// Begins a transaction of `org`.
    pub(crate) async fn begin(&self, org: OrgId) -> Result<TenantTx, sqlx::Error> {
        // One trip to the database, not two. A uuid's text is digits, letters and dashes.
        let begin = format!("BEGIN; SELECT set_config('app.org_id', '{}', true)", org.uuid());
        let inner = self.0.begin_with(AssertSqlSafe(begin)).await?;
        Ok(TenantTx { inner, org })
    }

    /// The pool itself, for the checks at start and for `/readyz`.
    pub(crate) const fn pool(&self) -> &PgPool {
        &self.0
    }
}

impl TenantTx {
    /// Whose transaction it is.
    pub(crate) const fn org(&self) -> OrgId {
        self.org
    }

    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }
}

impl Deref for TenantTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
