//! How often something may be tried, per account and per address: one row each, by the database's clock.
//!
//! A try costs `every`; up to `burst` of them may be owed at once. So that tries at once are counted one by one, the row
//! is taken before the try, whether that succeeds or not.

use crate::{app::App, error::Error};
use alphagate_contract::problem::{Code, Problem};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;

/// How often something may be tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// What is tried.
    pub(crate) name: &'static str,
    /// How many tries may be made at once.
    pub(crate) burst: u32,
    /// How long it takes until one more may be made.
    pub(crate) every: Duration,
}

impl Limit {
    /// Passwords for one account: 10 at once, then 40 an hour. OWASP asks for a limit per account, not for a number; at
    /// this rate the 1,000 likeliest guesses take a day, and none of them is accepted as a password.
    pub(crate) const SIGN_IN: Self = Self { name: "sign in", burst: 10, every: Duration::from_secs(90) };
    /// Codes of devices that one user looks up: a guess hits one of the few that wait once in 10^10.
    pub(crate) const DEVICE: Self = Self { name: "device code", burst: 10, every: Duration::from_secs(30) };
    /// Mails to one address: whoever asks, nobody's mailbox is flooded.
    pub(crate) const MAIL: Self = Self { name: "mail", burst: 5, every: Duration::from_secs(600) };

    /// What one client address may try, of this kind.
    pub(crate) fn of_address(app: &App, name: &'static str) -> Self {
        Self { name, burst: app.settings().address_tries_max, every: Duration::from_secs(5) }
    }

    fn key(&self, subject: &str) -> [u8; 32] {
        Sha256::digest(format!("{}\n{subject}", self.name)).into()
    }
}

/// Takes a try, or says when the next one may be made. It counts from now on, whatever becomes of the request.
pub(crate) async fn take(system: &PgPool, limit: Limit, subject: &str) -> Result<(), Error> {
    let (every_s, key) = (limit.every.as_secs_f64(), limit.key(subject));
    let owed_max_s = every_s * f64::from(limit.burst.saturating_sub(1));
    let taken = sqlx::query(
        "INSERT INTO throttles AS t (key, free_at) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
         ON CONFLICT (key) DO UPDATE
            SET free_at = greatest(t.free_at, clock_timestamp()) + make_interval(secs => $2)
            WHERE t.free_at <= clock_timestamp() + make_interval(secs => $3)",
    )
    .bind(key)
    .bind(every_s)
    .bind(owed_max_s)
    .execute(system)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(());
    }
    let wait: Option<(f64,)> = sqlx::query_as(
        "SELECT extract(epoch FROM free_at - clock_timestamp())::float8 FROM throttles WHERE key = $1",
    )
    .bind(key)
    .fetch_optional(system)
    .await?;
    let wait_s = wait.map_or(0.0, |(owed_s,)| (owed_s - owed_max_s).max(0.0));
    let wait = Duration::try_from_secs_f64(wait_s).unwrap_or_default();
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Err(Problem::new(Code::TooManyTries).retry_after_ms(wait_ms.max(1)).into())
}

/// Forgets the tries: the last one was right.
pub(crate) async fn forget(
    system: &mut PgConnection,
    limit: Limit,
    subject: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM throttles WHERE key = $1").bind(limit.key(subject)).execute(system).await?;
    Ok(())
}

/// Forgets what is paid off.
pub(super) async fn forget_paid_off(system: &mut PgConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM throttles WHERE free_at < now()").execute(system).await?.rows_affected())
}
