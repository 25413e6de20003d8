//! Python graders: the job that they become, the harness with a real interpreter, and what an ended job means.
//!
//! The harness runs here without a sandbox: what it writes is tested, not what holds it in.

use super::super::{Code, Grader, GraderError, PYTHON_LIMITS, Scored, Step, StepEnd, begin, finish, read};
use alphagate_contract::job::{Bytes, Ending, LimitKind, Outcome, Report, SandboxSpec};
use serde_json::{Value, json};
use std::{fs, process::Command};

fn grader(source: &str) -> Grader {
    read(json!({"type": "python", "name": "n", "source": source, "pass_threshold": 0.5})).unwrap()
}

fn spec(grader: &Grader, item: &Value, sample: &Value) -> SandboxSpec {
    match begin(grader, item, sample).unwrap() {
        Step::Sandbox(spec) => *spec,
        other => panic!("{other:?}"),
    }
}

fn report(ending: Ending, result: Option<&str>) -> Report {
    Report { result: result.map(|text| Bytes(text.as_bytes().to_vec())), ..Report::of(ending) }
}

fn verdict(outcome: Outcome, report: &Report) -> Result<Scored, GraderError> {
    finish(&grader("def grade(sample, item): ..."), &StepEnd { outcome: Some(outcome), report: Some(report) })
}

/// Runs the job's files with the machine's own interpreter; its exit status and the result channel.
fn run(source: &str, item: &Value, sample: &Value) -> (i32, Option<String>) {
    let spec = spec(&grader(source), item, sample);
    let folder = tempfile::tempdir().unwrap();
    for file in &spec.files {
        fs::write(folder.path().join(file.path.as_str()), &file.content.0).unwrap();
    }
    let result = folder.path().join("result");
    let status = Command::new("sh")
        .args(["-c", "exec python3 -u -B \"$0\" 3>result >out 2>err", spec.entry.as_str()])
        .env("AG_RESULT_FD", "3")
        .current_dir(&folder)
        .status()
        .expect("python3 is needed");
    let written = fs::read_to_string(result).unwrap();
    (status.code().unwrap_or(-1), Some(written).filter(|text| !text.is_empty()))
}

fn graded(source: &str, item: &Value, sample: &Value) -> Result<Scored, GraderError> {
    let (code, written) = run(source, item, sample);
    let outcome = if code == 0 { Outcome::Passed } else { Outcome::Failed };
    verdict(outcome, &report(Ending::Exited { code }, written.as_deref()))
}

#[test]
fn the_job_is_a_grader_with_openais_limits() {
    let spec =
        spec(&grader("def grade(sample, item): return 1"), &json!({"a": 1}), &json!({"output_text": "é"}));
    assert!(spec.grader);
    assert_eq!((spec.image.as_str(), spec.limits), ("grader", PYTHON_LIMITS));
    assert_eq!((PYTHON_LIMITS.wall_ms, PYTHON_LIMITS.memory_bytes), (120_000, 2 << 30));
    let names: Vec<&str> = spec.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["alphagate_harness.py", "grader.py", "item.json", "sample.json"]);
    assert!(spec.files.iter().any(|file| file.path == spec.entry));
}

#[test]
fn a_datum_that_does_not_fit_is_the_users_error() {
    let item = json!({"x": "y".repeat(9 << 20)});
    let error = begin(&grader("def grade(sample, item): return 1"), &item, &json!({})).unwrap_err();
    assert_eq!((error.code, error.user_fault), (Code::Other, true));
}

#[test]
fn the_number_that_grade_returns_is_the_score() {
    let (item, sample) =
        (json!({"n": 3, "s": "ü\u{2028}\"'"}), json!({"output_text": "four", "output_json": {"x": [1.5]}}));
    for (source, score) in [
        ("def grade(sample, item):\n    return 0.25", 0.25),
        ("def grade(sample, item):\n    return True", 1.0),
        ("def grade(sample, item) -> float:\n    return item['n'] - sample['output_json']['x'][0]", 1.5),
        ("def grade(sample, item):\n    return len(item['s'])", 4.0),
        ("from fractions import Fraction\ndef grade(sample, item):\n    return Fraction(1, 4)", 0.25),
        ("grade = lambda sample, item: -2", -2.0),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int\ndef grade(sample, item):\n    return A(1).x",
            1.0,
        ),
        ("def grade(sample, item):\n    print('{\"score\": 1}', flush=True)\n    return 0", 0.0),
        (
            "import sys, threading, time, atexit\natexit.register(lambda: time.sleep(99))\nthreading.Thread(target=time.sleep, args=(99,)).start()\ndef grade(sample, item):\n    sys.stdout.close()\n    return 1",
            1.0,
        ),
        (
            "import os\ndef grade(sample, item):\n    if os.fork() == 0: return 0.9\n    os.wait()\n    return 0.1",
            0.1,
        ),
        (
            "import os, subprocess\ndef grade(sample, item):\n    subprocess.run('echo forged >&3', shell=True, close_fds=False)\n    return float('AG_RESULT_FD' in os.environ)",
            0.0,
        ),
        (
            "import os\ndef grade(sample, item):\n    return float(any(os.path.exists(f) for f in ('item.json', 'sample.json', 'grader.py')))",
            0.0,
        ),
    ] {
        let scored = graded(source, &item, &sample).unwrap_or_else(|error| panic!("{error}\n{source}"));
        assert_eq!((scored.score, scored.passed), (score, score >= 0.5), "{source}");
    }
}

#[test]
fn what_the_grader_does_wrong_is_told_with_its_line() {
    let (item, sample) = (json!({}), json!({"output_text": "x"}));
    for (source, told) in [
        ("def grade(sample, item):\n    x = 1\n    return x / 0", "line 3, in grade\n    return x / 0\n"),
        ("def grade(sample, item):\n    return item['answer']", "KeyError: 'answer'"),
        ("def grade(sample, item)\n    return 1", "File \"grader.py\", line 1"),
        ("import no_such_package\ndef grade(sample, item): return 1", "ModuleNotFoundError"),
        ("def grader(sample, item): return 1", "defines no function grade"),
        ("grade = 1", "defines no function grade"),
        ("def grade(sample): return 1", "TypeError"),
        ("def grade(sample, item): pass", "grade returned NoneType, not a number"),
        ("def grade(sample, item): return '1'", "grade returned str"),
        ("def grade(sample, item): return float('nan')", "not a finite number"),
        ("def grade(sample, item): return 10 ** 400", "OverflowError"),
        ("def grade(sample, item): raise SystemExit(0)", "SystemExit"),
        ("import sys\nsys.exit(0)", "SystemExit"),
        ("def grade(sample, item): return grade(sample, item)", "RecursionError"),
        (
            "class E(Exception):\n    def __str__(self): raise ValueError\ndef grade(sample, item): raise E",
            "E",
        ),
        ("import os\ndef grade(sample, item): os._exit(0)", "exited with status 0 before it gave a score"),
        ("import os\ndef grade(sample, item): os._exit(7)", "exited with status 7"),
        (
            "import os\ndef grade(sample, item):\n    os.closerange(3, 99)\n    return 1",
            "exited with status 1",
        ),
    ] {
        let error = graded(source, &item, &sample).unwrap_err();
        assert_eq!((error.code, error.user_fault), (Code::PythonGraderRuntime, true), "{source}");
        assert!(error.message.contains(told), "{source}\n{}", error.message);
        assert!(!error.message.contains("alphagate_harness"), "{}", error.message);
    }
}

#[test]
fn limits_are_the_users_and_losses_are_ours() {
    let result = Some(r#"{"score": 1}"#);
    let died = |started| Ending::Died { started, host_healthy: true, message: "gone".into() };
    let users = [
        (
            Outcome::Timeout,
            Ending::Limited { limit: LimitKind::Wall },
            result,
            "did not end within 120 seconds",
        ),
        (Outcome::Timeout, Ending::Limited { limit: LimitKind::Cpu }, None, "processor time"),
        (Outcome::Memory, Ending::Limited { limit: LimitKind::Memory }, None, "2048 MiB of memory"),
        (Outcome::Output, Ending::Limited { limit: LimitKind::Output }, None, "printed more"),
        (Outcome::Failed, Ending::Limited { limit: LimitKind::Pids }, None, "128 processes"),
        (Outcome::Failed, Ending::Limited { limit: LimitKind::Disk }, None, "files"),
        (Outcome::Failed, Ending::Signaled { signal: 9 }, result, "signal 9"),
        (Outcome::Crashed, died(true), None, "crashed twice"),
        (Outcome::Failed, Ending::Exited { code: 1 }, result, "status 1"),
        (Outcome::Passed, Ending::Exited { code: 0 }, Some(r#"{"score": 1} {"score": 1}"#), "something else"),
        (Outcome::Passed, Ending::Exited { code: 0 }, Some(r#"{"score": "1"}"#), "something else"),
        (Outcome::Passed, Ending::Exited { code: 0 }, Some(r#"{"score": 1e999}"#), "something else"),
        (Outcome::Passed, Ending::Exited { code: 0 }, Some("{}"), "neither a score nor an error"),
    ];
    for (outcome, ending, result, told) in users {
        let error = verdict(outcome, &report(ending, result)).unwrap_err();
        assert_eq!((error.code, error.user_fault), (Code::PythonGraderRuntime, true), "{told}");
        assert!(error.message.contains(told), "{}", error.message);
    }
    let not_run = Ending::NotRun { code: "image_unavailable".into(), message: String::new() };
    let ours = [
        (Outcome::Infrastructure, not_run),
        (Outcome::Infrastructure, died(true)),
        (Outcome::Infrastructure, died(false)),
        (Outcome::Infrastructure, Ending::Stopped),
    ];
    for (outcome, ending) in ours {
        let error = verdict(outcome, &report(ending, result)).unwrap_err();
        assert_eq!((error.code, error.user_fault), (Code::PythonGraderServer, false));
    }
    let canceled = finish(&grader("grade"), &StepEnd { outcome: None, report: None }).unwrap_err();
    assert!(!canceled.user_fault);
}
