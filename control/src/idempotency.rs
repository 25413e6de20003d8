//! `Idempotency-Key`: a creation that is asked for twice is done once.
//!
//! The key's row is written in the transaction that does the work. So a second request with the same key waits for the
//! first; if that one failed, the second does the work; if the process died, nothing is left of either. An answer is
//! kept for a day, encrypted: it may hold the text of a new API key.

use crate::{app::App, error::Error};
use alphagate_contract::{
    id::{OrgId, UserId},
    problem::{Code, Problem},
};
use axum::http::{Method, request::Parts};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

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

/// Whose keys they are: one's own never meet another's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// An org, in a transaction of its own.
    Org(OrgId),
    /// A user, in a transaction of the system role.
    User(UserId),
    /// The operator, in a transaction of the system role.
    Operator,
}

/// The statements of one of the two tables.
struct Statements {
    take: &'static str,
    find: &'static str,
    keep: &'static str,
}

const OF_ORG: Statements = Statements {
    take: "INSERT INTO idempotency AS i (org_id, key, digest) VALUES ($1, $2, $3)
         ON CONFLICT (org_id, key) DO UPDATE
            SET digest = excluded.digest, answer = NULL, expires_at = excluded.expires_at
            WHERE i.expires_at < now()",
    find: "SELECT digest, answer FROM idempotency WHERE org_id = $1 AND key = $2",
    keep: "UPDATE idempotency SET answer = $3 WHERE org_id = $1 AND key = $2",
};

const OF_CALLER: Statements = Statements {
    take: "INSERT INTO caller_idempotency AS i (caller_id, key, digest) VALUES ($1, $2, $3)
         ON CONFLICT (caller_id, key) DO UPDATE
            SET digest = excluded.digest, answer = NULL, expires_at = excluded.expires_at
            WHERE i.expires_at < now()",
    find: "SELECT digest, answer FROM caller_idempotency WHERE caller_id = $1 AND key = $2",
    keep: "UPDATE caller_idempotency SET answer = $3 WHERE caller_id = $1 AND key = $2",
};

impl From<OrgId> for Owner {
    fn from(org: OrgId) -> Self {
        Self::Org(org)
    }
}

impl Owner {
    const fn uuid(self) -> Uuid {
        match self {
            Self::Org(org) => org.uuid(),
            Self::User(user) => user.uuid(),
            Self::Operator => Uuid::nil(),
        }
    }

    const fn statements(self) -> &'static Statements {
        match self {
            Self::Org(_) => &OF_ORG,
            Self::User(_) | Self::Operator => &OF_CALLER,
        }
    }

    fn purpose(self, key: &str) -> String {
        let owner = match self {
            Self::Org(org) => org.to_string(),
            Self::User(user) => user.to_string(),
            Self::Operator => "operator".to_owned(),
        };
        format!("kept answer\n{owner}\n{key}")
    }
}

/// Takes the key, or waits for whoever has it.
pub(crate) async fn claim(
    app: &App,
    db: &mut PgConnection,
    owner: impl Into<Owner>,
    once: Once,
) -> Result<Claim, Error> {
    let Some(key) = once.key else { return Ok(Claim::Fresh(None)) };
    let owner = owner.into();
    let statements = owner.statements();
    let taken = sqlx::query(statements.take)
        .bind(owner.uuid())
        .bind(&key)
        .bind(once.digest)
        .execute(&mut *db)
        .await?;
    if taken.rows_affected() == 1 {
        return Ok(Claim::Fresh(Some(key)));
    }
    let (digest, answer): (Vec<u8>, Option<Vec<u8>>) =
        sqlx::query_as(statements.find).bind(owner.uuid()).bind(&key).fetch_one(db).await?;
    if digest != once.digest {
        return Err(Code::IdempotencyMismatch.into());
    }
    let opened = answer.and_then(|answer| app.vault().texts().open(&owner.purpose(&key), &answer));
    opened.map(Claim::Done).ok_or_else(|| Error::internal("a kept answer does not open"))
}

/// Keeps the answer of the work that was done under the key.
pub(crate) async fn keep(
    app: &App,
    db: &mut PgConnection,
    owner: impl Into<Owner>,
    key: &str,
    answer: &[u8],
) -> Result<(), Error> {
    let owner = owner.into();
    let sealed = app.vault().texts().seal(app.platform(), &owner.purpose(key), answer)?;
    sqlx::query(owner.statements().keep).bind(owner.uuid()).bind(key).bind(sealed).execute(db).await?;
    Ok(())
}

/// Forgets answers that are older than a day; the system role's policy shows it no others of orgs.
pub(crate) async fn forget_expired(system: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let of_orgs =
        sqlx::query("DELETE FROM idempotency WHERE expires_at < now()").execute(&mut *system).await?;
    let of_callers =
        sqlx::query("DELETE FROM caller_idempotency WHERE expires_at < now()").execute(system).await?;
    Ok(of_orgs.rows_affected() + of_callers.rows_affected())
}
