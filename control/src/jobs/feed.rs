//! What happens to a job, as it happens: queued, started, output, finished; read from the tables, woken by notices.
//!
//! Every message carries the place after it, `<attempt>-<stdout bytes>-<stderr bytes>`, from which a client may go on.
//! When a new attempt begins, the output of the old one is gone: `started` comes again, and output begins anew.

use super::output;
use crate::{
    app::App,
    body::from_word,
    error::{Answer, Error},
    events::Watch,
};
use alphagate_contract::{
    id::{JobId, OrgId},
    job::{Bytes, Outcome, dispatch::Stream},
};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use serde::Serialize;
use sqlx::PgConnection;
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Most chunks that are read at once.
const CHUNKS_AT_ONCE: i64 = 16;
/// From then on no further chunk is read before the client has taken these, bytes.
const PAGE_MAX_BYTES: i64 = 1024 * 1024;
/// How much of an output in the object store is one message, bytes.
const PIECE_MAX_BYTES: u64 = 256 * 1024;

/// A place in a job's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before the first.
    #[default]
    Start,
    /// After so many bytes of this attempt; 0 is before any attempt.
    At { attempt: u32, stdout: u64, stderr: u64 },
    /// After the last.
    End,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::At { attempt, stdout, stderr } => write!(f, "{attempt}-{stdout}-{stderr}"),
            Self::End => f.write_str("end"),
        }
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "" | "start" => return Ok(Self::Start),
            "end" => return Ok(Self::End),
            _ => {}
        }
        let mut parts = text.split('-');
        let (Some(attempt), Some(stdout), Some(stderr), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| ());
        let attempt = attempt.parse().map_err(|_| ())?;
        Ok(Self::At { attempt, stdout: number(stdout)?, stderr: number(stderr)? })
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schema(as = JobEventOf)]
pub(crate) enum What {
    /// It is in the queue.
    Queued { at: DateTime<Utc> },
    /// User code of an attempt runs.
    Started { attempt: u32, at: Option<DateTime<Utc>> },
    /// It wrote something.
    Output { attempt: u32, stream: Stream, offset: u64, data: Bytes },
    /// It has ended.
    Finished { state: String, outcome: Option<Outcome>, attempts: u32, at: Option<DateTime<Utc>> },
}

/// A message, the same on every transport.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = JobEvent)]
pub(crate) struct Message {
    /// Where to go on after it.
    pub(crate) id: String,
    pub(crate) job: JobId,
    #[serde(flatten)]
    pub(crate) what: What,
}

impl Message {
    /// What kind of message it is.
    pub(crate) const fn name(&self) -> &'static str {
        match self.what {
            What::Queued { .. } => "queued",
            What::Started { .. } => "started",
            What::Output { .. } => "output",
            What::Finished { .. } => "finished",
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    state: String,
    created_at: DateTime<Utc>,
    attempts: i32,
    attempt_id: Option<Uuid>,
    started_at: Option<DateTime<Utc>>,
    stdout_bytes: i64,
    stderr_bytes: i64,
    stdout_blob: Option<Uuid>,
    stderr_blob: Option<Uuid>,
    outcome: Option<String>,
    ended_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Chunk {
    number: i64,
    stream: String,
    starts_at: i64,
    data: Vec<u8>,
}

/// The messages of one job for one client: nothing is read before the client has taken what was read.
pub(crate) struct Feed {
    app: App,
    org: OrgId,
    job: JobId,
    place: Place,
    next_chunk: i64,
    watch: Watch,
}

impl Feed {
    /// The messages after `place`.
    pub(crate) fn new(app: App, org: OrgId, job: JobId, place: Place) -> Self {
        let watch = app.hub().watch(job.uuid());
        Self { app, org, job, place, next_chunk: 0, watch }
    }

    /// Whether there is such a job.
    pub(crate) async fn exists(&self) -> Answer<bool> {
        let mut tx = self.app.tenants().begin(self.org).await?;
        Ok(self.row(&mut tx).await?.is_some())
    }

    /// The next messages, when there are some; none after the last, and when the program stops.
    pub(crate) async fn next(&mut self) -> Answer<Option<Vec<Message>>> {
        while !self.is_over() {
            let messages = self.look().await?;
            if !messages.is_empty() {
                return Ok(Some(messages));
            }
            if !self.is_over() {
                self.changed().await;
            }
        }
        Ok(None)
    }

    /// Whether there will be no more messages.
    pub(crate) fn is_over(&self) -> bool {
        self.place == Place::End || self.watch.is_stopping()
    }

    /// Returns when it is time to look; may be dropped meanwhile, which looking may not.
    pub(crate) async fn changed(&mut self) {
        self.watch.changed().await;
    }

    async fn row(&self, db: &mut PgConnection) -> Result<Option<Row>, sqlx::Error> {
        sqlx::query_as(
            "SELECT state, created_at, attempts, attempt_id, started_at, stdout_bytes, stderr_bytes, stdout_blob,
                stderr_blob, outcome, ended_at
             FROM jobs WHERE org_id = $1 AND id = $2",
        )
        .bind(self.org.uuid())
        .bind(self.job.uuid())
        .fetch_optional(db)
        .await
    }

    /// The messages that there are now; none if there is nothing new.
    pub(crate) async fn look(&mut self) -> Answer<Vec<Message>> {
        let mut tx = self.app.tenants().begin(self.org).await?;
        let Some(row) = self.row(&mut tx).await? else {
            // It was deleted: there is nothing more to say.
            self.place = Place::End;
            return Ok(Vec::new());
        };
        let mut messages = Vec::new();
        if self.place == Place::Start {
            let place = Place::At { attempt: 0, stdout: 0, stderr: 0 };
            messages.push(self.message(place, What::Queued { at: row.created_at }));
        }
        let attempt = u32::try_from(row.attempts).map_err(Error::internal)?;
        if let Place::At { attempt: seen, .. } = self.place
            && seen != attempt
            && row.started_at.is_some()
        {
            let place = Place::At { attempt, stdout: 0, stderr: 0 };
            self.next_chunk = 0;
            messages.push(self.message(place, What::Started { attempt, at: row.started_at }));
        }
        if let (Place::At { attempt: seen, .. }, Some(id)) = (self.place, row.attempt_id)
            && seen == attempt
        {
            let chunks = self.chunks(&mut tx, id).await?;
            drop(tx);
            self.take(attempt, chunks, &mut messages)?;
            self.take_blobs(attempt, &row, &mut messages).await?;
        }
        if messages.is_empty() && row.ended_at.is_some() {
            let outcome = row.outcome.as_deref().map(from_word).transpose()?;
            let what = What::Finished { state: row.state, outcome, attempts: attempt, at: row.ended_at };
            messages.push(self.message(Place::End, what));
        }
        Ok(messages)
    }

    fn message(&mut self, place: Place, what: What) -> Message {
        self.place = place;
        Message { id: place.to_string(), job: self.job, what }
    }

    /// How much of a stream the client has.
    const fn has(&self, stream: Stream) -> u64 {
        match (self.place, stream) {
            (Place::At { stdout, .. }, Stream::Stdout) => stdout,
            (Place::At { stderr, .. }, Stream::Stderr) => stderr,
            _ => 0,
        }
    }

    fn output(&mut self, attempt: u32, stream: Stream, offset: u64, data: Vec<u8>) -> Message {
        let end = offset.saturating_add(data.len() as u64);
        let place = match stream {
            Stream::Stdout => Place::At { attempt, stdout: end, stderr: self.has(Stream::Stderr) },
            Stream::Stderr => Place::At { attempt, stdout: self.has(Stream::Stdout), stderr: end },
        };
        self.message(place, What::Output { attempt, stream, offset, data: Bytes(data) })
    }

    /// The next chunks that the client may not have.
    async fn chunks(&self, db: &mut PgConnection, attempt: Uuid) -> Result<Vec<Chunk>, sqlx::Error> {
        sqlx::query_as(
            "SELECT number, stream, starts_at, data FROM (
                SELECT *, sum(length(data)) OVER (ORDER BY number) - length(data) AS before FROM (
                    SELECT number, stream, starts_at, data FROM job_output
                    WHERE org_id = $1 AND job_id = $2 AND attempt_id = $3 AND number >= $4
                        AND starts_at + length(data) > CASE stream WHEN 'stdout' THEN $5 ELSE $6 END
                    ORDER BY number LIMIT $7
                ) AS next
             ) AS measured
             WHERE before < $8 ORDER BY number",
        )
        .bind(self.org.uuid())
        .bind(self.job.uuid())
        .bind(attempt)
        .bind(self.next_chunk)
        .bind(i64::try_from(self.has(Stream::Stdout)).unwrap_or(i64::MAX))
        .bind(i64::try_from(self.has(Stream::Stderr)).unwrap_or(i64::MAX))
        .bind(CHUNKS_AT_ONCE)
        .bind(PAGE_MAX_BYTES)
        .fetch_all(db)
        .await
    }

    fn take(&mut self, attempt: u32, chunks: Vec<Chunk>, messages: &mut Vec<Message>) -> Answer<()> {
        for chunk in chunks {
            self.next_chunk = chunk.number + 1;
            let stream: Stream = from_word(&chunk.stream)?;
            let starts_at = u64::try_from(chunk.starts_at).map_err(Error::internal)?;
            let known = usize::try_from(self.has(stream).saturating_sub(starts_at)).unwrap_or(usize::MAX);
            let offset = starts_at + known as u64;
            let Some(data) = chunk.data.get(known..).filter(|data| !data.is_empty()) else { continue };
            messages.push(self.output(attempt, stream, offset, data.to_vec()));
        }
        Ok(())
    }

    /// The next piece of each stream that lies in the object store.
    async fn take_blobs(&mut self, attempt: u32, row: &Row, messages: &mut Vec<Message>) -> Answer<()> {
        let streams = [
            (Stream::Stdout, row.stdout_blob, row.stdout_bytes),
            (Stream::Stderr, row.stderr_blob, row.stderr_bytes),
        ];
        for (stream, blob, bytes) in streams {
            let (offset, bytes) = (self.has(stream), u64::try_from(bytes).map_err(Error::internal)?);
            if blob.is_none() || offset >= bytes {
                continue;
            }
            let place = output::Place { org: self.org, job: self.job, attempt: Uuid::nil(), stream };
            let end = bytes.min(offset.saturating_add(PIECE_MAX_BYTES));
            let data = output::read(&self.app, place, blob, offset..end).await?.try_concat().await?;
            messages.push(self.output(attempt, stream, offset, data));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_said_and_other_words_are_not() {
        let at = Place::At { attempt: 3, stdout: 1_000, stderr: 0 };
        for place in [Place::Start, Place::End, at] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for bad in ["x", "1-2", "1-2-3-4", "-1-0-0", "1-2-x", "99999999999999999999-0-0"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
