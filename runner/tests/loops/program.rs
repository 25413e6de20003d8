//! The program itself as a process: what it says, with which status it ends, and that signals drain it.

use crate::{
    model::{Model, State, ledger::Event},
    protocol::stand::{Stand, in_time},
};
use alphagate_contract::job::{Ending, Outcome};
use alphagate_runner::scenario::Fate;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::process::{Output, Stdio};
use tokio::process::{Child, Command};

const BINARY: &str = env!("CARGO_BIN_EXE_alphagate-runner");
pub const TOKEN: &str = "ag-runner-token";

pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().env("AG_LOG", "alphagate_runner=debug").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn serve(stand: &Stand) -> Child {
    let mut command = program(&["serve", "--samples-only", "--runner-name", "host", "--sample-slots", "2"]);
    command.env("AG_CONTROL_URL", &stand.url).env("AG_RUNNER_TOKEN", TOKEN).spawn().unwrap()
}

pub fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

pub async fn end(child: Child) -> Output {
    in_time("end of the process", child.wait_with_output()).await.unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An edge that takes calls and never answers: its URL.
async fn silent_edge() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    url
}

fn has_left(model: &Model) -> bool {
    model.ledger.events.iter().any(|event| matches!(event, Event::Left { .. }))
}

/// The runner has shown that it has its job.
fn has_renewed(model: &Model) -> bool {
    model.ledger.events.iter().any(|event| matches!(event, Event::Heard { .. }))
}

#[tokio::test]
async fn a_signal_drains_it_and_its_log_has_neither_token_nor_key() {
    let stand = Stand::new().await;
    stand.ask(&silent_edge().await, json!({"model": "greeter", "input": "hello"}), 2_000);
    let child = serve(&stand);
    stand.until("renewal", has_renewed).await;
    signal(&child, Signal::TERM);
    // The question that it asks is still open: it stays until its time is over.
    let output = end(child).await;
    let log = text(&output.stderr);
    assert!(output.status.success(), "{log}");
    let model = stand.control.model.lock().unwrap();
    let report = model.ledger.reports.values().next().unwrap();
    assert!(has_left(&model) && matches!(report.ending, Ending::Unanswered { .. }), "{report:?}");
    assert!(log.contains("draining") && !log.contains(TOKEN) && !log.contains("ag_test_of_a_run"), "{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "not a line of JSON: {line}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_gives_its_jobs_back() {
    let stand = Stand::new().await;
    stand.ask(&silent_edge().await, json!({}), 60_000);
    let child = serve(&stand);
    stand.until("renewal", has_renewed).await;
    signal(&child, Signal::TERM);
    stand.until("draining", |model| model.has_said_it_drains("host")).await;
    signal(&child, Signal::INT);
    assert_eq!(end(child).await.status.code(), Some(1));
    let model = stand.control.model.lock().unwrap();
    assert!(has_left(&model) && model.ledger.reports.is_empty());
}

#[tokio::test]
async fn a_runner_that_was_frozen_goes_on() {
    let stand = Stand::new().await;
    let child = serve(&stand);
    stand.until("registration", |model| model.known_as("host").is_some()).await;
    signal(&child, Signal::STOP);
    let first = stand.control.model.lock().unwrap().known_as("host").unwrap();
    stand.control.change(|model| model.forget(first));
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let job = stand.ask(&format!("http://{closed}"), json!({}), 60_000);
    signal(&child, Signal::CONT);
    let parked = State::Ended(Fate::Ended(Outcome::Infrastructure));
    stand.until("end of the job", |model| model.jobs[&job].state == parked).await;
    signal(&child, Signal::TERM);
    assert!(end(child).await.status.success());
}

#[tokio::test]
async fn without_gvisor_it_says_what_is_missing_and_does_not_register() {
    let stand = Stand::new().await;
    let mut command = program(&["serve", "--runsc", "/nowhere/runsc"]);
    let child = command.env("AG_CONTROL_URL", &stand.url).env("AG_RUNNER_TOKEN", TOKEN).spawn().unwrap();
    let output = end(child).await;
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{log}");
    assert!(log.contains("\"code\":\"isolation_unavailable\"") && log.contains("/nowhere/runsc"), "{log}");
    assert_eq!(stand.control.model.lock().unwrap().known_as("host"), None);
}

#[tokio::test]
async fn a_wrong_token_has_a_status_of_its_own() {
    let stand = Stand::new().await;
    let mut command = program(&["serve", "--samples-only"]);
    let child = command.env("AG_CONTROL_URL", &stand.url).env("AG_RUNNER_TOKEN", "stolen").spawn().unwrap();
    let output = end(child).await;
    assert_eq!(output.status.code(), Some(77));
    assert!(text(&output.stderr).contains("\"code\":\"token_refused\""));
}

#[tokio::test]
async fn help_names_every_setting_and_shows_no_token() {
    for command in ["serve", "doctor", "self-test"] {
        let output = end(program(&[command, "--help"]).env("AG_RUNNER_TOKEN", TOKEN).spawn().unwrap()).await;
        let help = text(&output.stdout);
        assert!(
            output.status.success() && help.contains("AG_RUNNER_STATE") && !help.contains(TOKEN),
            "{help}"
        );
    }
}
