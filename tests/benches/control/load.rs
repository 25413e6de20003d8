//! An open load: each request is sent at its time, and timed from it.
//!
//! Invariant: nobody waits for an answer before the next request is sent; a kind comes as often as any other.

use super::{
    kinds::{KINDS, Kind},
    scene::{Asking, Scene},
};
use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use reqwest::Client;
use std::{
    thread,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Three digits, from a microsecond to a minute.
const DIGITS: u8 = 3;
const TIME_MAX_US: u64 = 60_000_000;

/// Times of one kind, microseconds.
#[derive(Debug)]
pub struct Times {
    pub times: Histogram<u64>,
    pub failures: u64,
    /// What the first failure said.
    pub why: Option<String>,
}

/// What came of a load.
#[derive(Debug)]
pub struct Loaded {
    /// In the order of [`KINDS`].
    pub kinds: Vec<Times>,
    /// Processor time of control.
    pub cpu: Duration,
    pub requests: u32,
}

/// No times yet.
pub fn no_times() -> Histogram<u64> {
    #[expect(clippy::unwrap_used, reason = "the bounds are constants that the histogram takes")]
    Histogram::new_with_bounds(1, TIME_MAX_US, DIGITS).unwrap()
}

impl Times {
    fn new() -> Self {
        Self { times: no_times(), failures: 0, why: None }
    }

    fn count(&mut self, time: Duration, answer: Result<()>) {
        self.times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        if let Err(error) = answer {
            self.failures += 1;
            self.why.get_or_insert_with(|| format!("{error:#}"));
        }
    }
}

/// So many requests a second, for so long.
pub async fn run(scene: &Scene, rate: u32, length: Duration) -> Result<Loaded> {
    let http = Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
    let requests = u32::try_from(length.as_secs()).unwrap_or(u32::MAX).saturating_mul(rate);
    let run = u64::from(rand_number());
    let mut due_times = metronome(rate, requests);
    let mut tasks = JoinSet::new();
    while let Some((number, due)) = due_times.recv().await {
        let number = u64::from(number);
        let at = number as usize % KINDS.len();
        let round = number as usize / KINDS.len();
        let (Some(kind), Some(asking)) = (KINDS.get(at), scene.asking.get(round % scene.asking.len())) else {
            continue;
        };
        let request = build(&http, &scene.url, kind, asking, run * 1_000_000 + number)?;
        tasks.spawn(async move {
            let answer = send(request).await;
            (at, due.elapsed(), answer)
        });
    }
    let mut kinds: Vec<Times> = Vec::from_iter(KINDS.iter().map(|_| Times::new()));
    while let Some(done) = tasks.join_next().await {
        let (at, time, answer) = done?;
        kinds.get_mut(at).context("a kind without times")?.count(time, answer);
    }
    Ok(Loaded { kinds, cpu: Duration::ZERO, requests })
}

/// Tells each request and its time when that has come. A thread of its own: the runtime's timers are up to a millisecond
/// late, which every time would show.
fn metronome(rate: u32, requests: u32) -> UnboundedReceiver<(u32, Instant)> {
    let (tell, told) = unbounded_channel();
    let begun = Instant::now();
    thread::spawn(move || {
        for number in 0..requests {
            let due = begun + Duration::from_secs(1) * number / rate;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if tell.send((number, due)).is_err() {
                return;
            }
        }
    });
    told
}

/// Runs do not make the same names.
fn rand_number() -> u32 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_millis() + 1)
}

fn build(
    http: &Client,
    url: &str,
    kind: &Kind,
    asking: &Asking,
    number: u64,
) -> Result<reqwest::RequestBuilder> {
    let (path, body) = (kind.make)(asking, number);
    let url = format!("{url}{path}");
    let request = match body {
        Some(body) => {
            http.post(url).header("content-type", "application/json").body(serde_json::to_vec(&body)?)
        }
        None => http.get(url),
    };
    Ok(request.bearer_auth(&asking.token))
}

/// The whole answer, which must be a success.
async fn send(request: reqwest::RequestBuilder) -> Result<()> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    anyhow::ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
