//! The usage event: one served request, written once, in the ledger of the org that called.
//!
//! The event's id is the request's id, so handing it over again changes nothing.

use crate::{
    id::{CredentialId, EndpointId, InstallId, KeyId, OrgId, RequestId},
    quota::Amounts,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most events in one batch from an org's object to control: about 1 MB of JSON.
pub const USAGE_BATCH_MAX: usize = 1_000;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = UsageOutcome))]
pub enum Outcome {
    /// The provider finished; its own figures are used.
    Completed,
    /// The provider stopped early (`response.incomplete`).
    Incomplete,
    /// The provider failed after it had begun.
    Failed,
    /// The client left; settled at the estimate.
    Aborted,
    /// Nobody settled before the reservation ran out (the isolate died); settled at the estimate.
    Orphaned,
}

/// Who pays the provider for calls through an install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Payer {
    /// The publisher's credential is used, under the quota that the publisher sets for installs.
    Publisher,
    /// The installer's own credential is used.
    Installer,
}

/// What is known of a request when it is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Admission {
    /// The request; also the reservation's and the event's id.
    pub id: RequestId,
    /// When it was admitted, Unix milliseconds.
    pub at_ms: u64,
    /// The org that called.
    pub org: OrgId,
    /// The key that called.
    pub key: KeyId,
    /// The endpoint that was called.
    pub endpoint: EndpointId,
    /// The org that published the endpoint.
    pub publisher: OrgId,
    /// The install that the call went through, if the endpoint is another org's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<InstallId>,
    /// Who pays the provider.
    pub payer: Payer,
    /// The version that served it.
    pub version: u32,
    /// Whether the caller asked for a stream.
    pub stream: bool,
}

/// Which target served a request, and why no other did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Served {
    /// The target, by its place in the version.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub target: u8,
    /// Which attempt at a provider this was, counted from 1 through the whole request.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub attempt: u8,
    /// What was tried, or left out, before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// The credential that it was served with, of the org that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
}

impl Default for Served {
    fn default() -> Self {
        Self { target: 0, attempt: 1, passed_over: Vec::new(), credential: None }
    }
}

/// A target that did not serve, and why; its text is `0=status_500`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PassedOver {
    /// The target, by its place in the version.
    pub target: u8,
    /// Why, as one word: `status_500`, `unreachable`, `timeout`, `breaker_open`. Newer edges may know more words.
    pub why: String,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.target, self.why)
    }
}

const fn first() -> u8 {
    1
}

fn is_first(attempt: &u8) -> bool {
    *attempt == 1
}

fn is_zero(target: &u8) -> bool {
    *target == 0
}

/// One served request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UsageEvent {
    /// What was known at admission.
    #[serde(flatten)]
    pub admission: Admission,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used: the provider's figures, or the estimate.
    pub amounts: Amounts,
    /// Whether `amounts` is the estimate.
    pub estimated: bool,
    /// Input tokens that the provider served from its cache (part of the input tokens).
    pub cached_input_tokens: u64,
    /// Output tokens spent on reasoning (part of the output tokens).
    pub reasoning_tokens: u64,
    /// From admission to the provider's first content byte, milliseconds; 0 if there was none.
    pub first_byte_ms: u64,
    /// From admission to settlement, milliseconds.
    pub total_ms: u64,
    /// Names of the quotas with action `flag` that this request went over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flagged: Vec<String>,
    /// What policies did to it: `pii:email` (redacted), `moderation:output:hate` (over its threshold, so that the answer was
    /// not shown). Newer edges may know more words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Which target served it.
    #[serde(flatten)]
    pub served: Served,
}

/// Body of `POST /internal/v1/usage`: at most [`USAGE_BATCH_MAX`] events of one org.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UsageBatch {
    /// The org whose ledger they come from.
    pub org: OrgId,
    /// The events, oldest first.
    pub events: Vec<UsageEvent>,
}
