//! The chain of an org's entries: digests, links, signed heads, and the check of all of it. Pure.
//!
//! A head is the SHA-256 of org, number, head before it and digest of the entry, so it stands for everything before it.
//! It is signed with Ed25519: whoever has the public key can check a chain, and cannot make one.

use super::entry::Entry;
use alphagate_contract::{
    id::{AuditId, OrgId},
    ring::{Kid, RING_SECRET_BYTES, Ring},
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

const ENTRY_DOMAIN: &str = "alphagate audit entry v1";
const LINK_DOMAIN: &str = "alphagate audit link v1";
const HEAD_DOMAIN: &str = "alphagate audit head v1";

/// A SHA-256.
pub type Digest = [u8; 32];

/// The head before the first link.
pub const NOTHING: Digest = [0; 32];

/// One link: the place of an entry in its org's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its place; the first is 1.
    pub number: i64,
    /// The entry.
    pub entry: AuditId,
    /// [`digest`] of the entry.
    #[serde(with = "hex_text")]
    pub digest: Digest,
    /// The head of the link before.
    #[serde(with = "hex_text")]
    pub previous: Digest,
    /// [`head`] of all that.
    #[serde(with = "hex_text")]
    pub head: Digest,
    /// Which key has signed the head.
    pub kid: String,
    /// Its signature, 64 bytes.
    #[serde(with = "hex_text")]
    pub signature: Vec<u8>,
}

/// Bytes as lower-case hex.
mod hex_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        bytes: &impl AsRef<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(
        json: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(json)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        T::try_from(bytes).map_err(|_| D::Error::custom("another length than expected"))
    }
}

/// A head with its signature, as it is kept outside of the database: `org:number:head:kid:signature`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose chain.
    pub org: OrgId,
    /// How many links it stands for.
    pub number: i64,
    /// The head itself.
    pub head: Digest,
    /// Which key has signed it.
    pub kid: String,
    /// Its signature.
    pub signature: Vec<u8>,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, signature) = (hex::encode(self.head), hex::encode(&self.signature));
        write!(f, "{}:{}:{head}:{}:{signature}", self.org, self.number, self.kid)
    }
}

/// The text is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a head: expected `org:number:head:kid:signature`, as the log and the end of an export have it")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        let [org, number, head, kid, signature] = parts[..] else { return Err(HeadError) };
        let mut bytes = NOTHING;
        hex::decode_to_slice(head, &mut bytes).map_err(|_| HeadError)?;
        Ok(Self {
            org: org.parse().map_err(|_| HeadError)?,
            number: number.parse().map_err(|_| HeadError)?,
            head: bytes,
            kid: Kid::parse(kid).map_err(|_| HeadError)?.to_string(),
            signature: hex::decode(signature).map_err(|_| HeadError)?,
        })
    }
}

/// Parts of a digest, each with its length in front, so that none can flow into the next.
struct Parts(Sha256);

impl Parts {
    fn new(domain: &str) -> Self {
        Self(Sha256::new()).part(domain.as_bytes())
    }

    fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.part(text.as_bytes())
    }

    /// What may be missing is not the same as what is empty.
    fn maybe(self, text: Option<&str>) -> Self {
        match text {
            None => self.part(&[0]),
            Some(text) => self.part(&[1]).text(text),
        }
    }

    fn end(self) -> Digest {
        self.0.finalize().into()
    }
}

/// The digest of everything that an entry says.
#[must_use]
pub fn digest(entry: &Entry) -> Digest {
    Parts::new(ENTRY_DOMAIN)
        .part(entry.org.uuid().as_bytes())
        .part(entry.id.uuid().as_bytes())
        .part(&entry.at.timestamp_micros().to_be_bytes())
        .text(&entry.actor.kind)
        .maybe(entry.actor.id.as_deref())
        .maybe(entry.actor.session.as_deref())
        .maybe(entry.actor.role.as_deref())
        .text(&entry.action)
        .text(&entry.verb)
        .text(&entry.subject.kind)
        .text(&entry.subject.id)
        .maybe(entry.origin.address.as_deref())
        .maybe(entry.origin.user_agent.as_deref())
        .maybe(entry.origin.request.as_deref())
        .maybe(entry.before.as_ref().map(|json| json.get()))
        .maybe(entry.after.as_ref().map(|json| json.get()))
        .end()
}

/// The head of a link.
#[must_use]
pub fn head(org: OrgId, number: i64, previous: &Digest, digest: &Digest) -> Digest {
    Parts::new(LINK_DOMAIN)
        .part(org.uuid().as_bytes())
        .part(&number.to_be_bytes())
        .part(previous)
        .part(digest)
        .end()
}

fn signed(org: OrgId, number: i64, head: &Digest) -> Digest {
    Parts::new(HEAD_DOMAIN).part(org.uuid().as_bytes()).part(&number.to_be_bytes()).part(head).end()
}

/// A secret of the ring cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret of the audit ring cannot be an Ed25519 key")]
pub struct KeyError;

fn pair(seed: &[u8; RING_SECRET_BYTES]) -> Result<Ed25519KeyPair, KeyError> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError)
}

/// Signs heads with the current key of a ring.
pub struct Signer {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// From the ring's first secret.
    ///
    /// # Errors
    /// [`KeyError`], of which no 32 bytes are known.
    pub fn new(ring: &Ring) -> Result<Self, KeyError> {
        let (kid, seed) = ring.current();
        Ok(Self { kid: kid.to_string(), pair: pair(seed)? })
    }

    /// The link of an entry after the one with this number and head.
    #[must_use]
    pub fn link(&self, number: i64, previous: Digest, entry: &Entry) -> Link {
        let number = number.saturating_add(1);
        let digest = digest(entry);
        let head = head(entry.org, number, &previous, &digest);
        let signature = self.pair.sign(&signed(entry.org, number, &head)).as_ref().to_vec();
        Link { number, entry: entry.id, digest, previous, head, kid: self.kid.clone(), signature }
    }
}

impl Link {
    /// The signed head, to be kept elsewhere.
    #[must_use]
    pub fn signed_head(&self, org: OrgId) -> Head {
        let Self { number, head, kid, signature, .. } = self;
        Head { org, number: *number, head: *head, kid: kid.clone(), signature: signature.clone() }
    }
}

/// The public keys that heads may be signed with, by id.
#[derive(Debug, Clone)]
pub struct PublicKeys(Vec<(String, Vec<u8>)>);

impl PublicKeys {
    /// Those of a ring of seeds.
    ///
    /// # Errors
    /// [`KeyError`], of which no 32 bytes are known.
    pub fn of(ring: &Ring) -> Result<Self, KeyError> {
        let public = |(kid, seed): (&Kid, &[u8; RING_SECRET_BYTES])| {
            Ok((kid.to_string(), pair(seed)?.public_key().as_ref().to_vec()))
        };
        ring.entries().map(public).collect::<Result<_, _>>().map(Self)
    }

    fn verify(&self, head: &Head) -> Result<(), Why> {
        let known = self.0.iter().find(|(kid, _)| *kid == head.kid);
        let (_, key) = known.ok_or_else(|| Why::KeyUnknown(head.kid.clone()))?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&signed(head.org, head.number, &head.head), &head.signature)
            .map_err(|_| Why::Signature)
    }
}

impl fmt::Display for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> =
            self.0.iter().map(|(kid, key)| format!("{kid}:{}", hex::encode(key))).collect();
        f.write_str(&texts.join(","))
    }
}

impl FromStr for PublicKeys {
    type Err = alphagate_contract::ring::RingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ring = Ring::parse(text)?;
        Ok(Self(ring.entries().map(|(kid, key)| (kid.to_string(), key.to_vec())).collect()))
    }
}

/// The first link that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("link {number}: {why}")]
pub struct Broken {
    /// Its number.
    pub number: i64,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Its number is not the one that follows.
    #[error("it is missing; the next that is there is {0}")]
    Missing(i64),
    /// It does not hang on the link before.
    #[error("it does not follow from the link before")]
    Previous,
    /// Its head is not that of what it says.
    #[error("its head is not that of its number, entry and predecessor")]
    Head,
    /// Nobody is known by this key's id.
    #[error("it is signed with `{0}`, which is none of the keys given")]
    KeyUnknown(String),
    /// The head was signed by somebody else.
    #[error("its signature does not fit")]
    Signature,
    /// There is no such entry.
    #[error("its entry {0} is missing")]
    EntryMissing(AuditId),
    /// The entry says something else than when it was linked.
    #[error("its entry {0} was changed")]
    EntryChanged(AuditId),
    /// There was more.
    #[error("it is missing, and so is everything up to {0}: the head kept elsewhere stands for more links")]
    Cut(i64),
    /// There was something else.
    #[error("the head kept elsewhere is another one: the chain was rewritten up to here")]
    Rewritten,
}

/// Walks along a chain from its beginning.
pub struct Walk<'a> {
    keys: &'a PublicKeys,
    org: OrgId,
    kept: Vec<Head>,
    number: i64,
    head: Digest,
    last: Option<Head>,
}

impl<'a> Walk<'a> {
    /// Before the first link; `kept` are heads that were kept elsewhere, of any org.
    ///
    /// # Errors
    /// When one of the kept heads was not signed with one of the keys.
    pub fn begin(keys: &'a PublicKeys, org: OrgId, kept: &[Head]) -> Result<Self, Broken> {
        let kept: Vec<Head> = kept.iter().filter(|head| head.org == org).cloned().collect();
        for head in &kept {
            keys.verify(head).map_err(|why| Broken { number: head.number, why })?;
        }
        Ok(Self { keys, org, kept, number: 0, head: NOTHING, last: None })
    }

    /// One link further, with the entry that it names, if there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn step(&mut self, link: &Link, entry: Option<&Entry>) -> Result<(), Broken> {
        let number = self.number.saturating_add(1);
        let broken = |why| Err(Broken { number, why });
        if link.number != number {
            return broken(Why::Missing(link.number));
        }
        if link.previous != self.head {
            return broken(Why::Previous);
        }
        if link.head != head(self.org, number, &link.previous, &link.digest) {
            return broken(Why::Head);
        }
        let signed = link.signed_head(self.org);
        if let Err(why) = self.keys.verify(&signed) {
            return broken(why);
        }
        let Some(entry) = entry else { return broken(Why::EntryMissing(link.entry)) };
        if entry.id != link.entry || entry.org != self.org || digest(entry) != link.digest {
            return broken(Why::EntryChanged(link.entry));
        }
        if self.kept.iter().any(|kept| kept.number == number && kept.head != link.head) {
            return broken(Why::Rewritten);
        }
        (self.number, self.head, self.last) = (number, link.head, Some(signed));
        Ok(())
    }

    /// After the last link; gives the head, none if there was no link.
    ///
    /// # Errors
    /// When a head that was kept elsewhere stands for more than there was.
    pub fn end(self) -> Result<Option<Head>, Broken> {
        match self.kept.iter().map(|kept| kept.number).max() {
            Some(most) if most > self.number => {
                Err(Broken { number: self.number.saturating_add(1), why: Why::Cut(most) })
            }
            _ => Ok(self.last),
        }
    }
}
