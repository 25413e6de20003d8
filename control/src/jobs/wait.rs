//! Waits for a job's end, woken by its notices.

use super::{Ended, Owner, owner::OwnerColumns};
use crate::{app::App, body::from_word, error::Error};
use alphagate_contract::{
    id::{JobId, OrgId},
    job::{Bytes, Report},
    problem::Code,
};
use std::time::Duration;

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    owner: OwnerColumns,
    ended: bool,
    outcome: Option<String>,
    report: Option<String>,
    result: Option<Vec<u8>>,
    attempts: i32,
}

/// The job when it has ended; none if that takes longer than `longest`.
pub(crate) async fn wait(
    app: &App,
    org: OrgId,
    job: JobId,
    longest: Duration,
) -> Result<Option<Ended>, Error> {
    let mut watch = app.hub().watch(job.uuid());
    let ended = async {
        loop {
            if let Some(ended) = read(app, org, job).await? {
                return Ok(ended);
            }
            watch.changed().await;
        }
    };
    tokio::time::timeout(longest, ended).await.ok().transpose()
}

async fn read(app: &App, org: OrgId, job: JobId) -> Result<Option<Ended>, Error> {
    let mut tx = app.tenants().begin(org).await?;
    let row: Option<Row> = sqlx::query_as(
        "SELECT owner, owner_run, owner_item, owner_grader, ended_at IS NOT NULL AS ended, outcome,
            report::text AS report, result, attempts
         FROM jobs WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let row = row.ok_or(Code::NotFound)?;
    if !row.ended {
        return Ok(None);
    }
    let report: Option<Report> =
        row.report.map(|text| serde_json::from_str(&text)).transpose().map_err(Error::internal)?;
    let report = report.map(|report| Report { result: row.result.map(Bytes), ..report });
    Ok(Some(Ended {
        job,
        owner: Owner::try_from(row.owner)?,
        outcome: row.outcome.as_deref().map(from_word).transpose()?,
        report,
        attempts: u32::try_from(row.attempts).map_err(Error::internal)?,
    }))
}
