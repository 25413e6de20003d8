//! The bed itself: it starts, its faults are faults, and nothing of it stays behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use alphagate_bed::{Bed, KvMode, Options, Postgres, Scratch, Server};
use sqlx::{Connection, PgConnection};

/// A second process of this test binary, which runs only that test.
const VICTIM: &str = "victim_that_is_started_by_another_test";
const SOON: Duration = Duration::from_secs(10);

async fn start(options: Options) -> Bed {
    Bed::start(options).await.expect("a bed")
}

async fn answers(url: &str) -> bool {
    let http = alphagate_bed::http_client(Some(SOON)).expect("a client");
    http.get(url).send().await.is_ok()
}

#[tokio::test]
async fn two_beds_run_side_by_side_and_do_not_see_each_other() {
    let (one, two) = tokio::join!(start(Options::default()), start(Options::default()));
    let urls = [one.edge_url(), one.control_url(), two.edge_url(), two.control_url()];
    assert_eq!(BTreeSet::from(urls.clone()).len(), 4);
    for url in &urls {
        assert!(answers(url).await, "{url}");
    }
    assert_ne!(one.database().owner_url(), two.database().owner_url());
    assert_ne!(one.operator_token(), two.operator_token());
    let folder = one.data_dir().to_owned();
    one.stop().await;
    assert!(!folder.exists() && !answers(&urls[0]).await && !answers(&urls[1]).await);
    assert!(answers(&urls[2]).await);
    two.stop().await;
}

#[tokio::test]
async fn control_and_edge_die_and_come_back_on_their_ports() {
    let bed = start(Options::default().with_knobs()).await;
    bed.kill_control().await;
    bed.kill_edge().await;
    assert!(!answers(&bed.control_url()).await && !answers(&bed.edge_url()).await);
    bed.start_control().await.expect("control again");
    bed.restart_edge().await.expect("the edge again");
    assert!(answers(&bed.control_url()).await && answers(&bed.edge_url()).await);
    bed.stop_control().await;
    assert!(!answers(&bed.control_url()).await);
    bed.stop().await;
}

#[tokio::test]
async fn the_knobs_turn_and_survive_a_restart_of_the_edge() {
    let bed = start(Options::default().with_knobs()).await;
    for mode in [KvMode::Stale, KvMode::Empty, KvMode::Refusing, KvMode::PutsRefused, KvMode::Normal] {
        bed.kv(mode).await.expect("a mode");
    }
    bed.shift_edge_clock(-3_600_000).await.expect("a clock");
    bed.abort_object("org_none").await.expect("an abort");
    assert!(!bed.evict_object("org_none").await.expect("an eviction"), "aborted, it is not in memory");
    bed.restart_edge().await.expect("a restart");
    assert_eq!(bed.edge_counts().await.expect("counts").kv_reads, 0);
    let plain = start(Options::default()).await;
    assert!(plain.kv(KvMode::Empty).await.is_err(), "a bed without knobs says so");
    assert!(!plain.evict_object("org_none").await.expect("an eviction"));
}

#[tokio::test]
async fn postgres_crashes_only_where_it_is_the_bed_s_own() {
    let bed = start(Options { postgres: Postgres::Own, ..Options::default() }).await;
    bed.restart_postgres_immediate().await.expect("a restart");
    assert!(answers(&format!("{}/readyz", bed.control_url())).await);
    bed.stop().await;
}

#[tokio::test]
async fn a_shared_bed_is_one_bed() {
    let (one, two) = tokio::join!(Bed::shared(), Bed::shared());
    assert_eq!(one.expect("a bed").edge_url(), two.expect("a bed").edge_url());
}

#[tokio::test]
#[ignore = "is the victim of the tests below"]
async fn victim_that_is_started_by_another_test() {
    let bed = Bed::shared().await.expect("a bed");
    println!("\nfolder={}", bed.data_dir().display());
    if std::env::var_os("AG_VICTIM_WAITS").is_some() {
        std::future::pending::<()>().await;
    }
}

/// Starts the victim, returns its bed's folder when the bed is ready, and ends it as told.
fn folder_of_ended_victim(kill: bool, database_url: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args([VICTIM, "--exact", "--ignored", "--nocapture"]).stdout(Stdio::piped());
    if kill {
        command.env("AG_VICTIM_WAITS", "1");
    }
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    let mut victim = command.spawn().expect("a victim");
    let lines = BufReader::new(victim.stdout.take().expect("stdout")).lines().map_while(Result::ok);
    let mut folders = lines.filter_map(|line| line.strip_prefix("folder=").map(str::to_owned));
    let folder = folders.next().expect("a bed in the victim");
    if kill {
        victim.kill().expect("kill");
    }
    victim.wait().expect("the end");
    folder
}

/// Command lines of living processes that name `folder` (Linux).
fn processes_of(folder: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

#[test]
fn an_exit_leaves_neither_processes_nor_files_of_a_shared_bed() {
    let folder = folder_of_ended_victim(false, None);
    assert_eq!(processes_of(&folder), Vec::<String>::new());
    assert!(!fs::exists(&folder).expect("a look"), "{folder} is still there");
}

#[tokio::test]
async fn a_killed_process_leaves_no_process_and_its_files_go_with_the_next_bed() {
    let folder = folder_of_ended_victim(true, None);
    let deadline = Instant::now() + SOON;
    while !processes_of(&folder).is_empty() {
        assert!(Instant::now() < deadline, "still there: {:?}", processes_of(&folder));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(fs::exists(&folder).expect("a look"));
    start(Options::default()).await.stop().await;
    assert!(!fs::exists(&folder).expect("a look"), "{folder} is still there");
}

#[tokio::test]
async fn an_exit_drops_the_database_of_a_shared_bed_in_a_foreign_server() {
    let scratch = Scratch::new().expect("a folder");
    let server = Server::start(&scratch.path().join("postgres"), None, false).await.expect("a server");
    let url = server.url();
    let victim = tokio::task::spawn_blocking(move || folder_of_ended_victim(false, Some(&url)));
    victim.await.expect("a victim");
    let mut connection = PgConnection::connect(&server.url()).await.expect("connect");
    let left = "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 'ag\\_bed%')
                     + (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'ag\\_bed%')";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&mut connection).await.expect("a count");
    assert_eq!(left, 0);
    server.stop().await;
}
