//! Evals: a data schema plus graders; their runs; and what came of every datum. The OpenAI Evals API.
//!
//! A run is driven by two hands. The driver reads its lines in windows, writes each as an output item and begins it; what
//! a job's end means for an item is settled in the transaction that ends the job. Every step is one transaction that
//! checks the state it starts from: so it may be repeated, come late, or be cut short anywhere, and each item is counted
//! once. Our own failures are never a score.

mod seam;
mod summary;

pub(crate) use seam::{NewRun, cancel_run, job_ended, start_run};
pub(crate) use summary::{RunStatus, Summary, data_digest, revision, summary};
