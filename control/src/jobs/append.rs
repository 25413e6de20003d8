//! Output, appended as it comes: each chunk once, by its number, and no more of it than the job may write.

use crate::{
    app::App,
    error::{Answer, Error},
    events::{self, Notice},
};
use alphagate_contract::{
    id::OrgId,
    job::dispatch::{Chunk, OUTPUT_CHUNKS_MAX, OUTPUT_MAX_BYTES, Output, Stream},
    problem::Code,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// What is shown of a stream without a download, bytes.
const PREVIEW_MAX_BYTES: usize = 1024;

#[derive(Debug, Clone, sqlx::FromRow)]
struct Written {
    state: String,
    attempt_id: Option<Uuid>,
    leased: bool,
    output_max_bytes: i64,
    next_chunk: i64,
    stdout_bytes: i64,
    stderr_bytes: i64,
    truncated: bool,
    stdout_preview: Vec<u8>,
    stderr_preview: Vec<u8>,
}

/// A chunk at its place.
#[derive(Debug, PartialEq)]
struct Placed {
    number: i64,
    stream: Stream,
    starts_at: i64,
    data: Vec<u8>,
}

impl Written {
    fn is_held_by(&self, attempt: Uuid) -> bool {
        let open =
            matches!(self.state.as_str(), "starting" | "running") || (self.state == "queued" && self.leased);
        open && self.attempt_id == Some(attempt)
    }

    /// Takes the chunks that are new; those that came before are left out, and what is too much is cut off.
    fn take(&mut self, first: i64, chunks: Vec<Chunk>) -> Vec<Placed> {
        let known = usize::try_from(self.next_chunk.saturating_sub(first)).unwrap_or(0);
        let placed = chunks.into_iter().skip(known).map(|chunk| self.place(chunk));
        placed.collect::<Vec<_>>().into_iter().filter(|placed| !placed.data.is_empty()).collect()
    }

    fn place(&mut self, chunk: Chunk) -> Placed {
        let number = self.next_chunk;
        self.next_chunk += 1;
        let room = self.output_max_bytes.saturating_sub(self.stdout_bytes).saturating_sub(self.stderr_bytes);
        let mut data = chunk.data.0;
        let room = usize::try_from(room).unwrap_or(0);
        self.truncated |= data.len() > room;
        data.truncate(room);
        let (bytes, preview) = match chunk.stream {
            Stream::Stdout => (&mut self.stdout_bytes, &mut self.stdout_preview),
            Stream::Stderr => (&mut self.stderr_bytes, &mut self.stderr_preview),
        };
        let starts_at = *bytes;
        *bytes += i64::try_from(data.len()).unwrap_or(0);
        let missing = PREVIEW_MAX_BYTES.saturating_sub(preview.len()).min(data.len());
        preview.extend_from_slice(data.get(..missing).unwrap_or_default());
        Placed { number, stream: chunk.stream, starts_at, data }
    }
}

/// Appends output of the current attempt, and notes that user code has started.
pub(crate) async fn append(app: &App, org: OrgId, output: Output) -> Answer<()> {
    check(&output)?;
    let mut tx = app.tenants().begin(org).await?;
    let written: Option<Written> = sqlx::query_as(
        "SELECT state, attempt_id, lease_until IS NOT NULL AS leased, output_max_bytes, next_chunk, stdout_bytes,
            stderr_bytes, truncated, stdout_preview, stderr_preview
         FROM jobs WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE",
    )
    .bind(org.uuid())
    .bind(output.held.job.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let mut written = written
        .filter(|written| written.is_held_by(output.held.attempt.uuid()))
        .ok_or(Code::AttemptSuperseded)?;
    let first = i64::try_from(output.first).unwrap_or(i64::MAX);
    if first > written.next_chunk {
        let message = format!("a chunk is missing: the next one is {}", written.next_chunk);
        return Err(Error::field("first", message));
    }
    let (job, attempt) = (output.held.job, output.held.attempt.uuid());
    let placed = written.take(first, output.chunks);
    insert(&mut tx, org, job.uuid(), attempt, &placed).await?;
    note(&mut tx, org, job.uuid(), attempt, &written).await?;
    events::notify(&mut tx, Notice::Job(job)).await?;
    tx.commit().await?;
    Ok(())
}

fn check(output: &Output) -> Result<(), Error> {
    let bytes: usize = output.chunks.iter().map(|chunk| chunk.data.0.len()).sum();
    if output.chunks.len() > OUTPUT_CHUNKS_MAX || bytes > OUTPUT_MAX_BYTES {
        let message = format!("at most {OUTPUT_CHUNKS_MAX} chunks with {OUTPUT_MAX_BYTES} bytes together");
        return Err(Error::field("chunks", message));
    }
    Ok(())
}

async fn insert(
    db: &mut PgConnection,
    org: OrgId,
    job: Uuid,
    attempt: Uuid,
    placed: &[Placed],
) -> Result<(), sqlx::Error> {
    if placed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO job_output (org_id, job_id, attempt_id, number, stream, starts_at, data)
         SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::text[], $6::bigint[], $7::bytea[])",
    )
    .bind(org.uuid())
    .bind(job)
    .bind(attempt)
    .bind(placed.iter().map(|placed| placed.number).collect::<Vec<_>>())
    .bind(placed.iter().map(|placed| crate::body::word(placed.stream)).collect::<Vec<_>>())
    .bind(placed.iter().map(|placed| placed.starts_at).collect::<Vec<_>>())
    .bind(placed.iter().map(|placed| placed.data.as_slice()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

async fn note(
    db: &mut PgConnection,
    org: OrgId,
    job: Uuid,
    attempt: Uuid,
    written: &Written,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE jobs SET state = CASE state WHEN 'starting' THEN 'running' ELSE state END,
            started_at = coalesce(started_at, now()), acknowledged = true, next_chunk = $3, stdout_bytes = $4,
            stderr_bytes = $5, truncated = $6, stdout_preview = $7, stderr_preview = $8
         WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(job)
    .bind(written.next_chunk)
    .bind(written.stdout_bytes)
    .bind(written.stderr_bytes)
    .bind(written.truncated)
    .bind(&written.stdout_preview)
    .bind(&written.stderr_preview)
    .execute(&mut *db)
    .await?;
    if written.state == "starting" {
        sqlx::query(
            "UPDATE job_attempts SET started_at = coalesce(started_at, now()) WHERE org_id = $1 AND id = $2",
        )
        .bind(org.uuid())
        .bind(attempt)
        .execute(db)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::job::Bytes;
    use proptest::prelude::*;

    fn empty(output_max_bytes: i64) -> Written {
        Written {
            state: "starting".into(),
            attempt_id: None,
            leased: true,
            output_max_bytes,
            next_chunk: 0,
            stdout_bytes: 0,
            stderr_bytes: 0,
            truncated: false,
            stdout_preview: vec![],
            stderr_preview: vec![],
        }
    }

    fn chunk(stderr: bool, data: Vec<u8>) -> Chunk {
        Chunk { stream: if stderr { Stream::Stderr } else { Stream::Stdout }, data: Bytes(data) }
    }

    proptest! {
        #[test]
        fn repeated_and_overlapping_batches_are_the_same_as_each_chunk_once(
            chunks in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..900)), 1..30),
            starts in prop::collection::vec(0..30_usize, 0..20),
            limit in 0..10_000_i64,
        ) {
            let all: Vec<Chunk> = chunks.iter().map(|(stderr, data)| chunk(*stderr, data.clone())).collect();
            let mut once = empty(limit);
            let wanted = once.take(0, all.clone());
            let (mut written, mut placed) = (empty(limit), Vec::new());
            for start in starts.into_iter().chain(0..all.len()) {
                let start = start.min(usize::try_from(written.next_chunk).unwrap()).min(all.len());
                let end = (start + 3).min(all.len());
                placed.extend(written.take(i64::try_from(start).unwrap(), all[start..end].to_vec()));
            }
            prop_assert_eq!(&placed, &wanted);
            prop_assert!(written.stdout_bytes + written.stderr_bytes <= limit);
            prop_assert_eq!(&written.stdout_preview, &once.stdout_preview);
            let total: usize = all.iter().map(|chunk| chunk.data.0.len()).sum();
            prop_assert_eq!(written.truncated, i64::try_from(total).unwrap() > limit);
            prop_assert!(written.stdout_preview.len() <= PREVIEW_MAX_BYTES);
        }
    }
}
