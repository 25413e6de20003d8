//! `GET /v1/jobs/{id}/output` and `…/artefacts/{path}`: the bytes as they were written, whole or in part.
//!
//! Bytes are read as they are sent, a few chunks at a time: a slow client costs neither memory nor a connection to the
//! database.

use super::range::{Wanted, wanted};
use crate::{
    app::App,
    blobs::{self, BlobId},
    error::{Answer, Error},
    params::{Id, Query},
    principal::Evaluator,
};
use alphagate_contract::{
    id::{JobId, OrgId},
    job::{FilePath, dispatch::Stream as Output},
    problem::Code,
};
use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{
    Stream, StreamExt as _,
    future::Either,
    stream::{self, BoxStream},
};
use serde::Deserialize;
use std::ops::Range;
use uuid::Uuid;

/// Most chunks that are read at once; each has at most 1 MiB, and most far less.
const CHUNKS_AT_ONCE: i64 = 4;

/// One stream of one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Whose.
    pub(crate) org: OrgId,
    /// The job.
    pub(crate) job: JobId,
    /// The attempt.
    pub(crate) attempt: Uuid,
    /// Which output.
    pub(crate) stream: Output,
}

/// The bytes of a range, from the chunks in the database.
pub(super) fn chunks(
    app: App,
    place: Place,
    range: Range<u64>,
) -> impl Stream<Item = Answer<Vec<u8>>> + Send + use<> {
    let pages = stream::try_unfold((app, range), move |(app, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let page = page(&app, place, &range).await?;
        let read: usize = page.iter().map(Vec::len).sum();
        if read == 0 {
            // Another attempt has begun meanwhile, or the job is gone: an answer that is too short fails at the client.
            return Err(Error::internal("output went away while it was read"));
        }
        let rest = range.start.saturating_add(read as u64)..range.end;
        Ok(Some((stream::iter(page.into_iter().map(Ok)), (app, rest))))
    });
    futures_util::TryStreamExt::try_flatten(pages)
}

/// The next few chunks that have bytes of the range, cut to it.
async fn page(app: &App, place: Place, range: &Range<u64>) -> Answer<Vec<Vec<u8>>> {
    let (start, end) = (i64::try_from(range.start), i64::try_from(range.end));
    let (start, end) = (start.map_err(Error::internal)?, end.map_err(Error::internal)?);
    let mut tx = app.tenants().begin(place.org).await?;
    let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
        "SELECT substring(data FROM greatest(1, $5 - starts_at + 1)::integer
                FOR greatest(0, $6 - greatest(starts_at, $5))::integer)
         FROM job_output
         WHERE org_id = $1 AND job_id = $2 AND attempt_id = $3 AND stream = $4 AND starts_at < $6
            AND starts_at >= coalesce((
                SELECT max(starts_at) FROM job_output
                WHERE org_id = $1 AND job_id = $2 AND attempt_id = $3 AND stream = $4 AND starts_at <= $5
            ), 0)
         ORDER BY starts_at LIMIT $7",
    )
    .bind(place.org.uuid())
    .bind(place.job.uuid())
    .bind(place.attempt)
    .bind(crate::body::word(place.stream))
    .bind(start)
    .bind(end)
    .bind(CHUNKS_AT_ONCE)
    .fetch_all(&mut *tx)
    .await?;
    Ok(rows.into_iter().map(|(data,)| data).collect())
}

/// The bytes of a range, wherever they lie.
pub(crate) async fn read(
    app: &App,
    place: Place,
    blob: Option<Uuid>,
    range: Range<u64>,
) -> Answer<BoxStream<'static, Answer<Vec<u8>>>> {
    let bytes = match blob {
        _ if range.is_empty() => return Ok(stream::empty().boxed()),
        Some(blob) => Either::Left(blobs::read(app, place.org, BlobId::from_uuid(blob), range).await?),
        None => Either::Right(chunks(app.clone(), place, range)),
    };
    Ok(bytes.boxed())
}

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OutputQuery {
    #[serde(default = "stdout")]
    stream: Output,
}

const fn stdout() -> Output {
    Output::Stdout
}

/// Downloads an output, whole or in part.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/output",
    params(
        ("id" = JobId, Path),
        OutputQuery,
        ("range" = Option<String>, Header, description = "`bytes=…`: one range; anything else means the whole."),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 416, description = "The range lies beyond the end."),
    ),
)]
pub(crate) async fn download(
    evaluator: Evaluator,
    State(app): State<App>,
    Id(job): Id<JobId>,
    Query(query): Query<OutputQuery>,
    headers: HeaderMap,
) -> Answer {
    let mut tx = app.tenants().begin(evaluator.org).await?;
    let found: Option<(Option<Uuid>, i64, Option<Uuid>)> = sqlx::query_as(
        "SELECT attempt_id, CASE $3 WHEN 'stdout' THEN stdout_bytes ELSE stderr_bytes END,
            CASE $3 WHEN 'stdout' THEN stdout_blob ELSE stderr_blob END
         FROM jobs WHERE org_id = $1 AND id = $2",
    )
    .bind(evaluator.org.uuid())
    .bind(job.uuid())
    .bind(crate::body::word(query.stream))
    .fetch_optional(&mut *tx)
    .await?;
    drop(tx);
    let (attempt, bytes, blob) = found.ok_or(Code::NotFound)?;
    let bytes = u64::try_from(bytes).map_err(Error::internal)?;
    let place = Place { org: evaluator.org, job, attempt: attempt.unwrap_or_default(), stream: query.stream };
    send(&headers, bytes, async |range| read(&app, place, blob, range).await).await
}

/// Downloads a file that a job handed back, whole or in part.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/artefacts/{path}",
    params(
        ("id" = JobId, Path),
        ("path" = String, Path),
        ("range" = Option<String>, Header, description = "`bytes=…`: one range; anything else means the whole."),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 416, description = "The range lies beyond the end."),
    ),
)]
pub(crate) async fn artefact(
    evaluator: Evaluator,
    State(app): State<App>,
    Path((job, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let job: JobId = job.parse().map_err(|_| Code::NotFound)?;
    let path: FilePath = path.parse().map_err(|_| Code::NotFound)?;
    let mut tx = app.tenants().begin(evaluator.org).await?;
    let found: Option<(i64, Option<Vec<u8>>, Option<Uuid>)> = sqlx::query_as(
        "SELECT bytes, data, blob_id FROM job_artefacts WHERE org_id = $1 AND job_id = $2 AND path = $3",
    )
    .bind(evaluator.org.uuid())
    .bind(job.uuid())
    .bind(path.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    drop(tx);
    let (bytes, data, blob) = found.ok_or(Code::NotFound)?;
    let bytes = u64::try_from(bytes).map_err(Error::internal)?;
    send(&headers, bytes, async |range: Range<u64>| match blob {
        Some(blob) if !range.is_empty() => {
            Ok(blobs::read(&app, evaluator.org, BlobId::from_uuid(blob), range).await?.boxed())
        }
        _ => {
            let ends = (usize::try_from(range.start), usize::try_from(range.end));
            let (Ok(start), Ok(end)) = ends else { return Err(Error::internal("an artefact too long")) };
            let part = data.as_deref().and_then(|data| data.get(start..end)).unwrap_or_default().to_vec();
            Ok(stream::once(async { Ok(part) }).boxed())
        }
    })
    .await
}

/// Answers with the bytes that the request's `Range` asks for. Browsers are told to keep their hands off: it is whatever
/// untrusted code wrote.
async fn send(
    headers: &HeaderMap,
    length: u64,
    read: impl AsyncFnOnce(Range<u64>) -> Answer<BoxStream<'static, Answer<Vec<u8>>>>,
) -> Answer {
    let header = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, range) = match wanted(header, length) {
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => return Ok(unsatisfiable(length)),
    };
    let mut response = Body::from_stream(read(range.clone()).await?.map(logged)).into_response();
    *response.status_mut() = status;
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    answer.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let value = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        answer.insert(header::CONTENT_RANGE, HeaderValue::from_str(&value).map_err(Error::internal)?);
    }
    Ok(response)
}

/// An error in the middle of a body has no answer any more: the connection ends, and the log says why.
fn logged(chunk: Answer<Vec<u8>>) -> Answer<Vec<u8>> {
    chunk.inspect_err(|error| tracing::warn!(%error, "a download ended early"))
}

fn unsatisfiable(length: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}
