//! Identifiers, one type per noun, so that they cannot be mixed up.
//!
//! In text an id is a prefix and the 32 lower-case hex digits of a UUID (`org_0198…`); exactly one spelling
//! is accepted. Ids are UUIDv7, so they sort by creation and carry their time.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// The text is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id: expected `{prefix}_` and 32 lower-case hex digits")]
pub struct IdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

/// Number of hex digits after the prefix.
pub const ID_HEX_LEN: usize = 32;

/// Reads the 32 lower-case hex digits of an id; any other spelling of the same UUID is refused.
pub(crate) fn uuid_from_hex(hex: &str) -> Option<Uuid> {
    let canonical =
        hex.len() == ID_HEX_LEN && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    canonical.then(|| Uuid::try_parse(hex).ok()).flatten()
}

/// An id of any kind as JSON has it.
#[cfg(feature = "schema")]
fn schema(prefix: &str) -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    let example = format!("{prefix}_0198c0de00007000800000000000000a");
    utoipa::openapi::schema::Object::builder()
        .schema_type(utoipa::openapi::schema::Type::String)
        .pattern(Some(format!("^{prefix}_[0-9a-f]{{{ID_HEX_LEN}}}$")))
        .examples([serde_json::Value::String(example)])
        .into()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// An id of this kind from its UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside, as the database stores it.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// A new UUIDv7 id, made at `now_ms` (Unix milliseconds) with 10 random bytes.
            #[must_use]
            pub const fn new(now_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", Self::PREFIX, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(uuid_from_hex)
                    .map(Self)
                    .ok_or(IdError { prefix: Self::PREFIX })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                schema(Self::PREFIX)
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// A tenant.
    OrgId = "org";
    /// An API key of an org.
    KeyId = "key";
    /// An endpoint: a name that callers put into `model`.
    EndpointId = "ep";
    /// An install of another org's endpoint.
    InstallId = "ins";
    /// A provider's secret.
    CredentialId = "cred";
    /// One attempt to make a version live.
    PublicationId = "pub";
    /// One request at the edge; also the id of its reservation and of its usage event.
    RequestId = "req";
    /// A unit of queued work.
    JobId = "job";
    /// One attempt at a job; every write of a runner names it.
    AttemptId = "att";
    /// A host that takes jobs, from its registration to its end.
    RunnerId = "rnr";
    /// What a host registers with.
    RunnerTokenId = "rtk";
    /// A data schema plus graders.
    EvalId = "eval";
    /// One execution of an eval.
    RunId = "evalrun";
    /// One datum of a run.
    OutputItemId = "outputitem";
    /// Data that was uploaded for evals.
    FileId = "file";
    /// A person.
    UserId = "usr";
    /// A user's being signed in, on one device.
    SessionId = "ses";
    /// A way into an org, for one address.
    InvitationId = "inv";
    /// An entry of the audit trail.
    AuditId = "aud";
    /// What an org demands of requests and answers.
    PolicyId = "pol";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 16]) {
            let id = OrgId::from_uuid(Uuid::from_bytes(bytes));
            prop_assert_eq!(id.to_string().parse::<OrgId>(), Ok(id));
            prop_assert!(id.to_string().parse::<KeyId>().is_err());
        }

        #[test]
        fn only_the_canonical_spelling_is_read(text in "\\PC{0,48}") {
            if let Ok(id) = text.parse::<KeyId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        for text in [
            "org_0198C0DE00007000800000000000000A",
            "org_0198c0de-0000-7000-8000-00000000000a",
            "org_{0198c0de00007000800000000000000a}",
            "0198c0de00007000800000000000000a",
            "org_",
        ] {
            assert!(text.parse::<OrgId>().is_err(), "{text}");
        }
    }

    #[test]
    fn new_ids_carry_their_time() {
        let id = RequestId::new(1_790_000_000_123, [7; 10]);
        let (seconds, nanos) = id.uuid().get_timestamp().map(|t| t.to_unix()).unwrap_or_default();
        assert_eq!((seconds, nanos / 1_000_000), (1_790_000_000, 123));
    }
}
