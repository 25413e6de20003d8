//! The running program: checks first, then requests, the outbox loop and housekeeping; and how it ends.
//!
//! At shutdown no connection is accepted any more, running requests finish, and then the outbox finishes the pushes at
//! hand. Whatever is left is in the database.

use crate::{
    app::App, audit, blobs, evals, events, housekeeping, jobs, mail, outbox, outbox::Inbox, platform::Host,
    publications, routes, settings::Settings, store,
};
use anyhow::Context as _;
use std::{future::Future, net::SocketAddr, sync::Arc};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// `alphagate-control serve`: until SIGTERM or SIGINT.
///
/// # Errors
/// When a check fails or the address is taken.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let (app, inbox) = App::new(settings, Arc::new(Host))?;
    check(&app).await?;
    let address = app.settings().listen;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    until(app, inbox, listener, stop).await
}

/// Refuses a database that is not migrated, and logins that row-level security does not bind.
///
/// # Errors
/// What is wrong, and what to do about it.
pub async fn check(app: &App) -> anyhow::Result<()> {
    let pools = [app.tenants().pool(), app.system()];
    for pool in pools {
        store::check_migrated(pool).await?;
    }
    store::check_logins(app.tenants().pool(), app.system()).await?;
    blobs::check(app.settings())
}

/// Serves until `stop` is ready, then finishes what has begun.
///
/// # Errors
/// When the listener fails.
pub async fn until(
    app: App,
    inbox: Inbox,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    // What is claimed from here on is not of the time before.
    jobs::beat(&app).await.context("leases cannot be looked after")?;
    let (stopping, stopped) = watch::channel(false);
    let (ending, ended) = watch::channel(false);
    let courier = tokio::spawn(outbox::run(app.clone(), inbox, ended.clone()));
    let housekeeper = tokio::spawn(housekeeping::run(app.clone()));
    let driver = tokio::spawn(evals::drive(app.clone()));
    let listener_of_notices = tokio::spawn(events::listen(app.clone()));
    let postman = tokio::spawn(mail::run(app.clone()));
    let pulse = tokio::spawn(jobs::run(app.clone()));
    let sequencer = tokio::spawn(audit::run(app.clone(), ended.clone()));
    let publisher = tokio::spawn(publications::run(app.clone(), ended.clone()));
    tracing::info!(address = %listener.local_addr()?, "listening");
    let hub = app.hub().clone();
    tokio::spawn(async move {
        stop.await;
        tracing::info!("stopping");
        hub.stop();
        stopping.send_replace(true);
    });
    let mut begun = stopped.clone();
    let router = routes::router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(wait(stopped));
    let grace = async {
        wait_for(&mut begun).await;
        tokio::time::sleep(app.settings().shutdown_grace).await;
    };
    let result = tokio::select! {
        result = async { serving.await } => result.context("the listener failed"),
        () = grace => { tracing::warn!("some requests did not finish in time"); Ok(()) }
    };
    housekeeper.abort();
    driver.abort();
    pulse.abort();
    postman.abort();
    ending.send_replace(true);
    publisher.await.context("the loop of publications failed")?;
    sequencer.await.context("the loop of the audit trail failed")?;
    listener_of_notices.abort();
    courier.await.context("the outbox loop failed")?;
    tracing::info!("stopped");
    result
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    wait_for(&mut stopped).await;
}

async fn wait_for(stopped: &mut watch::Receiver<bool>) {
    // A closed channel means that nobody can ask to stop any more.
    if stopped.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
