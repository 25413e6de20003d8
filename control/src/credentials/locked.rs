//! A credential's secret at rest: encrypted with its org's data key; and, while programs of the last release may run, a copy
//! in the form that they know.

use super::write_record;
use crate::{
    app::App,
    error::Error,
    vault::{self, DataKey},
};
use alphagate_contract::{
    id::{CredentialId, OrgId},
    secret::Secret,
};
use sqlx::PgConnection;

/// Shortest secret whose end is shown: what is left over has 12 characters and more.
const SHOWN_MIN_LEN: usize = 16;
/// So much of its end.
const SHOWN_LEN: usize = 4;

/// A secret, encrypted.
pub(super) struct Locked {
    pub(super) sealed: Vec<u8>,
    pub(super) data_key: i32,
    pub(super) count: i64,
    pub(super) last_four: Option<String>,
    /// In the form of the last release; whether it is kept, `vault_move` says.
    pub(super) copy: Vec<u8>,
}

/// What is there.
#[derive(sqlx::FromRow)]
pub(super) struct Kept {
    pub(super) origin: String,
    pub(super) seal_kid: String,
    pub(super) data_key: Option<i32>,
    sealed: Option<Vec<u8>>,
    sealed_count: i64,
    secret: Option<Vec<u8>>,
}

/// The end of a secret that is long enough to have one.
pub(super) fn last_four(secret: &str) -> Option<String> {
    let at = secret.len().checked_sub(SHOWN_LEN).filter(|_| secret.len() >= SHOWN_MIN_LEN)?;
    secret.get(at..).map(str::to_owned)
}

/// What the last release binds its text to.
fn purpose(org: OrgId, credential: CredentialId) -> String {
    format!("credential\n{org}\n{credential}")
}

impl Locked {
    /// Encrypts a secret the `count`th time.
    pub(super) fn new(
        app: &App,
        key: &DataKey,
        id: CredentialId,
        count: i64,
        secret: &Secret<String>,
    ) -> Result<Self, Error> {
        let clear = secret.reveal();
        Ok(Self {
            sealed: key.seal(app.platform(), id, count, secret)?,
            data_key: key.number(),
            count,
            last_four: last_four(clear),
            copy: app.vault().texts().seal(app.platform(), &purpose(key.org(), id), clear.as_bytes())?,
        })
    }
}

impl Kept {
    /// What is there, locked until the transaction ends.
    pub(super) async fn lock(
        db: &mut PgConnection,
        org: OrgId,
        id: CredentialId,
    ) -> Result<Option<Self>, Error> {
        let kept = sqlx::query_as(
            "SELECT origin, seal_kid, data_key, sealed, sealed_count, secret FROM credentials
             WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE",
        )
        .bind(org.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await?;
        Ok(kept)
    }

    /// The secret itself.
    pub(super) async fn open(
        &self,
        app: &App,
        db: &mut PgConnection,
        org: OrgId,
        id: CredentialId,
    ) -> Result<Secret<String>, Error> {
        if let (Some(number), Some(sealed)) = (self.data_key, &self.sealed) {
            let key = vault::of_number(app, db, org, number).await?;
            let secret = key.open(id, self.sealed_count, sealed);
            return secret.ok_or_else(|| Error::internal("the secret does not open with its data key"));
        }
        let copy = self.secret.as_deref().unwrap_or_default();
        let clear = app.vault().texts().open(&purpose(org, id), copy);
        let clear = clear.and_then(|bytes| String::from_utf8(bytes).ok()).map(Secret::new);
        clear.ok_or_else(|| Error::internal("the secret does not open: is its key still in AG_VAULT_RING?"))
    }

    /// Puts `secret` in its place, and sends it to the edge where the record is another one then.
    pub(super) async fn replace(
        &self,
        app: &App,
        db: &mut PgConnection,
        (org, id): (OrgId, CredentialId),
        secret: &Secret<String>,
        is_other: bool,
    ) -> Result<(), Error> {
        let key = vault::current(app, db, org).await?;
        let locked = Locked::new(app, &key, id, self.sealed_count + 1, secret)?;
        let seal_kid = &app.settings().seal_public_keys.kid;
        sqlx::query(
            "UPDATE credentials SET sealed = $3, data_key = $4, sealed_count = $5, last_four = $6, seal_kid = $7,
                secret = CASE WHEN copies THEN $8 END, vault_kid = CASE WHEN copies THEN $9 END,
                rotated_at = CASE WHEN $10 THEN now() ELSE rotated_at END
             FROM vault_move WHERE org_id = $1 AND id = $2",
        )
        .bind(org.uuid())
        .bind(id.uuid())
        .bind(locked.sealed)
        .bind(locked.data_key)
        .bind(locked.count)
        .bind(locked.last_four)
        .bind(seal_kid)
        .bind(locked.copy)
        .bind(app.vault().texts().kid())
        .bind(is_other)
        .execute(&mut *db)
        .await?;
        if is_other || self.seal_kid != *seal_kid {
            write_record(app, db, org, id, &self.origin, secret).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::last_four;

    #[test]
    fn the_end_of_a_short_secret_is_not_shown() {
        assert_eq!(last_four("sk-0123456789abcdef").as_deref(), Some("cdef"));
        assert_eq!(last_four("0123456789abcdef").as_deref(), Some("cdef"));
        assert_eq!(last_four("0123456789abcde"), None);
        assert_eq!(last_four("x"), None);
    }
}
