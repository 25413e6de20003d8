//! HTTP clients for this machine, usable from any test's runtime.

use std::time::Duration;

use anyhow::Result;

/// A client without a pool, so that no connection belongs to the runtime of one test. It follows no redirect.
pub fn client(timeout: Option<Duration>) -> Result<reqwest::Client> {
    install_tls();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let builder = builder.pool_max_idle_per_host(0).no_proxy();
    let builder = match timeout {
        Some(timeout) => builder.timeout(timeout),
        None => builder,
    };
    Ok(builder.build()?)
}

/// Built together with control, reqwest has TLS without a provider of its own, and panics when none is there.
pub(crate) fn install_tls() {
    // An error says that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
