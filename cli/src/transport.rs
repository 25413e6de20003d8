//! HTTP clients: one for plain HTTP, and one with TLS that is made when a URL wants it.
//!
//! Redirects are not followed: control does not redirect, and a bearer must not travel further.

use reqwest::{Client, redirect::Policy};
use std::{error::Error as _, io, sync::OnceLock, time::Duration};

/// Longest time until a connection stands.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Makes calls.
#[derive(Debug)]
pub(crate) struct Transport {
    plain: Client,
    /// Reading the system's certificates takes time that plain HTTP does not need.
    tls: OnceLock<Client>,
}

impl Transport {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        // An error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { plain: builder().tls_certs_only([]).build()?, tls: OnceLock::new() })
    }

    /// The client for a URL.
    pub(crate) fn client(&self, url: &url::Url) -> Result<&Client, reqwest::Error> {
        if url.scheme() == "http" {
            return Ok(&self.plain);
        }
        if let Some(client) = self.tls.get() {
            return Ok(client);
        }
        let client = builder().build()?;
        Ok(self.tls.get_or_init(|| client))
    }
}

fn builder() -> reqwest::ClientBuilder {
    let name = concat!("alphagate/", env!("CARGO_PKG_VERSION"));
    Client::builder().redirect(Policy::none()).user_agent(name).connect_timeout(CONNECT_MAX)
}

/// The innermost cause: what reqwest itself says of it repeats the URL, and no more.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "nothing came in time".into();
    }
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        if let Some(inner) = inner.downcast_ref::<io::Error>()
            && inner.kind() == io::ErrorKind::ConnectionRefused
        {
            return "connection refused".into();
        }
        cause = inner.source();
    }
    text
}
