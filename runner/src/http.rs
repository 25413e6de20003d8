//! Calls over HTTP/1.1, with TLS where the URL says so.
//!
//! Redirects are not followed: neither control nor the edge redirects, and a bearer must not travel further.

use crate::transport::{Answer, Call, Method, Transport, Unreachable, retry_after_ms};
use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use reqwest::{Client, Response, header, redirect::Policy};
use std::sync::OnceLock;

/// Makes calls by reqwest.
pub struct Http {
    plain: Client,
    /// Made at its first use: a host that only talks plain HTTP needs no certificates.
    tls: OnceLock<Client>,
}

impl Http {
    /// A client with connections of its own.
    ///
    /// # Errors
    /// When the machine has no means for HTTP.
    pub fn new() -> anyhow::Result<Self> {
        // A second installation in one process (tests) changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = builder().tls_certs_only([]).build().context("no HTTP client can be made")?;
        Ok(Self { plain, tls: OnceLock::new() })
    }

    fn client(&self, url: &str) -> Result<&Client, Unreachable> {
        if url.starts_with("http://") {
            return Ok(&self.plain);
        }
        if let Some(client) = self.tls.get() {
            return Ok(client);
        }
        let client = builder().build().map_err(|error| unreachable_because(&error))?;
        Ok(self.tls.get_or_init(|| client))
    }

    async fn attempt(&self, call: Call) -> Result<Answer, Unreachable> {
        let client = self.client(&call.url)?;
        let request = match call.method {
            Method::Post => client.post(&call.url).header(header::CONTENT_TYPE, "application/json"),
            Method::Delete => client.delete(&call.url),
        };
        let request = request.bearer_auth(call.bearer.reveal()).timeout(call.timeout).body(call.body);
        let response = request.send().await.map_err(|error| unreachable_because(&error))?;
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let request_id = text("x-request-id").map(str::to_owned);
        let retry_after_ms = text("retry-after").and_then(retry_after_ms);
        let status = response.status().as_u16();
        let body = read(response, call.answer_max_bytes).await?;
        Ok(Answer { status, request_id, retry_after_ms, body })
    }
}

impl Transport for Http {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, Unreachable>> {
        Box::pin(self.attempt(call))
    }
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder().redirect(Policy::none()).user_agent("alphagate-runner")
}

async fn read(mut response: Response, max_bytes: usize) -> Result<Bytes, Unreachable> {
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreachable_because(&error))? {
        if body.len() + piece.len() > max_bytes {
            return Err(Unreachable(format!("the answer is longer than {max_bytes} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// The error with its causes: reqwest's own text stops at the first.
fn unreachable_because(error: &reqwest::Error) -> Unreachable {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    Unreachable(text)
}
