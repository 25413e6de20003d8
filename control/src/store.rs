//! The database: pools, migrations, and what `serve` demands of its logins before it takes a request.
//!
//! Row-level security binds neither superusers, nor owners who can switch it off, nor roles with `BYPASSRLS`: with such
//! a login the second wall between tenants would not be there, so `serve` does not start.

use crate::settings::Settings;
use alphagate_contract::secret::Secret;
use anyhow::{Context as _, ensure};
use sqlx::{
    ConnectOptions as _, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{collections::HashMap, time::Duration};

/// Every migration, in the binary.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Longest statement: the slowest query of an admin call takes milliseconds, a batch of usage a second.
const STATEMENT_TIMEOUT: &str = "15s";
/// Longest wait for a row lock: everything that holds one is an admin call or a push.
const LOCK_TIMEOUT: &str = "10s";
/// How long a connection may lie idle inside a transaction: longer than any push to the edge.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "120s";
/// Postgres's setting of that name.
type PlanCacheMode = &'static str;
/// A tenant's statements are planned for their values: lists have filters that are not asked for (`$2 IS NULL OR …`), and
/// with one plan for all values the last page of a list would read everything before it.
pub(crate) const FOR_VALUES: PlanCacheMode = "force_custom_plan";
/// The name under which a migration is seen in `pg_stat_activity`.
pub const MIGRATOR: &str = "alphagate-migrate";
/// How long a migration waits for a lock: everybody else waits behind it. Less than Postgres's `deadlock_timeout` (1 s), so
/// that in a deadlock it is the migration that gives way, and no program at work.
const MIGRATE_LOCK_TIMEOUT: &str = "500ms";
/// How often a migration is tried when programs at work are in its way: two minutes, if each try waits.
const MIGRATE_ATTEMPTS_AT_WORK: u32 = 150;
/// How often a migration is tried when another database of the cluster touches the same roles.
const MIGRATE_ATTEMPTS: u32 = 5;
/// Pause between two of those attempts: the time of those who have waited behind it.
const MIGRATE_PAUSE: Duration = Duration::from_millis(300);

/// A pool that heals by itself: it tests a connection before it hands it out, and waits a bounded time for one.
pub(crate) fn pool(
    settings: &Settings,
    url: &Secret<String>,
    plans: Option<PlanCacheMode>,
) -> anyhow::Result<PgPool> {
    let options: PgConnectOptions = url.reveal().parse().context("a database URL cannot be read")?;
    let options = options
        .application_name("alphagate-control")
        .options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("lock_timeout", LOCK_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
        ])
        .options(plans.map(|mode| ("plan_cache_mode", mode)))
        .disable_statement_logging();
    Ok(PgPoolOptions::new()
        .max_connections(settings.database_connections_max)
        .acquire_timeout(settings.database_wait)
        .test_before_acquire(true)
        .connect_lazy_with(options))
}

/// Applies every migration that is missing, as the owner of the database.
///
/// # Errors
/// When the database cannot be reached or a migration fails.
pub async fn migrate(owner_url: &str) -> anyhow::Result<()> {
    let options: PgConnectOptions = owner_url.parse().context("the database URL cannot be read")?;
    let options = options.application_name(MIGRATOR).options([("lock_timeout", MIGRATE_LOCK_TIMEOUT)]);
    let mut attempt = 1;
    loop {
        // A connection for each attempt: one that failed may have left its transaction open.
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        let done = MIGRATIONS.run(&pool).await;
        pool.close().await;
        match done {
            Ok(()) => return Ok(()),
            Err(error) if attempt < attempts(&error) => {
                tracing::info!(attempt, %error, "a migration gives way, and is tried again");
                attempt += 1;
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(MIGRATE_PAUSE).await;
    }
}

/// How often a migration is tried that fails like this: once, unless others were in its way.
fn attempts(error: &sqlx::migrate::MigrateError) -> u32 {
    let text = error.to_string();
    let is = |races: &[&str]| races.iter().any(|race| text.contains(race));
    if is(&["lock timeout", "deadlock detected"]) {
        MIGRATE_ATTEMPTS_AT_WORK
    } else if is(&["tuple concurrently updated", "already exists"]) {
        MIGRATE_ATTEMPTS
    } else {
        1
    }
}

#[derive(Debug, sqlx::FromRow)]
struct Login {
    name: String,
    unbound: bool,
    owner: bool,
    tenant: bool,
    system: bool,
}

/// Refuses a login that row-level security does not bind, or that is in the wrong group.
pub(crate) async fn check_logins(tenants: &PgPool, system: &PgPool) -> anyhow::Result<()> {
    let tenant_login = login(tenants).await?;
    let system_login = login(system).await?;
    for (setting, login) in [("AG_DATABASE_URL", &tenant_login), ("AG_SYSTEM_DATABASE_URL", &system_login)] {
        let name = &login.name;
        ensure!(
            !login.unbound,
            "{setting}: `{name}` is or can become a superuser or has BYPASSRLS; use a plain login"
        );
        ensure!(!login.owner, "{setting}: `{name}` owns tables; use a login that owns nothing");
    }
    ensure!(
        tenant_login.tenant && !tenant_login.system,
        "AG_DATABASE_URL: `{}` must be a member of alphagate_tenant, and not of alphagate_system",
        tenant_login.name
    );
    ensure!(
        system_login.system,
        "AG_SYSTEM_DATABASE_URL: `{}` must be a member of alphagate_system",
        system_login.name
    );
    Ok(())
}

async fn login(pool: &PgPool) -> anyhow::Result<Login> {
    let query = sqlx::query_as(
        "SELECT current_user::text AS name,
            EXISTS (SELECT FROM pg_roles WHERE (rolsuper OR rolbypassrls)
                AND pg_has_role(current_user, oid, 'MEMBER')) AS unbound,
            EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace
                AND pg_has_role(current_user, relowner, 'MEMBER')) AS owner,
            pg_has_role(current_user, 'alphagate_tenant', 'USAGE') AS tenant,
            pg_has_role(current_user, 'alphagate_system', 'USAGE') AS system",
    );
    query.fetch_one(pool).await.context("a login cannot be checked")
}

/// Refuses a database that lacks a migration, or has another text of one. A newer database is welcome.
pub(crate) async fn check_migrated(pool: &PgPool) -> anyhow::Result<()> {
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
            .fetch_all(pool)
            .await
            .context(
                "the database is not migrated, or not for this login: run `alphagate-control migrate`",
            )?;
    let applied: HashMap<i64, Vec<u8>> = applied.into_iter().collect();
    for migration in MIGRATIONS.iter() {
        let version = migration.version;
        let checksum = applied.get(&version);
        let checksum = checksum
            .with_context(|| format!("migration {version} is missing: run `alphagate-control migrate`"))?;
        ensure!(
            checksum[..] == migration.checksum[..],
            "migration {version} differs from the one in this program"
        );
    }
    Ok(())
}
