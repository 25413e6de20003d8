//! `POST /v1/jobs`: one job, or a batch of up to 1,000 that is made as a whole or not at all.

use super::{enqueue::enqueue_named, read, request::JobRequest, view::Job};
use crate::{
    app::App,
    audit::{self, Note},
    body,
    error::{Answer, Error},
    idempotency::{self, Claim, Once},
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::id::{JobId, OrgId};
use axum::{
    Json,
    extract::{FromRequest, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::json;

/// Longest body: the largest input of one job, in base64, and half of that again for everything else. A batch shares it.
const JOBS_BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most jobs of a batch.
const BATCH_MAX: usize = 1_000;

/// The request: one job, or `{"jobs": […]}`.
pub(crate) struct Posted {
    jobs: Vec<JobRequest>,
    is_batch: bool,
    once: Once,
}

/// Tells a batch from a job.
#[derive(Deserialize)]
struct Peek {
    jobs: Option<IgnoredAny>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewJobs)]
struct Batch {
    jobs: Vec<JobRequest>,
}

/// One job, or a batch.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = PostedJobs)]
#[expect(dead_code, reason = "the two forms of the body, for the document")]
enum Posting {
    One(Box<JobRequest>),
    Batch(Batch),
}

/// What was made: a job for a job, a list for a batch.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = CreatedJobs)]
enum Created {
    One(Box<Job>),
    Batch(Made),
}

/// The answer to a batch.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MadeJobs)]
struct Made {
    data: Vec<Job>,
}

impl FromRequest<App> for Posted {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (parts, raw) = request.into_parts();
        let bytes = body::read(app, &parts.headers, raw, JOBS_BODY_MAX_BYTES).await?;
        let once = Once::read(&parts, &bytes)?;
        let peek: Result<Peek, _> = serde_json::from_slice(&bytes);
        if peek.is_ok_and(|peek| peek.jobs.is_some()) {
            let Batch { jobs } = body::parse(&bytes)?;
            return Ok(Self { jobs, is_batch: true, once });
        }
        Ok(Self { jobs: vec![body::parse(&bytes)?], is_batch: false, once })
    }
}

/// Makes a job, or a batch of up to 1,000 that is made as a whole or not at all.
#[utoipa::path(
    post,
    path = "/v1/jobs",
    request_body(
        content = Posting,
        example = json!({"language": "python", "source": "print(40 + 2)", "limits": {"wall_ms": 5000}})
    ),
    responses((status = 201, body = Created), (status = 409, description = "idempotency_mismatch")),
)]
pub(crate) async fn create(evaluator: Evaluator, State(app): State<App>, posted: Posted) -> Answer {
    if posted.jobs.is_empty() || posted.jobs.len() > BATCH_MAX {
        return Err(Error::field("jobs", format!("between 1 and {BATCH_MAX} jobs")));
    }
    let image = &app.settings().job_image;
    let at = |number: usize| if posted.is_batch { format!("jobs[{number}]") } else { String::new() };
    let read = |(number, job): (usize, JobRequest)| job.read(&at(number), image);
    let jobs = posted.jobs.into_iter().enumerate().map(read).collect::<Result<Vec<_>, Error>>()?;
    let org = evaluator.org;
    let mut tx = app.tenants().begin(org).await?;
    let key = match idempotency::claim(&app, &mut tx, org, posted.once).await? {
        Claim::Fresh(key) => key,
        Claim::Done(kept) => return Ok(created(kept)),
    };
    let mut ids = Vec::with_capacity(jobs.len());
    for (name, job) in &jobs {
        ids.push(enqueue_named(&app, &mut tx, org, name.as_ref().map(|name| name.as_str()), job).await?);
    }
    // One entry for each request, however many jobs it makes.
    let subject = ids.first().map(JobId::to_string).unwrap_or_default();
    let note = Note::of(&evaluator, Action::JobsRun, "create", "job", subject);
    audit::record(&app, &mut tx, note.after(&json!({"count": ids.len(), "jobs": ids}))).await?;
    let answer = answer(&mut tx, org, &ids, posted.is_batch).await?;
    if let Some(key) = key {
        idempotency::keep(&app, &mut tx, org, &key, &answer).await?;
    }
    tx.commit().await?;
    Ok(created(answer))
}

async fn answer(db: &mut sqlx::PgConnection, org: OrgId, ids: &[JobId], is_batch: bool) -> Answer<Vec<u8>> {
    let mut jobs = read::find_all(db, org, ids).await?;
    let created = match jobs.pop_if(|_| !is_batch) {
        Some(job) => Created::One(Box::new(job)),
        None => Created::Batch(Made { data: jobs }),
    };
    serde_json::to_vec(&created).map_err(Error::internal)
}

fn created(body: Vec<u8>) -> Response {
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A job after a change of its state.
pub(super) async fn changed(db: &mut sqlx::PgConnection, org: OrgId, job: JobId) -> Answer {
    Ok(Json(read::find(db, org, job).await?).into_response())
}
