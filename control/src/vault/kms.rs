//! AWS's key management service as the master key: data keys are wrapped and unwrapped there, the master key never leaves it.
//!
//! Two calls of its JSON protocol, signed (Signature Version 4) by the crate that signs for S3, with the credentials that it
//! finds the same way. A key is named by its ARN: an alias could come to mean another key behind our back.

use super::{
    aead::KEY_BYTES,
    key_arn::KeyArn,
    master::{Clear, MasterKeys, Wrapped},
};
use crate::{error::Error, platform::Platform, settings::Settings};
use alphagate_contract::{
    problem::{Code, Problem},
    secret::Secret,
};
use anyhow::Context as _;
use axum::http::{Method, Request, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::{BoxFuture, FutureExt as _};
use object_store::{
    aws::{AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider},
    client::{HttpRequest, HttpRequestBody},
};
use reqwest::{Client, redirect::Policy};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// How long one call may take: it is made within a transaction.
const CALL_MAX: Duration = Duration::from_secs(3);
/// Tries of one call, the first included; the service throttles for moments.
const TRIES_MAX: u32 = 3;
/// Before the second try; doubled before the third.
const PAUSE: Duration = Duration::from_millis(100);
/// When a caller may try again while the service is away.
const RETRY_MS: u64 = 1_000;

/// The service.
pub(super) struct Kms {
    current: KeyArn,
    older: Vec<KeyArn>,
    endpoint: Option<Url>,
    credentials: AwsCredentialProvider,
    http: Client,
}

/// What both calls answer; each fills one of the two.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered {
    ciphertext_blob: Option<String>,
    plaintext: Option<String>,
}

/// Why a call was not answered, and whether another try may be.
struct Failed {
    why: String,
    again: bool,
}

impl Kms {
    pub(super) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let mut keys = settings.master_kms_keys.iter().cloned();
        let current = keys.next().context("AG_MASTER_KMS_KEYS names no key")?;
        // A second installation in one process (tests) changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().redirect(Policy::none()).timeout(CALL_MAX);
        if settings.kms_endpoint.as_ref().is_some_and(|url| url.scheme() == "http") {
            builder = builder.tls_certs_only([]);
        }
        // The bucket is of no account: this only finds the credentials, as every program on AWS does.
        let found = AmazonS3Builder::from_env().with_bucket_name("none").with_region(current.region());
        let found = found.build().context("no AWS credentials can be looked for")?;
        Ok(Self {
            older: keys.collect(),
            endpoint: settings.kms_endpoint.clone(),
            credentials: found.credentials().clone(),
            http: builder.build().context("no HTTP client can be made")?,
            current,
        })
    }

    fn key(&self, name: &str) -> Option<&KeyArn> {
        std::iter::once(&self.current).chain(&self.older).find(|key| key.as_str() == name)
    }

    async fn call(&self, key: &KeyArn, action: &str, body: &Value) -> Result<Answered, Error> {
        let mut pause = PAUSE;
        for last in (0..TRIES_MAX).rev() {
            match self.attempt(key, action, body).await {
                Ok(answered) => return Ok(answered),
                Err(failed) if failed.again && last > 0 => {
                    tracing::warn!(action, %key, why = failed.why, "asking the key service again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(failed) => {
                    tracing::error!(action, %key, why = failed.why, "the key service does not answer");
                    break;
                }
            }
        }
        Err(unavailable())
    }

    async fn attempt(&self, key: &KeyArn, action: &str, body: &Value) -> Result<Answered, Failed> {
        let again = |why: String| Failed { why, again: true };
        let credential = self.credentials.get_credential().await.map_err(|error| again(error.to_string()))?;
        let endpoint = self.endpoint.as_ref().map_or_else(|| key.endpoint(), Url::to_string);
        let text = body.to_string();
        let mut request: HttpRequest = Request::builder()
            .method(Method::POST)
            .uri(&endpoint)
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", format!("TrentService.{action}"))
            .body(HttpRequestBody::from(text.clone()))
            .map_err(|error| Failed { why: error.to_string(), again: false })?;
        AwsAuthorizer::new(&credential, "kms", key.region())
            .try_authorize(&mut request, None)
            .map_err(|error| Failed { why: error.to_string(), again: false })?;
        let headers = request.headers().clone();
        let sent = self.http.post(&endpoint).headers(headers).body(text).send().await;
        // Its text would name the address, which is in the settings anyway; never the body.
        let response = sent.map_err(|error| again(error.to_string()))?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(|error| again(error.to_string()));
        }
        let said: Value = response.json().await.unwrap_or_default();
        let kind = said["__type"].as_str().unwrap_or_default();
        let again = status.is_server_error() || status == 429 || kind.contains("Throttl");
        Err(Failed { why: format!("{status} {kind}"), again })
    }
}

/// What the service binds a data key to.
fn context(place: Wrapped) -> Value {
    json!({"org": place.org.to_string(), "data_key": place.number.to_string()})
}

fn unavailable() -> Error {
    Problem::new(Code::VaultUnavailable).retry_after_ms(RETRY_MS).into()
}

fn decode(text: Option<&String>) -> Result<Vec<u8>, Error> {
    let bytes = text.and_then(|text| STANDARD.decode(text).ok());
    bytes.ok_or_else(|| Error::internal("the key service's answer cannot be read"))
}

impl MasterKeys for Kms {
    fn current(&self) -> &str {
        self.current.as_str()
    }

    fn knows(&self, name: &str) -> bool {
        self.key(name).is_some()
    }

    fn wrap<'a>(
        &'a self,
        _: &'a dyn Platform,
        place: Wrapped,
        key: &'a Clear,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        let body = json!({"KeyId": self.current.as_str(), "Plaintext": STANDARD.encode(key.reveal()),
            "EncryptionContext": context(place)});
        async move { decode(self.call(&self.current, "Encrypt", &body).await?.ciphertext_blob.as_ref()) }
            .boxed()
    }

    fn unwrap<'a>(
        &'a self,
        name: &'a str,
        place: Wrapped,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Clear, Error>> {
        async move {
            let key = self.key(name).ok_or_else(unavailable)?;
            let body = json!({"KeyId": key.as_str(), "CiphertextBlob": STANDARD.encode(wrapped),
                "EncryptionContext": context(place)});
            let clear = decode(self.call(key, "Decrypt", &body).await?.plaintext.as_ref())?;
            let clear: [u8; KEY_BYTES] =
                clear.try_into().map_err(|_| Error::internal("a data key has another length"))?;
            Ok(Secret::new(clear))
        }
        .boxed()
    }
}
