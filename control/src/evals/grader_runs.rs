//! `POST /v1/fine_tuning/alpha/graders/run` and `…/validate`: a grader is tried out on one datum, while the caller waits.
//!
//! What its parts need done are jobs as those of an eval, under a run of their own that nothing else knows: its key asks
//! the judges, and when the caller has waited long enough, all of it is stopped.

use super::{
    eval::read_grader,
    sample::{self, Usage},
};
use crate::{
    app::App,
    body::Body,
    error::{Answer, Error},
    graders::{self, Code, Grader, GraderError, Place, Scope, Scored, Step, StepEnd},
    jobs::{self, Ended, NewJob, Owner, Priority, Work},
    keys, names,
    principal::Evaluator,
};
use alphagate_contract::id::{JobId, OrgId, OutputItemId, RunId};
use axum::{Json, extract::State};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Longest body: a source of 256 kB, an item and a sample of megabytes.
const GRADER_RUN_MAX_BYTES: usize = 8 * 1024 * 1024;
/// How long a caller waits: two minutes in the sandbox, and as long again in the queue. OpenAI's SDKs give up after ten.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The request of `run`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGraderRun {
    #[schema(value_type = Grader)]
    grader: Value,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    item: Option<Map<String, Value>>,
    model_sample: String,
}

/// The request of `validate`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GraderToValidate {
    #[schema(value_type = Grader)]
    grader: Value,
}

/// The answer of `run`, as OpenAI's SDKs read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct GraderRun {
    reward: f64,
    metadata: GraderRunMetadata,
    sub_rewards: BTreeMap<String, f64>,
    #[schema(value_type = BTreeMap<String, Object>)]
    model_grader_token_usage_per_model: BTreeMap<String, Usage>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct GraderRunMetadata {
    name: String,
    r#type: &'static str,
    /// Every kind of error, and whether it happened.
    #[schema(value_type = Object)]
    errors: Value,
    /// Seconds.
    execution_time: f64,
    scores: BTreeMap<String, f64>,
    token_usage: Option<i64>,
    sampled_model_name: Option<String>,
}

/// The answer of `validate`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ValidGrader {
    grader: Grader,
}

const SCOPE: Scope<'static> = Scope { place: Place::GraderRun, item_schema: None, sample: true };

/// Checks a grader.
#[utoipa::path(
    post,
    path = "/v1/fine_tuning/alpha/graders/validate",
    request_body(
        content = GraderToValidate,
        example = json!({"grader": {"type": "string_check", "name": "exact", "input": "{{sample.output_text}}", "reference": "{{item.answer}}", "operation": "eq"}})
    ),
    responses((status = 200, body = ValidGrader)),
)]
pub(crate) async fn validate(
    _: Evaluator,
    body: Body<GraderToValidate, GRADER_RUN_MAX_BYTES>,
) -> Answer<Json<ValidGrader>> {
    Ok(Json(ValidGrader { grader: read_grader(body.value.grader, &SCOPE, "grader")? }))
}

/// Tries a grader on one datum, while the caller waits.
#[utoipa::path(
    post,
    path = "/v1/fine_tuning/alpha/graders/run",
    request_body(
        content = NewGraderRun,
        example = json!({"grader": {"type": "string_check", "name": "exact", "input": "{{sample.output_text}}", "reference": "{{item.answer}}", "operation": "eq"}, "item": {"answer": "42"}, "model_sample": "42"})
    ),
    responses((status = 200, body = GraderRun)),
)]
pub(crate) async fn run(
    caller: Evaluator,
    State(app): State<App>,
    body: Body<NewGraderRun, GRADER_RUN_MAX_BYTES>,
) -> Answer<Json<GraderRun>> {
    let wanted = body.value;
    let grader = read_grader(wanted.grader, &SCOPE, "grader")?;
    let started = Instant::now();
    let item = Value::Object(wanted.item.unwrap_or_default());
    let sample = sample::for_graders(&json!({"output_text": wanted.model_sample}));
    let outcome = match graders::begin(&grader, &item, &sample) {
        Ok(step) => {
            Trial { app: &app, org: caller.org, run: app.new_id(RunId::new) }.take(&grader, step).await?
        }
        Err(error) => Outcome::error(error),
    };
    Ok(Json(answer(&grader, outcome, started.elapsed())))
}

/// What came of it.
#[derive(Default)]
struct Outcome {
    scored: Option<Scored>,
    parts: BTreeMap<String, f64>,
    errors: Vec<GraderError>,
    usage: BTreeMap<String, Usage>,
}

impl Outcome {
    fn error(error: GraderError) -> Self {
        Self { errors: vec![error], ..Self::default() }
    }
}

/// One trial of a grader.
struct Trial<'a> {
    app: &'a App,
    org: OrgId,
    run: RunId,
}

impl Trial<'_> {
    /// Takes every step, and waits for those that are jobs.
    async fn take(&self, grader: &Grader, step: Step) -> Result<Outcome, Error> {
        let Grader::Multi(multi) = grader else {
            let done = self.all(vec![(grader, Ok(step))]).await?;
            let mut outcome = Outcome::default();
            for (result, usage) in done {
                outcome.usage.extend(usage);
                match result {
                    Ok(scored) => outcome.scored = Some(scored),
                    Err(error) => outcome.errors.push(error),
                }
            }
            return Ok(outcome);
        };
        let Step::Parts(mut steps) = step else { return Err(Error::internal("a multi grader has parts")) };
        let parts = multi.graders.list();
        let work = parts.iter().filter_map(|(name, part)| Some((*part, steps.remove(*name)?))).collect();
        let done = self.all(work).await?;
        let mut outcome = Outcome::default();
        let mut results = BTreeMap::new();
        for ((name, _), (result, usage)) in parts.iter().zip(done) {
            if let Some((model, used)) = usage {
                let sum = outcome.usage.entry(model).or_default();
                *sum = sum.plus(used);
            }
            match &result {
                Ok(scored) => drop(outcome.parts.insert((*name).to_owned(), scored.score)),
                Err(error) => outcome.errors.push(error.clone()),
            }
            results.insert((*name).to_owned(), result);
        }
        match graders::combine(multi, &results) {
            Ok(scored) => outcome.scored = Some(scored),
            Err(error) if outcome.errors.is_empty() => outcome.errors.push(error),
            Err(_) => {}
        }
        Ok(outcome)
    }

    async fn all(&self, work: Vec<(&Grader, Result<Step, GraderError>)>) -> Result<Vec<Done>, Error> {
        let begun = self.begin(work).await?;
        let ended = join_all(begun.into_iter().map(|(grader, begun)| self.end(grader, begun))).await;
        let mut tx = self.app.tenants().begin(self.org).await?;
        jobs::cancel_run(self.app, &mut tx, self.org, self.run).await?;
        keys::close_run_key(self.app, &mut tx, self.org, self.run).await?;
        tx.commit().await?;
        ended.into_iter().collect()
    }

    async fn begin<'g>(
        &self,
        work: Vec<(&'g Grader, Result<Step, GraderError>)>,
    ) -> Result<Vec<(&'g Grader, Begun)>, Error> {
        let mut tx = self.app.tenants().begin(self.org).await?;
        let mut models = Vec::new();
        for model in work.iter().filter(|(_, step)| step.is_ok()).flat_map(|(grader, _)| grader.models()) {
            let name = model.split_once('@').map_or(model, |(name, _)| name);
            if !names::exists(&mut tx, self.org, name).await? {
                return Err(Error::field("grader", format!("your org has no endpoint `{name}`")));
            }
            models.push(model.to_owned());
        }
        if !models.is_empty() {
            keys::open_run_key(self.app, &mut tx, self.org, self.run, models).await?;
        }
        let item = self.app.new_id(OutputItemId::new);
        let mut begun = Vec::new();
        for (place, (grader, step)) in work.into_iter().enumerate() {
            let job = match step {
                Err(error) => Err(Err(error)),
                Ok(Step::Done(scored)) => Err(Ok(scored)),
                Ok(Step::Sandbox(spec)) => Ok(Work::Sandbox(spec)),
                Ok(step) => match step.question() {
                    Some(question) => Ok(Work::Sample(question)),
                    None => Err(Err(GraderError::ours(Code::Other, "a multi grader inside another"))),
                },
            };
            let job = match job {
                Err(there) => Begun::There(there),
                Ok(work) => {
                    let grader = u16::try_from(place).map_err(Error::internal)?;
                    let owner = Owner::Grade { run: self.run, item, grader };
                    let new = NewJob {
                        work,
                        priority: Priority::High,
                        labels: Vec::new(),
                        owner,
                        run_at: None,
                        retries: 0,
                    };
                    Begun::Job(jobs::enqueue(self.app, &mut tx, self.org, new).await?)
                }
            };
            begun.push((grader, job));
        }
        tx.commit().await?;
        Ok(begun)
    }

    async fn end(&self, grader: &Grader, begun: Begun) -> Result<Done, Error> {
        let job = match begun {
            Begun::There(result) => return Ok((result, None)),
            Begun::Job(job) => job,
        };
        let Some(ended) = jobs::wait(self.app, self.org, job, WAIT_MAX).await? else {
            let code = match grader {
                Grader::Python(_) => Code::PythonGraderServer,
                _ => Code::ModelGraderServer,
            };
            return Ok((Err(GraderError::ours(code, "no runner has done it in time")), None));
        };
        let result =
            graders::finish(grader, &StepEnd { outcome: ended.outcome, report: ended.report.as_ref() });
        Ok((result, usage(grader, &ended)))
    }
}

/// A step's result, and what a judge used.
type Done = (Result<Scored, GraderError>, Option<(String, Usage)>);

/// A step that is there, or is a job.
enum Begun {
    There(Result<Scored, GraderError>),
    Job(JobId),
}

fn usage(grader: &Grader, ended: &Ended) -> Option<(String, Usage)> {
    let model = (*grader.models().first()?).to_owned();
    let answer = sample::answer(ended.outcome, ended.report.as_ref()).ok()?;
    Some((model, Usage::of(&answer)))
}

/// The answer, as OpenAI's SDKs read it.
fn answer(grader: &Grader, outcome: Outcome, took: Duration) -> GraderRun {
    let tokens: i64 = outcome.usage.values().map(|usage| usage.total_tokens).sum();
    let reward = outcome.scored.as_ref().map_or(0.0, |scored| scored.score);
    let scores = if outcome.parts.is_empty() {
        outcome.scored.iter().map(|scored| (grader.name().to_owned(), scored.score)).collect()
    } else {
        outcome.parts.clone()
    };
    let metadata = GraderRunMetadata {
        name: grader.name().to_owned(),
        r#type: grader.kind(),
        errors: graders::errors(&outcome.errors),
        execution_time: took.as_secs_f64(),
        scores,
        token_usage: (!outcome.usage.is_empty()).then_some(tokens),
        sampled_model_name: outcome.usage.keys().next().cloned(),
    };
    GraderRun {
        reward,
        metadata,
        sub_rewards: outcome.parts,
        model_grader_token_usage_per_model: outcome.usage,
    }
}
