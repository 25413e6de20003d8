//! Control's API over HTTP: JSON in, JSON out, problems as failures, and patience where it can help.
//!
//! Invariant: a call is made a second time only if that changes nothing: creations carry an Idempotency-Key, the same one
//! for every attempt.

use crate::{
    credential::{Credential, ORG_HEADER},
    failure::{Failure, Refusal},
    retry::{self, End},
    transport::{Transport, cause},
};
use reqwest::{Method, RequestBuilder, Response, header::HeaderMap, multipart::Form};
use serde_json::Value;
use std::{cell::Cell, time::Duration};
use url::Url;

/// Longest call: control holds a call that waits for a publication for 55 s.
const CALL_MAX: Duration = Duration::from_secs(75);
/// Longest upload or download: 512 MiB over a line of 150 kB/s, as control has it.
const TRANSFER_MAX: Duration = Duration::from_secs(3_600);
/// Longest answer that is read into memory: a hundred output items with answers of megabytes.
const ANSWER_MAX_BYTES: usize = 256 * 1024 * 1024;
/// Header by which control knows a creation again.
const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// Talks to one server as one caller.
#[derive(Debug)]
pub(crate) struct Client {
    base: Url,
    credential: Option<Credential>,
    transport: Transport,
    /// Whether the server has answered before: if so, it is away for a moment only.
    reached: Cell<bool>,
}

/// One call.
struct Call<'a> {
    method: Method,
    url: Url,
    body: Option<&'a Value>,
    key: Option<String>,
    is_repeatable: bool,
}

impl Client {
    pub(crate) fn new(base: Url, credential: Option<Credential>) -> Result<Self, Failure> {
        let transport = Transport::new().map_err(|error| Failure::said(cause(&error)))?;
        Ok(Self { base, credential, transport, reached: Cell::new(false) })
    }

    /// The server's URL.
    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }

    /// As whom it calls.
    pub(crate) const fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, self.url(path, query)?, None).await
    }

    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, self.url(path, &[])?, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, self.url(path, &[])?, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(Method::PATCH, self.url(path, &[])?, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        self.call(Method::DELETE, self.url(path, &[])?, None).await
    }

    /// A POST that does something anew each time.
    pub(crate) async fn post_once(&self, path: &[&str]) -> Result<Value, Failure> {
        let url = self.url(path, &[])?;
        let call = Call { method: Method::POST, url, body: None, key: None, is_repeatable: false };
        read(self.answered(&call).await?).await
    }

    /// A body that is read as it comes.
    pub(crate) async fn open(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        let url = self.url(path, query)?;
        let request = self.request(Method::GET, &url)?.headers(headers).timeout(TRANSFER_MAX);
        self.once(request, &url).await.map_err(|(_, failure)| failure)
    }

    /// Sends a form. It is sent once: a stream cannot be read twice.
    pub(crate) async fn upload(&self, path: &[&str], form: Form) -> Result<Value, Failure> {
        let url = self.url(path, &[])?;
        let request = self.request(Method::POST, &url)?.multipart(form).timeout(TRANSFER_MAX);
        read(self.once(request, &url).await.map_err(|(_, failure)| failure)?).await
    }

    /// The URL of a path, each of its parts encoded, and what is not set in the query left out.
    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        let cannot = || Failure::said(format!("{} has no paths", self.base));
        url.path_segments_mut().map_err(|()| cannot())?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn call(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Value, Failure> {
        let key = (method == Method::POST).then(|| hex::encode(rand::random::<[u8; 16]>()));
        let call = Call { method, url, body, key, is_repeatable: true };
        read(self.answered(&call).await?).await
    }

    /// Makes a call until it is answered, or there is no use in it.
    async fn answered(&self, call: &Call<'_>) -> Result<Response, Failure> {
        let mut attempt = 1;
        loop {
            let mut request = self.request(call.method.clone(), &call.url)?.timeout(CALL_MAX);
            if let Some(body) = call.body {
                request = request.json(body);
            }
            if let Some(key) = &call.key {
                request = request.header(IDEMPOTENCY_HEADER, key);
            }
            let (end, failure) = match self.once(request, &call.url).await {
                Ok(response) => return Ok(response),
                Err(ended) => ended,
            };
            let pause = retry::pause(attempt, &end, self.reached.get()).filter(|_| call.is_repeatable);
            let Some(pause) = pause else { return Err(failure) };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, Failure> {
        let client = self.transport.client(url).map_err(|error| Failure::said(cause(&error)))?;
        let mut request = client.request(method, url.clone());
        if let Some(credential) = &self.credential {
            request = request.bearer_auth(credential.bearer.reveal());
            if let Some(org) = &credential.org {
                request = request.header(ORG_HEADER, org);
            }
        }
        Ok(request)
    }

    async fn once(&self, request: RequestBuilder, url: &Url) -> Result<Response, (End, Failure)> {
        let response = request.send().await.map_err(|error| {
            let end = if error.is_connect() && !error.is_timeout() { End::NobodyThere } else { End::Broken };
            (end, Failure::unreachable(server(url), cause(&error)))
        })?;
        self.reached.set(true);
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let request_id =
            response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let body = bytes(response).await.unwrap_or_default();
        let refusal = Refusal::read(status, &body, request_id);
        let end = End::Refused { status, code: refusal.code.clone(), retry_after };
        Err((end, Failure::refused(refusal)))
    }
}

/// The part of a URL that says which server.
fn server(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse().ok();
    number("retry-after-ms")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

/// A whole body, if it is not too long.
async fn bytes(mut response: Response) -> Result<Vec<u8>, Failure> {
    let url = server(response.url());
    let mut body = Vec::new();
    while let Some(piece) =
        response.chunk().await.map_err(|error| Failure::unreachable(url.as_str(), cause(&error)))?
    {
        if body.len() + piece.len() > ANSWER_MAX_BYTES {
            return Err(Failure::said(format!("an answer of {url} is longer than {ANSWER_MAX_BYTES} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A body of JSON; null where there is none.
async fn read(response: Response) -> Result<Value, Failure> {
    let url = server(response.url());
    let body = bytes(response).await?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|_| {
        Failure::said(format!("{url} answered something that is no JSON"))
            .hint("is that control's URL? The edge and the console have others")
    })
}
