//! Hashes of passwords: argon2id, on threads of its own, so many at once.
//!
//! The parameters are OWASP's (Password Storage Cheat Sheet: argon2id with 19 MiB, 2 passes, 1 lane). Whether there is an
//! account or not, one hash is computed: for an unknown one, against [`NOBODY`].

use super::password::Password;
use crate::{app::App, error::Error};
use alphagate_contract::problem::{Code, Problem};
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Memory of one hash, KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;
/// Random bytes of a salt (RFC 9106, 3.1).
const SALT_BYTES: usize = 16;
/// Hashes at once: 4 × 19 MiB, and as many cores as a small host has.
const AT_ONCE_MAX: usize = 4;
/// How long a request waits for its turn: some twenty hashes of 50 ms, five times over.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// When one may come again.
const RETRY_MS: u64 = 2_000;
/// The hash of nobody's password, with the parameters above: its bytes are zero, and no text has them.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Where passwords are hashed.
#[derive(Debug, Clone)]
pub(crate) struct Hasher(Arc<Semaphore>);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }

    /// Checks a new password, and hashes it; `about` is what an attacker would know of its owner.
    pub(crate) async fn make(
        &self,
        app: &App,
        password: Password,
        about: Vec<String>,
    ) -> Result<String, Error> {
        let salt: [u8; SALT_BYTES] = app.platform().bytes();
        let made = move || {
            let about: Vec<&str> = about.iter().map(String::as_str).collect();
            password.check(&about).map_err(|why| Error::field("password", why))?;
            hash(password.reveal(), &salt)
        };
        self.run(made).await?
    }

    /// Whether the password is the one of this hash; the same work where there is none.
    pub(crate) async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Error> {
        self.run(move || verify(password.reveal(), hash.as_deref())).await?
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let busy = || Error::from(Problem::new(Code::Overloaded).retry_after_ms(RETRY_MS));
        let turn = tokio::time::timeout(WAIT_MAX, self.0.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(Error::internal)
    }
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str, salt: &[u8]) -> Result<String, Error> {
    let hash = argon2()?.hash_password_with_salt(password.as_bytes(), salt).map_err(Error::internal)?;
    Ok(hash.to_string())
}

fn verify(password: &str, hash: Option<&str>) -> Result<bool, Error> {
    let hash = PasswordHash::new(hash.unwrap_or(NOBODY)).map_err(Error::internal)?;
    Ok(argon2()?.verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_another_is_not() {
        let kept = hash("correct horse", &[7; SALT_BYTES]).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(verify("correct horse", Some(&kept)).unwrap());
        assert!(!verify("correct horsf", Some(&kept)).unwrap());
        assert_ne!(kept, hash("correct horse", &[8; SALT_BYTES]).unwrap());
    }

    #[test]
    fn nobodys_hash_costs_what_everybodys_does_and_matches_nothing() {
        let head = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        let kept = hash("x", &[0; SALT_BYTES]).unwrap();
        assert_eq!((head(NOBODY), NOBODY.len()), (head(&kept), kept.len()));
        assert!(["", "x", "password"].iter().all(|guess| !verify(guess, None).unwrap()));
    }
}
