//! What evals ask of other features: keys of runs, and publications.
//!
//! STUBS until those are merged: replace each body by the call that it names.

use crate::{app::App, error::Error};
use alphagate_contract::id::{OrgId, PublicationId, RunId};
use sqlx::PgConnection;

/// `keys::open_run_key(app, db, org, run, only)`.
pub(super) async fn open_run_key(
    _: &App,
    _: &mut PgConnection,
    _: OrgId,
    _: RunId,
    _: Vec<String>,
) -> Result<(), Error> {
    Ok(())
}

/// `keys::close_run_key(app, db, org, run)`.
pub(super) async fn close_run_key(_: &App, _: &mut PgConnection, _: OrgId, _: RunId) -> Result<(), Error> {
    Ok(())
}

/// `publications::run_ended(app, db, org, publication)`.
pub(super) async fn publication_run_ended(
    _: &App,
    _: &mut PgConnection,
    _: OrgId,
    _: PublicationId,
) -> Result<(), Error> {
    Ok(())
}
