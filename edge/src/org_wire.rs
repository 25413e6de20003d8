//! What the Worker and an org's object say to each other.

use alphagate_contract::{
    id::{EndpointId, InstallId, OrgId, RequestId},
    quota::{
        Amounts, Quota, Subject,
        book::{Caller, Refused, Room},
        lease::Wanted,
    },
    record::{Record, RecordKey},
    usage::{Admission, Outcome, Served},
};
use serde::{Deserialize, Serialize};

/// Reserve for one request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reserve {
    /// The org whose object is asked.
    pub org: OrgId,
    /// The reservation's id, chosen by the Worker, so that it can be cancelled even if the answer is lost.
    pub id: RequestId,
    /// Records that the Worker used, with their revisions.
    pub seen: Vec<(RecordKey, u64)>,
    /// Whose request it is.
    pub caller: Caller,
    /// Whether this org's own quotas are asked. On the publisher's side of an install that the installer pays,
    /// only the records are.
    pub metered: bool,
    /// What to reserve.
    pub estimate: Amounts,
    /// The usage event's beginning; set in the org that called, whose ledger gets the event.
    pub admission: Option<Admission>,
    /// After how long it counts as an orphan, milliseconds.
    pub ttl_ms: u64,
    /// The lease that is asked for besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<AskLease>,
}

/// Grant a lease, if the request that asks is admitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskLease {
    /// The lease's id, chosen by the Worker, so that it can be cancelled even if the answer is lost.
    pub id: RequestId,
    /// How much.
    pub wanted: Wanted,
}

impl Reserve {
    /// Whether this org pays for a call of another org.
    #[must_use]
    pub const fn pays_for_install(&self) -> bool {
        self.metered && self.caller.key.is_none()
    }

    /// Whether one of the quotas limits each install of the endpoint.
    #[must_use]
    pub fn is_limited(&self, quotas: &[Quota]) -> bool {
        let limit = Subject::EachInstall { endpoint: self.caller.endpoint };
        quotas.iter().any(|quota| quota.subject == limit)
    }
}

/// Answer to [`Reserve`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reserved {
    /// Counted, until it is settled or cancelled.
    Admitted {
        /// Labels of the quotas with action `flag` that it went over.
        flagged: Vec<String>,
        /// The tightest quota on requests.
        requests: Option<Room>,
        /// The tightest quota on tokens.
        tokens: Option<Room>,
        /// What the lease that was asked for has room for, if it was granted; the quotas above are as before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<Amounts>,
    },
    /// The Worker used old records; these are newer. Nothing was counted.
    Outdated {
        /// The newest revision of each record that was out of date.
        records: Vec<Record>,
    },
    /// A quota refused it.
    Refused(Refused),
    /// The org is suspended.
    Suspended,
    /// The object does not know the org and could not learn of it.
    Unknown,
    /// The id was used before, or cancelled.
    Spent,
}

/// Replace a reservation by what was used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settle {
    /// The reservation.
    pub id: RequestId,
    /// How the request ended.
    pub outcome: Outcome,
    /// What was used; none: the estimate.
    pub used: Option<Amounts>,
    /// Input tokens from the provider's cache.
    pub cached_input_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// From admission to the provider's first content byte, milliseconds.
    pub first_byte_ms: u64,
    /// Which target served it.
    #[serde(default)]
    pub served: Served,
    /// What policies did to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// A request that was admitted under a lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Given {
    /// The lease.
    pub lease: RequestId,
    /// The usage event's beginning.
    pub admission: Admission,
    /// What it took of the lease.
    pub estimate: Amounts,
}

/// A request of a version whose quotas are leased that has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub settle: Settle,
    /// From admission to its end, milliseconds: the object hears of it later.
    pub total_ms: u64,
    /// The lease that it was admitted under; none: it was reserved by itself.
    pub given: Option<Given>,
}

/// Settle what has ended, reserve by itself what still runs under a lease, and give back what is left of it.
/// The same again changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Return {
    /// The lease that is over; none: only `ended` is told.
    pub closes: Option<RequestId>,
    /// What was admitted under it and has not ended.
    pub running: Vec<Given>,
    /// What has ended, under this lease or otherwise.
    pub ended: Vec<Ended>,
    /// After how long what still runs counts as an orphan, milliseconds.
    pub ttl_ms: u64,
}

/// Give a reservation back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cancel {
    /// The reservation, whether it has arrived or not.
    pub id: RequestId,
}

/// Ask which records are newer than the Worker has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskNewer {
    /// The records that the Worker has, with their revisions; 0 for one that it has not.
    pub seen: Vec<(RecordKey, u64)>,
}

/// Ask for the names of an org's endpoints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListNames {
    /// The org.
    pub org: OrgId,
    /// The key that asks, with its revision.
    pub seen: Vec<(RecordKey, u64)>,
    /// The only texts that the key may put into `model`; none: every name.
    #[serde(default)]
    pub only: Option<Vec<String>>,
}

/// Answer to [`ListNames`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Names {
    /// Newer records than the Worker used; if there are any, `names` is empty.
    pub outdated: Vec<Record>,
    /// The names.
    pub names: Vec<Named>,
}

/// One name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
    /// When it was made, Unix seconds.
    pub created_s: u64,
    /// The org that published the endpoint.
    pub publisher: OrgId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The install, if it is another org's.
    pub install: Option<InstallId>,
}
