//! `Idempotency-Key`: a creation that is asked for twice is done once.
//!
//! The key's row is written in the transaction that does the work. So a second request with the same key waits for the
//! first; if that one failed, the second does the work; if the process died, nothing is left of either. An answer is
//! kept for a day, encrypted: it may hold the text of a new API key.

use crate::{app::App, error::Error};
use alphagate_contract::{
    id::OrgId,
    problem::{Code, Problem},
};
use axum::http::{Method, request::Parts};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

/// Header that carries the key.
const HEADER: &str = "idempotency-key";
/// Longest key: room for several UUIDs.
const KEY_MAX_LEN: usize = 255;

/// What tells a repeated request from another one.
#[derive(Debug, Clone)]
pub(crate) struct Once {
    key: Option<String>,
    digest: [u8; 32],
}

/// Whether the work is still to be done.
pub(crate) enum Claim {
    /// Do it; then [`keep`] the answer under this key, if there is one.
    Fresh(Option<String>),
    /// It was done; this is the kept answer.
    Done(Vec<u8>),
}

impl Once {
    /// A request that may be repeated as often as one likes.
    pub(crate) const fn never() -> Self {
        Self { key: None, digest: [0; 32] }
    }

    /// Reads the header of a POST, and takes the digest of the request.
    pub(crate) fn read(parts: &Parts, body: &[u8]) -> Result<Self, Error> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(value) = values.next().filter(|_| parts.method == Method::POST) else {
            return Ok(Self::never());
        };
        let key = value.to_str().ok().filter(|key| (1..=KEY_MAX_LEN).contains(&key.len()));
        let (Some(key), None) = (key, values.next()) else {
            let message =
                format!("`Idempotency-Key` must be one text of 1 to {KEY_MAX_LEN} ASCII characters.");
            return Err(Problem::new(Code::RequestMalformed).message(message).into());
        };
        let mut digest = Sha256::new();
        for part in [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), body] {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        Ok(Self { key: Some(key.to_owned()), digest: digest.finalize().into() })
    }
}

fn purpose(org: OrgId, key: &str) -> String {
    format!("kept answer\n{org}\n{key}")
}

/// Takes the key, or waits for whoever has it.
pub(crate) async fn claim(app: &App, db: &mut PgConnection, org: OrgId, once: Once) -> Result<Claim, Error> {
    let Some(key) = once.key else { return Ok(Claim::Fresh(None)) };
    let taken = sqlx::query(
        "INSERT INTO idempotency (org_id, key, digest) VALUES ($1, $2, $3)
         ON CONFLICT (org_id, key) DO UPDATE
            SET digest = excluded.digest, answer = NULL, expires_at = excluded.expires_at
            WHERE idempotency.expires_at < now()",
    )
    .bind(org.uuid())
    .bind(&key)
    .bind(once.digest)
    .execute(&mut *db)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(Claim::Fresh(Some(key)));
    }
    let (digest, answer): (Vec<u8>, Option<Vec<u8>>) =
        sqlx::query_as("SELECT digest, answer FROM idempotency WHERE org_id = $1 AND key = $2")
            .bind(org.uuid())
            .bind(&key)
            .fetch_one(db)
            .await?;
    if digest != once.digest {
        return Err(Code::IdempotencyMismatch.into());
    }
    let opened = answer.and_then(|answer| app.vault().texts().open(&purpose(org, &key), &answer));
    opened.map(Claim::Done).ok_or_else(|| Error::internal("a kept answer does not open"))
}

/// Keeps the answer of the work that was done under the key.
pub(crate) async fn keep(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    key: &str,
    answer: &[u8],
) -> Result<(), Error> {
    let sealed = app.vault().texts().seal(app.platform(), &purpose(org, key), answer)?;
    sqlx::query("UPDATE idempotency SET answer = $3 WHERE org_id = $1 AND key = $2")
        .bind(org.uuid())
        .bind(key)
        .bind(sealed)
        .execute(db)
        .await?;
    Ok(())
}

/// Forgets answers that are older than a day; the system role's policy shows it no others.
pub(crate) async fn forget_expired(system: &mut PgConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query("DELETE FROM idempotency WHERE expires_at < now()").execute(system).await?.rows_affected())
}
