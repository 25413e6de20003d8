//! How the credentials of all orgs stand, and the last release's copies of them: for the operator.

use super::renew::outdated;
use crate::{app::App, error::Error, vault::Under};
use serde::Serialize;
use sqlx::PgConnection;

/// How many credentials there are, and how they stand.
#[derive(Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = CredentialsStanding)]
pub(crate) struct Standing {
    /// All.
    total: i64,
    /// Under an older key of the edge or of the ring, or not encrypted with a data key yet.
    pub(crate) outdated: i64,
    /// With a copy in the form of the last release.
    copies: i64,
    /// Whether such copies are kept: until `end-move` says that no program of the last release runs any more.
    copies_kept: bool,
}

/// How the credentials of all orgs stand.
pub(crate) async fn standing(app: &App, system: &mut PgConnection) -> Result<Standing, Error> {
    Ok(sqlx::query_as(concat!(
        "SELECT count(org_id) AS total, count(org_id) FILTER (WHERE ",
        outdated!(),
        ") AS outdated, count(vault_kid) AS copies, copies AS copies_kept
         FROM vault_move LEFT JOIN credentials ON true GROUP BY copies"
    ))
    .bind(&app.settings().seal_public_keys.kid)
    .bind(app.vault().texts().kid())
    .fetch_one(system)
    .await?)
}

/// Credentials by the edge's key that they are sealed to.
pub(crate) async fn sealed_to(system: &mut PgConnection) -> Result<Vec<Under>, Error> {
    Ok(sqlx::query_as(
        "SELECT seal_kid AS key, count(*) AS count FROM credentials GROUP BY seal_kid ORDER BY seal_kid",
    )
    .fetch_all(system)
    .await?)
}

/// From now on no copies in the form of the last release are kept.
pub(crate) async fn keep_no_copies(system: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("UPDATE vault_move SET copies = false").execute(system).await?;
    Ok(())
}
