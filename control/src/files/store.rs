//! Files in the database: a row for each, and its pieces.
//!
//! A file without a digest is not whole: nothing but its own upload sees it, and housekeeping takes it away a day later.

use super::cutter::{BadLine, Cutter, Piece, lines_of};
use crate::{app::App, error::Error};
use alphagate_contract::id::{FileId, OrgId, RunId};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// What a file is used for; the only purpose that there is.
pub(super) const PURPOSE: &str = "evals";
/// Most files of one round of housekeeping; the next round goes on.
const ROUND_MAX: i64 = 500;

/// A file that is to be.
#[derive(Debug, Clone)]
pub(super) struct NewFile<'a> {
    pub(super) filename: &'a str,
    pub(super) run: Option<RunId>,
}

/// What a run needs to know of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// How many data it has.
    pub(crate) lines: i64,
    /// SHA-256 of it.
    pub(crate) digest: [u8; 32],
}

/// Begins a file.
pub(super) async fn begin(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    new: NewFile<'_>,
) -> Result<FileId, Error> {
    let id = app.new_id(FileId::new);
    sqlx::query("INSERT INTO files (org_id, id, filename, purpose, run_id) VALUES ($1, $2, $3, $4, $5)")
        .bind(org.uuid())
        .bind(id.uuid())
        .bind(new.filename)
        .bind(PURPOSE)
        .bind(new.run.map(RunId::uuid))
        .execute(db)
        .await?;
    Ok(id)
}

/// Writes a piece of it.
pub(super) async fn write(
    db: &mut PgConnection,
    org: OrgId,
    file: FileId,
    piece: &Piece,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO file_chunks (org_id, file_id, first_line, data) VALUES ($1, $2, $3, $4)")
        .bind(org.uuid())
        .bind(file.uuid())
        .bind(piece.first_line)
        .bind(&piece.data)
        .execute(db)
        .await?;
    Ok(())
}

/// Writes the last piece, and shows the file to everybody.
pub(super) async fn finish(
    db: &mut PgConnection,
    org: OrgId,
    file: FileId,
    cutter: Cutter,
) -> Result<Known, Ended> {
    let (last, totals) = cutter.finish()?;
    if let Some(piece) = last {
        write(db, org, file, &piece).await?;
    }
    sqlx::query("UPDATE files SET bytes = $3, lines = $4, digest = $5 WHERE org_id = $1 AND id = $2")
        .bind(org.uuid())
        .bind(file.uuid())
        .bind(totals.bytes)
        .bind(totals.lines)
        .bind(totals.digest)
        .execute(db)
        .await
        .map_err(Error::from)?;
    Ok(Known { lines: totals.lines, digest: totals.digest })
}

/// Why a file could not be written.
#[derive(Debug)]
pub(crate) enum Ended {
    /// A line of it.
    Line(BadLine),
    /// Something else.
    Error(Error),
}

impl From<BadLine> for Ended {
    fn from(bad: BadLine) -> Self {
        Self::Line(bad)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Keeps the lines that a run brought along, in the caller's transaction.
pub(crate) async fn keep(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    lines: impl Iterator<Item = Vec<u8>> + Send,
) -> Result<(FileId, Known), Ended> {
    let filename = format!("{run}.jsonl");
    let id = begin(app, db, org, NewFile { filename: &filename, run: Some(run) }).await?;
    let mut cutter = Cutter::default();
    for line in lines {
        if let Some(piece) = cutter.push(&line)? {
            write(db, org, id, &piece).await?;
        }
    }
    let known = finish(db, org, id, cutter).await?;
    Ok((id, known))
}

/// The lines of some data as they would be kept, and their digest.
pub(crate) fn digest(lines: impl Iterator<Item = Vec<u8>>) -> Result<Known, BadLine> {
    let mut cutter = Cutter::default();
    for line in lines {
        cutter.push(&line)?;
    }
    let (_, totals) = cutter.finish()?;
    Ok(Known { lines: totals.lines, digest: totals.digest })
}

/// A whole file, held so that it is not deleted before the transaction ends.
pub(crate) async fn find(db: &mut PgConnection, org: OrgId, file: FileId) -> Result<Option<Known>, Error> {
    let found: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT lines, digest FROM files
         WHERE org_id = $1 AND id = $2 AND digest IS NOT NULL AND coalesce(expires_at > now(), true)
         FOR KEY SHARE",
    )
    .bind(org.uuid())
    .bind(file.uuid())
    .fetch_optional(db)
    .await?;
    let known = |(lines, digest): (i64, Vec<u8>)| {
        let digest = digest.try_into().map_err(|_| Error::internal("a digest has 32 bytes"))?;
        Ok(Known { lines, digest })
    };
    found.map(known).transpose()
}

/// The lines from a number on, as many as lie in one piece and no more than `most`; none at the end.
pub(crate) async fn lines(
    db: &mut PgConnection,
    org: OrgId,
    file: FileId,
    from: i64,
    most: usize,
) -> Result<Vec<Vec<u8>>, Error> {
    let piece = piece(db, org, file, from).await?;
    Ok(piece.map(|piece| lines_of(&piece, from).take(most).map(<[u8]>::to_vec).collect()).unwrap_or_default())
}

/// The piece with this line in it.
pub(super) async fn piece(
    db: &mut PgConnection,
    org: OrgId,
    file: FileId,
    line: i64,
) -> Result<Option<Piece>, Error> {
    let found: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT first_line, data FROM file_chunks
         WHERE org_id = $1 AND file_id = $2 AND first_line <= $3 ORDER BY first_line DESC LIMIT 1",
    )
    .bind(org.uuid())
    .bind(file.uuid())
    .bind(line)
    .fetch_optional(db)
    .await?;
    Ok(found.map(|(first_line, data)| Piece { first_line, data }))
}

/// The first piece that starts at this line or later.
pub(super) async fn piece_from(
    db: &mut PgConnection,
    org: OrgId,
    file: FileId,
    line: i64,
) -> Result<Option<Piece>, sqlx::Error> {
    let found: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT first_line, data FROM file_chunks
         WHERE org_id = $1 AND file_id = $2 AND first_line >= $3 ORDER BY first_line LIMIT 1",
    )
    .bind(org.uuid())
    .bind(file.uuid())
    .bind(line)
    .fetch_optional(db)
    .await?;
    Ok(found.map(|(first_line, data)| Piece { first_line, data }))
}

/// Deletes what a run brought along.
pub(crate) async fn forget_run(db: &mut PgConnection, org: OrgId, run: RunId) -> Result<(), Error> {
    sqlx::query("DELETE FROM files WHERE org_id = $1 AND run_id = $2")
        .bind(org.uuid())
        .bind(run.uuid())
        .execute(db)
        .await?;
    Ok(())
}

/// Deletes files that have expired or were never finished; those that a run still reads stay until it has.
pub(crate) async fn forget_expired(app: &App) -> Result<u64, Error> {
    let expired: Vec<(Uuid, Uuid, Option<DateTime<Utc>>)> = sqlx::query_as(
        "SELECT org_id, id, expires_at FROM files
         WHERE expires_at < now() OR (digest IS NULL AND created_at < now() - interval '1 day') LIMIT $1",
    )
    .bind(ROUND_MAX)
    .fetch_all(app.system())
    .await?;
    let mut gone = 0;
    for (org, id, _) in expired {
        let deleted = sqlx::query("DELETE FROM files WHERE org_id = $1 AND id = $2")
            .bind(org)
            .bind(id)
            .execute(app.system())
            .await;
        match deleted {
            Ok(done) => gone += done.rows_affected(),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(gone)
}
