//! The running program: the host first, then the runner, and how both end.
//!
//! Invariant: nothing is registered before leftovers are gone and isolation is shown. It never listens.

use crate::{
    drain::{Departure, Orders},
    executor::{Executor, NoSandboxes, Sandboxes},
    host::{self, Host},
    http::Http,
    platform,
    pool::PoolSettings,
    runner::{Parts, Runner},
    settings::Settings,
};
use alphagate_contract::job::dispatch::Register;
use std::{sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// How long waiting sandboxes may take to be gone; the next start reaps what is left.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// `alphagate-runner serve`: until SIGTERM or SIGINT, and the end of what was held then; at once at the second signal.
///
/// # Errors
/// When the host cannot isolate, or control does not accept the token.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let orders = orders()?;
    let host = if settings.samples_only {
        None
    } else {
        tokio::select! {
            biased;
            () = orders.drain.cancelled() => return Ok(()),
            host = host::prepare(&settings.host) => Some(host?),
        }
    };
    let sandboxes =
        host.as_ref().map(|host| Arc::new(Sandboxes::new(Arc::clone(&host.engine), pool(&settings))));
    let executor: Arc<dyn Executor> = match &sandboxes {
        Some(sandboxes) => Arc::clone(sandboxes) as _,
        None => Arc::new(NoSandboxes),
    };
    let departure = Runner::new(parts(settings, host.as_ref(), executor)?).run(orders).await;
    if let Some(sandboxes) = sandboxes
        && timeout(CLOSE_MAX, sandboxes.close()).await.is_err()
    {
        tracing::warn!("some waiting sandboxes are not gone yet");
    }
    let departure = departure?;
    tracing::info!(?departure, "stopped");
    anyhow::ensure!(departure != Departure::AtOnce, "left at once: jobs were thrown away");
    Ok(())
}

/// The first signal drains, the second ends everything.
fn orders() -> anyhow::Result<Orders> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let orders = Orders::default();
    let given = orders.clone();
    tokio::spawn(async move {
        for order in [&given.drain, &given.at_once] {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            tracing::info!(at_once = given.drain.is_cancelled(), "told to leave");
            order.cancel();
        }
    });
    Ok(orders)
}

fn pool(settings: &Settings) -> PoolSettings {
    let slots = usize::try_from(settings.slots().sandbox).unwrap_or(usize::MAX);
    PoolSettings {
        idle_max: settings.pool_idle_max,
        boots_max: settings.boots_max(),
        sandboxes_max: slots.saturating_add(settings.pool_idle_max),
    }
}

fn parts(settings: Settings, host: Option<&Host>, executor: Arc<dyn Executor>) -> anyhow::Result<Parts> {
    Ok(Parts {
        offer: offer(&settings, host),
        control_url: settings.control_url.to_string(),
        edge_url: settings.edge_url.map(|url| url.to_string()),
        token: settings.runner_token,
        drain_max: settings.drain_max,
        transport: Arc::new(Http::new()?),
        executor,
        platform: Arc::new(platform::Host),
    })
}

fn offer(settings: &Settings, host: Option<&Host>) -> Register {
    let isolation = host.map(|host| host.isolation.clone()).unwrap_or_default();
    tracing::info!(engine = isolation.engine, weak = isolation.weak, kernel = isolation.kernel, "isolation");
    Register {
        name: settings.name(),
        labels: settings.runner_labels.clone(),
        slots: settings.slots(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine: isolation.engine,
        weak: isolation.weak,
        images: host.map(|host| host.images.clone()).unwrap_or_default(),
    }
}
