//! `python`: the user's `grade(sample, item)` in a sandbox, and what came of it.
//!
//! The harness inside writes one JSON document to the result channel: a score, or the error with its traceback. What
//! the grader prints is never read. A score counts only from a program that ended by itself with 0; a limit, a crash or
//! a missing result is the user's error, a sandbox that did not run or died is ours.

use super::{
    fault::{Code, GraderError},
    grader::Python,
    steps::{Scored, StepEnd},
};
use alphagate_contract::job::{
    Bytes, Ending, File, FilePath, INPUT_MAX_BYTES, Language, LimitKind, Limits, Outcome, PathError,
    SandboxSpec,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A source is shorter than this, bytes: OpenAI's bound.
pub const SOURCE_MAX_BYTES: usize = 256 * 1000;
/// The only tag of OpenAI's grader image.
pub const IMAGE_TAG: &str = "2025-05-08";
/// OpenAI's published limits: two minutes, 2 GB of memory, 1 GB of disk, one core. Of one core, the processor time
/// cannot be more than the wall time. Processes and output are ours: a grader starts a candidate, and prints little.
pub const LIMITS: Limits = Limits {
    wall_ms: 120_000,
    cpu_ms: 120_000,
    memory_bytes: 2 << 30,
    pids: 128,
    disk_bytes: 1 << 30,
    output_bytes: 4 << 20,
};
/// Longest traceback that is kept, bytes.
const DETAILS_MAX_BYTES: usize = 8 * 1024;

/// Our program around the user's.
const HARNESS: &str = include_str!("harness.py");
const HARNESS_PATH: &str = "alphagate_harness.py";

/// The image of a tag; without a tag, the newest.
#[must_use]
pub fn image(tag: Option<&str>) -> Option<&'static str> {
    matches!(tag, None | Some(IMAGE_TAG)).then_some("grader")
}

/// What the harness writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    error: Option<Failure>,
}

/// Why there is no score.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    message: String,
    #[serde(default)]
    traceback: String,
}

/// The job that grades a datum.
pub(super) fn spec(grader: &Python, item: &Value, sample: &Value) -> Result<SandboxSpec, GraderError> {
    let other = |message: String| GraderError::users(Code::Other, message);
    let image = image(grader.image_tag.as_deref()).ok_or_else(|| other("there is no such image".into()))?;
    let contents = [
        (HARNESS_PATH, HARNESS.to_owned()),
        ("grader.py", grader.source.clone()),
        ("item.json", item.to_string()),
        ("sample.json", sample.to_string()),
    ];
    let bytes: usize = contents.iter().map(|(_, content)| content.len()).sum();
    if bytes > INPUT_MAX_BYTES {
        return Err(other(format!(
            "source, item and sample have {bytes} bytes together; {INPUT_MAX_BYTES} fit"
        )));
    }
    let file = |(path, content): (&str, String)| -> Result<File, PathError> {
        Ok(File { path: path.parse()?, content: Bytes(content.into_bytes()) })
    };
    let files = contents.into_iter().map(file).collect::<Result<Vec<_>, _>>();
    let entry: Result<FilePath, _> = HARNESS_PATH.parse();
    let (Ok(files), Ok(entry)) = (files, entry) else {
        return Err(GraderError::ours(Code::PythonGraderServer, "a path of the harness is wrong"));
    };
    Ok(SandboxSpec {
        image: image.to_owned(),
        language: Language::Python,
        entry,
        files,
        argv: Vec::new(),
        stdin: Bytes::default(),
        env: BTreeMap::new(),
        limits: LIMITS,
        artefacts: Vec::new(),
        grader: true,
    })
}

/// What a finished job says of the datum.
pub(super) fn verdict(grader: &Python, end: &StepEnd<'_>) -> Result<Scored, GraderError> {
    let runtime = |message: String| Err(GraderError::users(Code::PythonGraderRuntime, message));
    let server = |message: String| Err(GraderError::ours(Code::PythonGraderServer, message));
    let Some(report) = end.report else { return server("the sandbox did not report".into()) };
    match (end.outcome, &report.ending) {
        (None, _) | (_, Ending::Stopped) => return server("canceled".into()),
        (Some(Outcome::Crashed), _) => {
            return runtime("the sandbox crashed twice while the grader ran".into());
        }
        (_, Ending::NotRun { code, .. }) => return server(code.clone()),
        (Some(Outcome::Infrastructure), _) | (_, Ending::Died { .. }) => {
            return server("sandbox_died".into());
        }
        (_, Ending::Answered { .. } | Ending::Unanswered { .. }) => return server("not a sandbox".into()),
        (_, Ending::Limited { limit }) => return runtime(limited(*limit)),
        (_, Ending::Signaled { signal }) => return runtime(format!("signal {signal} ended the grader")),
        (_, Ending::Exited { .. }) => {}
    }
    let written = report.result.as_ref().map(|bytes| serde_json::from_slice::<Written>(&bytes.0));
    match (written, &report.ending) {
        (Some(Ok(Written { error: Some(failure), .. })), _) => runtime(failure.text()),
        (Some(Ok(Written { score: Some(score), .. })), Ending::Exited { code: 0 }) => {
            Ok(scored(grader, score))
        }
        (Some(Ok(_)), Ending::Exited { code: 0 }) => {
            runtime("the result has neither a score nor an error".into())
        }
        (Some(Err(_)), _) => runtime("the grader wrote something else to the result channel".into()),
        (_, Ending::Exited { code }) => {
            runtime(format!("the grader exited with status {code} before it gave a score"))
        }
        _ => server("no result".into()),
    }
}

impl Failure {
    fn text(self) -> String {
        let mut text = if self.traceback.is_empty() { self.message } else { self.traceback };
        if text.len() > DETAILS_MAX_BYTES {
            // The end of a traceback says what happened; the beginning, where.
            let start = text.ceil_char_boundary(text.len() - DETAILS_MAX_BYTES);
            text.replace_range(..start, "…");
        }
        text
    }
}

fn scored(grader: &Python, score: f64) -> Scored {
    let threshold = grader.pass_threshold.unwrap_or(1.0);
    Scored { score, passed: score >= threshold, detail: Some(json!({"pass_threshold": threshold})) }
}

fn limited(limit: LimitKind) -> String {
    match limit {
        LimitKind::Wall => format!("the grader did not end within {} seconds", LIMITS.wall_ms / 1000),
        LimitKind::Cpu => {
            format!("the grader used more than {} seconds of processor time", LIMITS.cpu_ms / 1000)
        }
        LimitKind::Memory => format!("the grader used more than {} MiB of memory", LIMITS.memory_bytes >> 20),
        LimitKind::Pids => format!("the grader started more than {} processes", LIMITS.pids),
        LimitKind::Disk => format!("the grader wrote more than {} MiB of files", LIMITS.disk_bytes >> 20),
        LimitKind::Output => format!("the grader printed more than {} MiB", LIMITS.output_bytes >> 20),
    }
}
