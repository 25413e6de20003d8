//! Evals: a data schema plus graders; their runs; and what came of every datum. The OpenAI Evals API.
//!
//! A run is driven by two hands. The driver reads its lines in windows, writes each as an output item and begins it; what
//! a job's end means for an item is settled in the transaction that ends the job. Every step is one transaction that
//! checks the state it starts from: so it may be repeated, come late, or be cut short anywhere, and each item is counted
//! once. Our own failures are never a score.

mod change;
mod count;
mod create;
mod delete;
mod driver;
mod ended;
mod eval;
mod feed;
mod grade;
mod grader_runs;
mod metadata;
mod once;
mod question;
mod read;
mod run;
pub(crate) mod runs;
mod sample;
mod sampling;
mod schema;
mod source;
mod start;
mod stop;
mod summary;

pub(crate) use change::change;
pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use driver::drive;
pub(crate) use ended::job_ended;
pub(crate) use grader_runs::{run as run_grader, validate as validate_grader};
pub(crate) use read::{get, list};
pub(crate) use start::{NewRun, data_digest, start_run};
pub(crate) use stop::cancel_run;
pub(crate) use summary::{RunStatus, Summary, revision, summary};

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(create::create, read::list, read::get, change::change, delete::delete))]
pub(crate) struct Docs;

/// What it says of the routes that try a grader out.
#[derive(utoipa::OpenApi)]
#[openapi(paths(grader_runs::run, grader_runs::validate))]
pub(crate) struct GraderDocs;
