//! The beat of control and the database together, and what is done at each: leases, and who waits.
//!
//! While one of them is away nobody can renew a lease. So the first beat after a gap lengthens every lease of the time
//! before it by the gap, and no lease is lost but after a beat: an outage costs no attempt. What was claimed or renewed
//! since is as long as it should be; a control beats before it serves anybody.

use super::{lease, share};
use crate::{app::App, error::Answer};
use alphagate_contract::job::Kind;
use std::time::Duration;
use tokio::time::Instant;

/// How often it beats.
const BEAT: Duration = Duration::from_secs(1);
/// A longer time between two beats is an outage, milliseconds: two beats, since a busy machine delays one.
const GAP_MIN_MS: i64 = 2_000;
/// How often a failure is worth a line in the log.
const WARNING_EVERY: Duration = Duration::from_secs(10);

/// Beats for ever.
pub(crate) async fn run(app: App) {
    let mut last_warning: Option<Instant> = None;
    loop {
        if let Err(error) = once(&app).await
            && last_warning.is_none_or(|at| at.elapsed() > WARNING_EVERY)
        {
            last_warning = Some(Instant::now());
            tracing::warn!(%error, "leases cannot be looked after");
        }
        tokio::time::sleep(BEAT).await;
    }
}

async fn once(app: &App) -> Answer<()> {
    beat(app).await?;
    let lost = lease::end_lost(app).await?;
    if lost > 0 {
        tracing::info!(lost, "leases have run out");
    }
    Ok(())
}

/// One beat. The row's lock makes replicas take turns, so the first one after an outage has lengthened the leases before
/// any other looks at them.
pub(crate) async fn beat(app: &App) -> Answer<()> {
    let mut tx = app.system().begin().await?;
    let (gap_ms,): (i64,) = sqlx::query_as(
        "SELECT (extract(epoch FROM clock_timestamp() - beat_at) * 1000)::bigint FROM job_pulse FOR NO KEY UPDATE",
    )
    .fetch_one(&mut *tx)
    .await?;
    if gap_ms > GAP_MIN_MS {
        let longer = sqlx::query(
            "UPDATE jobs SET lease_until = lease_until + $1 * interval '1 millisecond'
             FROM job_pulse
             WHERE state IN ('starting', 'running')
                AND lease_until > beat_at AND lease_until <= beat_at + $2 * interval '1 millisecond'",
        )
        .bind(gap_ms)
        // Until a beat was missed leases were still given.
        .bind(lease::lease_ms(app).saturating_add(GAP_MIN_MS))
        .execute(&mut *tx)
        .await?;
        tracing::warn!(gap_ms, leases = longer.rows_affected(), "after an outage, leases hold longer by it");
    }
    for kind in [Kind::Sandbox, Kind::Sample] {
        share::note_waiting(&mut tx, kind).await?;
    }
    sqlx::query("UPDATE job_pulse SET beat_at = clock_timestamp()").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
