//! Publications: attempts to make a version live, forward or back.
//!
//! The caller says which version it believes to be live; of any number of publications at once, exactly one wins. Where
//! the endpoint has a gate, the publication waits for its verdicts, and ends in exactly one of five ways. What decides
//! is in rows: [`decide`] reads them under the endpoint's lock, whenever a run ends, the gate changes or the deadline
//! passes, in whatever process. No other code moves a live pointer, and the database refuses any that would. A publication
//! to a share of the keys is a canary's: the same in everything, but that it moves the canary's pointer.

mod canary;
mod cancel;
mod create;
mod decide;
mod end;
mod moves;
mod progress;
mod read;
mod runs;
mod sweep;
mod verdicts;

pub(crate) use canary::{start as start_canary, stop as stop_canary};
pub(crate) use cancel::cancel;
pub(crate) use create::create;
pub(crate) use end::end_running;
pub(crate) use moves::{promote, rollback};
pub(crate) use read::{get, list};
pub(crate) use runs::run_ended;
pub(crate) use sweep::run;

use crate::{body::from_word, error::Error};
use alphagate_contract::{
    id::{EndpointId, KeyId, OrgId, PublicationId, UserId},
    record::Canary,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    create::create,
    read::list,
    read::get,
    cancel::cancel,
    canary::start,
    canary::stop,
    moves::promote,
    moves::rollback
))]
pub(crate) struct Docs;

/// Names the columns of [`Row`].
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, endpoint_id, version, replaced, state, reason, message, forced_by, forced_by_user, gate_revision, ",
            "canary_percent, created_at, deadline_at, ended_at, coalesce(deadline_at <= now(), false) AS overdue FROM publications ",
            $rest
        )
    };
}
use select;

/// Where a publication stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PublicationState)]
pub(crate) enum State {
    /// It waits for its verdicts.
    Running,
    /// The version went live.
    Live,
    /// The version missed a threshold.
    Failed,
    /// Something else became of the endpoint meanwhile.
    Superseded,
    /// There is no verdict, and that is not the version's fault.
    Inconclusive,
    /// Somebody canceled it.
    Canceled,
}

/// Why a publication ended without going live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PublicationReason)]
pub(crate) enum Why {
    /// Failed: see the verdicts.
    ThresholdsMissed,
    /// Inconclusive: a run could not say; see the verdicts.
    NoVerdict,
    /// Inconclusive: the deadline passed first.
    Deadline,
    /// Inconclusive: a run could not be started; the message says why.
    NotMeasurable,
    /// Superseded: another version is live than the one that was expected.
    LiveMoved,
    /// Superseded: a forced publication went past it.
    Forced,
    /// Superseded: the endpoint was withdrawn.
    Withdrawn,
    /// Canceled, by a call.
    Canceled,
}

/// A publication as its publisher reads it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Publication {
    pub(crate) id: PublicationId,
    endpoint: EndpointId,
    version: u32,
    /// The share of keys that it was published to; none: it is to go live.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary_percent: Option<u8>,
    /// What the caller believed to be live.
    expected_live: Option<u32>,
    /// The version that was live before; none unless this one went live.
    replaced: Option<u32>,
    state: State,
    reason: Option<Why>,
    message: Option<String>,
    /// The key that moved the pointer past the gate.
    forced_by: Option<KeyId>,
    /// The user who did.
    forced_by_user: Option<UserId>,
    /// The gate's revision that was looked at last; 0: there was none.
    gate_revision: i64,
    created_at: DateTime<Utc>,
    /// After it nothing goes live; none of publications from before there were gates.
    deadline_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    /// What became of each eval of the gate. Not in lists: it may be long.
    #[serde(skip_serializing_if = "Option::is_none")]
    evals: Option<Vec<progress::Progress>>,
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    endpoint_id: Uuid,
    version: i32,
    replaced: Option<i32>,
    state: String,
    reason: Option<String>,
    message: Option<String>,
    forced_by: Option<Uuid>,
    forced_by_user: Option<Uuid>,
    gate_revision: i64,
    canary_percent: Option<i16>,
    created_at: DateTime<Utc>,
    deadline_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    overdue: bool,
}

impl Row {
    const fn id(&self) -> PublicationId {
        PublicationId::from_uuid(self.id)
    }

    const fn endpoint(&self) -> EndpointId {
        EndpointId::from_uuid(self.endpoint_id)
    }

    fn version(&self) -> Result<u32, Error> {
        u32::try_from(self.version).map_err(Error::internal)
    }

    /// What the caller believed to be live.
    fn expected(&self) -> Result<Option<u32>, Error> {
        self.replaced.map(u32::try_from).transpose().map_err(Error::internal)
    }

    /// The canary that it asks for; none: it is to go live.
    fn canary(&self) -> Result<Option<Canary>, Error> {
        let Some(percent) = self.canary_percent else { return Ok(None) };
        let percent = u8::try_from(percent).map_err(Error::internal)?;
        Ok(Some(Canary { version: self.version()?, percent }))
    }

    fn state(&self) -> Result<State, Error> {
        from_word(&self.state)
    }
}

impl TryFrom<Row> for Publication {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let (state, expected_live) = (row.state()?, row.expected()?);
        let canary_percent = row.canary()?.map(|canary| canary.percent);
        Ok(Self {
            id: row.id(),
            endpoint: row.endpoint(),
            version: row.version()?,
            expected_live,
            canary_percent,
            replaced: expected_live.filter(|_| state == State::Live && canary_percent.is_none()),
            state,
            reason: row.reason.as_deref().map(from_word).transpose()?,
            message: row.message,
            forced_by: row.forced_by.map(KeyId::from_uuid),
            forced_by_user: row.forced_by_user.map(UserId::from_uuid),
            gate_revision: row.gate_revision,
            created_at: row.created_at,
            deadline_at: row.deadline_at,
            ended_at: row.ended_at,
            evals: None,
        })
    }
}

/// A publication of an endpoint; its row changes under the endpoint's lock only.
async fn find(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    id: PublicationId,
) -> Result<Option<Row>, Error> {
    let row = sqlx::query_as(select!("WHERE org_id = $1 AND endpoint_id = $2 AND id = $3"))
        .bind(org.uuid())
        .bind(endpoint.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await?;
    Ok(row)
}

/// The one publication of an endpoint that is running.
async fn running(db: &mut PgConnection, org: OrgId, endpoint: EndpointId) -> Result<Option<Row>, Error> {
    let row = sqlx::query_as(select!("WHERE org_id = $1 AND endpoint_id = $2 AND state = 'running'"))
        .bind(org.uuid())
        .bind(endpoint.uuid())
        .fetch_optional(db)
        .await?;
    Ok(row)
}

/// The gate of a locked endpoint has changed: what is running is measured by the new one.
pub(crate) async fn reconsider(db: &mut PgConnection, org: OrgId, endpoint: EndpointId) -> Result<(), Error> {
    let due = sqlx::query(
        "UPDATE publications SET due = true WHERE org_id = $1 AND endpoint_id = $2 AND state = 'running'",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .execute(&mut *db)
    .await?;
    if due.rows_affected() > 0 {
        crate::events::notify(db, crate::events::Notice::Sweep).await?;
    }
    Ok(())
}
