//! What has to be done now and then: partitions ahead of time, old answers, expired keys, secrets under older keys.
//!
//! Every task may run on several replicas at once and may be cut short: the next round makes good.

use crate::{accounts, app::App, blobs, error::Error, files, idempotency, jobs, keys, runners, usage, vault};

/// Runs for ever; the first round at once.
pub(crate) async fn run(app: App) {
    loop {
        if let Err(error) = round(&app).await {
            tracing::warn!(%error, "housekeeping goes on in the next round");
        }
        tokio::time::sleep(app.settings().housekeeping).await;
    }
}

async fn round(app: &App) -> Result<(), Error> {
    let mut system = app.system().acquire().await?;
    let partitions = usage::make_partitions(&mut system).await?;
    let answers = idempotency::forget_expired(&mut system).await?;
    let accounts = accounts::forget_expired(&mut system).await?;
    drop(system);
    let keys = keys::forget_expired(app).await?;
    let renewed = vault::renew_all(app, vault::BATCH_MAX).await?;
    let files = files::forget_expired(app).await?;
    let jobs = jobs::delete_old(app).await?;
    let blobs = blobs::sweep(app).await?;
    let runners = runners::forget_gone(app).await?;
    let callers = app.rate_limits().forget_idle();
    tracing::debug!(
        partitions,
        answers,
        accounts,
        keys,
        renewed = ?renewed,
        files,
        jobs,
        blobs,
        runners,
        callers,
        "housekeeping done"
    );
    Ok(())
}
