//! What a job leaves behind: its report, its result, its artefacts and its output.
//!
//! What is small stays in the database. What is larger goes to the object store before the job ends, and belongs to the
//! job from the transaction that ends it on; if that never comes, it is swept away.

use super::settle::{Current, Seen, lock};
use super::{
    output::{self, Place},
    verdict::Next,
};
use crate::{
    app::App,
    blobs::{self, BlobId},
    error::{Answer, Error},
};
use alphagate_contract::{
    id::{JobId, OrgId},
    job::{
        Report,
        dispatch::{Held, Stream},
    },
};
use sqlx::PgConnection;

/// Longest output, result and artefacts of a job that stay in the database, bytes: each stream, and all artefacts together.
pub(super) const INLINE_MAX_BYTES: u64 = 1024 * 1024;

/// What lies in the object store already.
#[derive(Debug, Default)]
pub(super) struct Kept {
    stdout: Option<BlobId>,
    stderr: Option<BlobId>,
    /// In the order of the report's artefacts; none if they are small.
    artefacts: Option<Vec<BlobId>>,
}

/// Brings to the object store what is too large for the database, if the job is going to end by this.
pub(super) async fn ahead(app: &App, org: OrgId, held: Held, report: &Report, seen: &Seen) -> Answer<Kept> {
    let mut kept = Kept::default();
    let mut tx = app.tenants().begin(org).await?;
    let Some(current) = lock(&mut tx, org, held.job).await? else { return Ok(kept) };
    drop(tx);
    let ends = !matches!(current.next(app, seen), Next::Again { .. });
    if !ends || current.attempt_id != Some(held.attempt.uuid()) {
        return Ok(kept);
    }
    kept.stdout = stream(app, org, held, Stream::Stdout, &current).await?;
    kept.stderr = stream(app, org, held, Stream::Stderr, &current).await?;
    let bytes: usize = report.artefacts.iter().map(|file| file.content.0.len()).sum();
    if bytes as u64 > INLINE_MAX_BYTES {
        let mut artefacts = Vec::new();
        for file in &report.artefacts {
            artefacts.push(blobs::put(app, org, &file.content.0).await?);
        }
        kept.artefacts = Some(artefacts);
    }
    Ok(kept)
}

async fn stream(
    app: &App,
    org: OrgId,
    held: Held,
    stream: Stream,
    current: &Current,
) -> Answer<Option<BlobId>> {
    let bytes = match stream {
        Stream::Stdout => current.stdout_bytes,
        Stream::Stderr => current.stderr_bytes,
    };
    let bytes = u64::try_from(bytes).map_err(Error::internal)?;
    if bytes <= INLINE_MAX_BYTES {
        return Ok(None);
    }
    let place = Place { org, job: held.job, attempt: held.attempt.uuid(), stream };
    let chunks = output::chunks(app.clone(), place, 0..bytes);
    blobs::put_stream(app, org, chunks).await.map(Some)
}

/// Writes what the last attempt left, in the transaction that ends the job.
pub(super) async fn keep(
    db: &mut PgConnection,
    org: OrgId,
    job: JobId,
    report: &Report,
    kept: Kept,
) -> Answer<()> {
    let small = Report {
        ending: report.ending.clone(),
        limits_hit: report.limits_hit.clone(),
        used: report.used,
        written: report.written,
        artefacts: Vec::new(),
        result: None,
        isolation: report.isolation.clone(),
    };
    let text = serde_json::to_string(&small).map_err(Error::internal)?;
    sqlx::query(
        "UPDATE jobs SET report = $3::text::json, result = $4, stdout_blob = $5, stderr_blob = $6,
            truncated = truncated OR $7
         WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .bind(text)
    .bind(report.result.as_ref().map(|result| result.0.as_slice()))
    .bind(kept.stdout.map(BlobId::uuid))
    .bind(kept.stderr.map(BlobId::uuid))
    .bind(report.written.truncated)
    .execute(&mut *db)
    .await?;
    for (blob, stream) in [(kept.stdout, "stdout"), (kept.stderr, "stderr")] {
        let Some(blob) = blob else { continue };
        blobs::own(db, org, blob).await?;
        sqlx::query("DELETE FROM job_output WHERE org_id = $1 AND job_id = $2 AND stream = $3")
            .bind(org.uuid())
            .bind(job.uuid())
            .bind(stream)
            .execute(&mut *db)
            .await?;
    }
    artefacts(db, org, job, report, kept.artefacts).await
}

async fn artefacts(
    db: &mut PgConnection,
    org: OrgId,
    job: JobId,
    report: &Report,
    kept: Option<Vec<BlobId>>,
) -> Answer<()> {
    for (number, file) in report.artefacts.iter().enumerate() {
        let blob = kept.as_ref().and_then(|blobs| blobs.get(number)).copied();
        if let Some(blob) = blob {
            blobs::own(db, org, blob).await?;
        }
        sqlx::query(
            "INSERT INTO job_artefacts (org_id, job_id, path, bytes, data, blob_id) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(org.uuid())
        .bind(job.uuid())
        .bind(file.path.as_str())
        .bind(i64::try_from(file.content.0.len()).map_err(Error::internal)?)
        .bind(blob.is_none().then_some(file.content.0.as_slice()))
        .bind(blob.map(BlobId::uuid))
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}
