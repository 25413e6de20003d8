//! The one client of the edge: a signed POST with a deadline.

use crate::{platform::Platform, settings::Settings};
use alphagate_contract::{
    id::RequestId,
    record::Pushed,
    ring::Ring,
    sign::{self, Audience, SIGNATURE_HEADER, Signed},
};
use anyhow::Context as _;
use reqwest::{Client, StatusCode, header, redirect::Policy};
use url::Url;

/// Where the edge takes records.
const RECORDS_PATH: &str = "internal/v1/records";

/// Sends records to the edge.
pub(crate) struct EdgeClient {
    http: Client,
    url: Url,
    ring: Ring,
}

/// Why a push was not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum PushError {
    #[error("the edge cannot be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    #[error("the edge answered {0}")]
    Refused(StatusCode),
    #[error("the edge's answer is not an acceptance: {0}")]
    Unreadable(#[source] reqwest::Error),
}

impl EdgeClient {
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        // A second installation in one process (tests) changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .timeout(settings.push_timeout)
            .user_agent("alphagate-control");
        if settings.edge_url.scheme() == "http" {
            // Without TLS there is nothing to verify, so the machine needs no certificates.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().context("no HTTP client can be made")?;
        let mut url = settings.edge_url.clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let url = url.join(RECORDS_PATH).context("the edge's URL cannot be read")?;
        Ok(Self { http, url, ring: settings.control_to_edge_ring.clone() })
    }

    /// Sends one push; returns when the edge says that it is durable.
    pub(super) async fn push(&self, platform: &dyn Platform, body: Vec<u8>) -> Result<Pushed, PushError> {
        // An idle connection may have been closed by the other side: that shows only when it is used again.
        match self.attempt(platform, body.clone()).await {
            Err(PushError::Unreachable(error))
                if error.is_request() && !error.is_timeout() && !error.is_connect() =>
            {
                self.attempt(platform, body).await
            }
            result => result,
        }
    }

    async fn attempt(&self, platform: &dyn Platform, body: Vec<u8>) -> Result<Pushed, PushError> {
        let now_ms = platform.now_ms();
        let signed =
            Signed { audience: Audience::Edge, method: "POST", path_and_query: self.url.path(), body: &body };
        let signature = sign::sign(&self.ring, &signed, now_ms);
        let request = RequestId::new(now_ms, platform.bytes());
        let response = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, signature)
            .header("x-request-id", request.to_string())
            .body(body)
            .send()
            .await
            .map_err(PushError::Unreachable)?;
        match response.status() {
            StatusCode::OK => response.json().await.map_err(PushError::Unreadable),
            status => Err(PushError::Refused(status)),
        }
    }
}
