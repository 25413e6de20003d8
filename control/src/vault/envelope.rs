//! A data key, and the one thing that it encrypts: secrets of its org's credentials.

use super::{
    aead::{self, KEY_BYTES},
    master::Clear,
};
use crate::{error::Error, platform::Platform};
use alphagate_contract::{
    id::{CredentialId, OrgId},
    secret::Secret,
};

/// A data key of an org, unwrapped. In memory for the length of one change.
#[derive(Debug)]
pub(crate) struct DataKey {
    org: OrgId,
    number: i32,
    key: Clear,
}

impl DataKey {
    pub(super) const fn new(org: OrgId, number: i32, key: Clear) -> Self {
        Self { org, number, key }
    }

    /// A fresh one.
    pub(super) fn random(platform: &dyn Platform, org: OrgId, number: i32) -> Self {
        Self { org, number, key: Secret::new(platform.bytes::<KEY_BYTES>()) }
    }

    /// Whose it is.
    pub(crate) const fn org(&self) -> OrgId {
        self.org
    }

    /// Its number among those of its org.
    pub(crate) const fn number(&self) -> i32 {
        self.number
    }

    pub(super) const fn clear(&self) -> &Clear {
        &self.key
    }

    /// Encrypts a credential's secret; `count` is how often it was encrypted, this time included.
    pub(crate) fn seal(
        &self,
        platform: &dyn Platform,
        credential: CredentialId,
        count: i64,
        secret: &Secret<String>,
    ) -> Result<Vec<u8>, Error> {
        let purpose = self.purpose(credential, count);
        aead::seal(platform, self.key.reveal(), &purpose, secret.reveal().as_bytes())
    }

    /// Decrypts what was encrypted for exactly this credential the `count`th time.
    pub(crate) fn open(&self, credential: CredentialId, count: i64, sealed: &[u8]) -> Option<Secret<String>> {
        let clear = aead::open(self.key.reveal(), &self.purpose(credential, count), sealed)?;
        String::from_utf8(clear).ok().map(Secret::new)
    }

    fn purpose(&self, credential: CredentialId, count: i64) -> String {
        format!("credential v2\n{}\n{credential}\n{count}", self.org)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fixed::Fixed;

    #[test]
    fn a_secret_opens_for_its_own_org_credential_and_count_only() {
        let platform = Fixed::new();
        let (org, other) = (OrgId::new(0, [1; 10]), OrgId::new(0, [2; 10]));
        let (credential, another) = (CredentialId::new(0, [3; 10]), CredentialId::new(0, [4; 10]));
        let key = DataKey::random(&platform, org, 1);
        let secret = Secret::new("sk-secret".to_owned());
        let sealed = key.seal(&platform, credential, 5, &secret).unwrap();
        assert_eq!(key.open(credential, 5, &sealed), Some(secret));
        assert_eq!(key.open(another, 5, &sealed), None);
        assert_eq!(key.open(credential, 4, &sealed), None);
        assert_eq!(DataKey::new(other, 1, key.clear().clone()).open(credential, 5, &sealed), None);
        assert_eq!(DataKey::random(&platform, org, 1).open(credential, 5, &sealed), None);
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert_eq!(key.open(credential, 5, &damaged), None, "byte {position}");
        }
        assert!(format!("{key:?}").contains("key: [secret]"));
    }
}
