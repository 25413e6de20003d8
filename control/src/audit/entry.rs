//! An entry of the trail as callers read it, and as exports carry it.
//!
//! `before` and `after` are texts, kept to the letter: an entry's digest is of exactly these bytes, wherever they are read.

use alphagate_contract::id::{AuditId, OrgId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditEntry)]
pub struct Entry {
    /// Its id; carries its time.
    pub id: AuditId,
    /// Its place in the org's chain; none until it is linked. The link says so, not the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// Whose trail it is in; 32 zeros: the installation's own.
    pub org: OrgId,
    /// When, in whole milliseconds.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What it took: the name of an action of the table of roles, or `operator.…`.
    pub action: String,
    /// What was done: `create`, `rotate`, ….
    pub verb: String,
    /// To what.
    pub subject: Subject,
    /// From where; nothing of it where the system acted by itself.
    pub origin: From,
    /// What was there before, secrets masked.
    #[schema(value_type = Option<serde_json::Value>)]
    pub before: Option<Box<RawValue>>,
    /// What is there now, secrets masked.
    #[schema(value_type = Option<serde_json::Value>)]
    pub after: Option<Box<RawValue>>,
}

/// Who did it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditActor)]
pub struct Actor {
    /// `key`, `user`, `operator` or `system`.
    pub kind: String,
    /// The key or the user.
    pub id: Option<String>,
    /// The user's session.
    pub session: Option<String>,
    /// What the user was in the org.
    pub role: Option<String>,
}

/// What it was done to.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditSubject)]
pub struct Subject {
    /// The noun.
    pub kind: String,
    /// Which one.
    pub id: String,
}

/// Where the request came from.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditOrigin)]
pub struct From {
    /// The client's address.
    pub address: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// The request's id.
    pub request: Option<String>,
}
