//! The results of an item, one for each grader: what is graded at once, what needs a job, and what the job's end says.

use super::sample::{self, Fault, Usage};
use crate::{
    graders::{self, Grader, GraderError, Scored, Step, StepEnd},
    jobs::{Ended, Work},
};
use alphagate_contract::{id::JobId, job::Isolation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a grader says of an item, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct GradeResult {
    pub(super) name: String,
    /// `string-check-grader`, …
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) passed: bool,
    pub(super) score: f64,
    /// What a judge answered.
    pub(super) sample: Option<Value>,
    /// What else a grader says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<Value>,
    /// Why there is no score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Fault>,
    /// What stood between a grader's code and the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sandbox: Option<Isolation>,
    /// The job that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<JobId>,
}

/// What is to be done about a grader.
pub(super) enum Begun {
    /// Nothing more.
    Result(Box<GradeResult>),
    /// This, as a job.
    Job(Work),
}

impl GradeResult {
    fn new(grader: &Grader, scored: Result<Scored, GraderError>) -> Self {
        let (passed, score, detail, error) = match scored {
            Ok(scored) => (scored.passed, scored.score, scored.detail, None),
            Err(error) => (false, 0.0, None, Some(fault(error))),
        };
        let (name, kind) = (grader.name().to_owned(), format!("{}-grader", grader.kind().replace('_', "-")));
        Self { name, kind, passed, score, sample: None, detail, error, sandbox: None, job: None }
    }

    /// A result that could not be read back: a bug of ours, and so no score.
    pub(super) fn unreadable() -> Self {
        let error = Some(Fault::ours("other_error", "the result cannot be read"));
        Self {
            name: String::new(),
            kind: String::new(),
            passed: false,
            score: 0.0,
            sample: None,
            detail: None,
            error,
            sandbox: None,
            job: None,
        }
    }
}

fn fault(error: GraderError) -> Fault {
    Fault { code: error.code.as_str().to_owned(), message: error.message, user_fault: error.user_fault }
}

/// Begins to grade: `sample` is what graders see.
pub(super) fn begin(grader: &Grader, item: &Value, sample: &Value) -> Begun {
    match graders::begin(grader, item, sample) {
        Ok(Step::Done(scored)) => there(grader, Ok(scored)),
        Ok(Step::Sandbox(spec)) => Begun::Job(Work::Sandbox(spec)),
        Ok(step) => match step.question() {
            Some(question) => Begun::Job(Work::Sample(question)),
            None => there(
                grader,
                Err(GraderError::ours(graders::Code::Other, "an eval has no grader of graders")),
            ),
        },
        Err(error) => there(grader, Err(error)),
    }
}

fn there(grader: &Grader, scored: Result<Scored, GraderError>) -> Begun {
    Begun::Result(Box::new(GradeResult::new(grader, scored)))
}

/// What the end of a grader's job says; and of a judge, what its answer used.
pub(super) fn finish(grader: &Grader, ended: &Ended) -> (GradeResult, Option<(String, Usage)>) {
    let report = ended.report.as_ref();
    let scored = graders::finish(grader, &StepEnd { outcome: ended.outcome, report });
    let mut result = GradeResult::new(grader, scored);
    result.job = Some(ended.job);
    result.sandbox = report.and_then(|report| report.isolation.clone());
    let Some(model) = grader.models().first().map(|model| (*model).to_owned()) else { return (result, None) };
    let Ok(answer) = sample::answer(ended.outcome, report) else { return (result, None) };
    let usage = Usage::of(&answer);
    result.sample = Some(sample::of_judge(&model, &answer));
    result.detail = None;
    (result, Some((model, usage)))
}

/// How an item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemEnd {
    /// Every grader passed.
    Pass,
    /// A grader did not.
    Fail,
    /// There is no verdict.
    Error {
        /// Whether the platform is to blame.
        infrastructure: bool,
    },
}

impl ItemEnd {
    /// Of the results of all graders. Our fault outweighs the user's: trying again may help.
    pub(super) fn of(results: &[GradeResult]) -> Self {
        let mut faults = results.iter().filter_map(|result| result.error.as_ref()).peekable();
        if faults.peek().is_some() {
            return Self::Error { infrastructure: faults.any(|fault| !fault.user_fault) };
        }
        if results.iter().all(|result| result.passed) { Self::Pass } else { Self::Fail }
    }

    /// The word in the API.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error { .. } => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(passed: bool, user_fault: Option<bool>) -> GradeResult {
        let error =
            user_fault.map(|user_fault| Fault { code: "x".into(), message: String::new(), user_fault });
        GradeResult { passed, error, ..GradeResult::unreadable() }
    }

    #[test]
    fn a_fault_is_no_verdict_and_ours_outweighs_the_users() {
        let (pass, fail) = (result(true, None), result(false, None));
        let (users, ours) = (result(false, Some(true)), result(false, Some(false)));
        let cases = [
            (vec![pass.clone()], ItemEnd::Pass),
            (vec![pass.clone(), fail.clone()], ItemEnd::Fail),
            (vec![fail.clone(), users.clone()], ItemEnd::Error { infrastructure: false }),
            (vec![users.clone(), ours.clone()], ItemEnd::Error { infrastructure: true }),
            (vec![ours, users], ItemEnd::Error { infrastructure: true }),
        ];
        for (results, end) in cases {
            assert_eq!(ItemEnd::of(&results), end);
        }
    }
}
