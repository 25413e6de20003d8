//! What jobs and the gate call. To be filled.

use crate::{app::App, error::Error, jobs};
use alphagate_contract::id::{EvalId, OrgId, PublicationId, RunId};
use serde_json::Value;
use sqlx::PgConnection;

/// A run that is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewRun {
    /// The eval that is executed.
    pub(crate) eval: EvalId,
    /// For people.
    pub(crate) name: String,
    /// OpenAI's `data_source`, without `model`.
    pub(crate) data_source: Value,
    /// `name@version` or `name` of the endpoint under test.
    pub(crate) model: String,
    /// What it is to decide.
    pub(crate) publication: Option<PublicationId>,
}

/// Begins a run of an eval, in the caller's tenant transaction. What is wrong with it is told as a field of the request.
pub(crate) async fn start_run(
    _app: &App,
    _db: &mut PgConnection,
    _org: OrgId,
    _new: NewRun,
) -> Result<RunId, Error> {
    Err(Error::internal("runs cannot be started yet"))
}

/// Ends a run that has not ended: what it has counted stays, its jobs are stopped soon after the transaction commits.
///
/// It locks the run. A run's end locks run, then publication: who holds the publication's lock calls this before taking it.
pub(crate) async fn cancel_run(
    _app: &App,
    _db: &mut PgConnection,
    _org: OrgId,
    _run: RunId,
) -> Result<(), Error> {
    Ok(())
}

/// Takes what a job of an output item came to, in the transaction that ends the job. Late and repeated ends change nothing.
pub(crate) async fn job_ended(
    _app: &App,
    _db: &mut PgConnection,
    _org: OrgId,
    _ended: &jobs::Ended,
) -> Result<(), Error> {
    Ok(())
}
