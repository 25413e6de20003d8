//! The measurements as a table: each with its ratio to the floor of the same run, and what Postgres itself was slow at.

use super::{
    fill::Sizes,
    kinds::{KINDS, Sort},
    load::{Loaded, Times, no_times},
};
use alphagate_bed::Bed;
use hdrhistogram::Histogram;
use std::{collections::BTreeMap, fmt::Write as _};

/// What the admin API promises, milliseconds at p95.
const PROMISE_MS: f64 = 20.0;
/// Statements that are named at most.
const SLOW_MAX: usize = 10;
/// Characters of a statement.
const STATEMENT_MAX: usize = 160;

/// Statements that took longer than 5 ms.
#[derive(Debug)]
pub struct Slow {
    /// How often, and how long at most, milliseconds; by their beginning.
    statements: BTreeMap<String, (u64, f64)>,
}

impl Slow {
    /// How long Postgres's log is by now.
    pub fn so_far(bed: &Bed) -> usize {
        bed.log("postgres").len()
    }

    /// What has come since.
    pub fn since(bed: &Bed, before: usize) -> Self {
        let log = bed.log("postgres");
        let mut statements: BTreeMap<String, (u64, f64)> = BTreeMap::new();
        let lines: Vec<&str> = log.get(before..).unwrap_or_default().lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some((_, rest)) = line.split_once("duration: ") else { continue };
            let Some((time, text)) = rest.split_once(" ms ") else { continue };
            // A statement of several lines goes on with tabs.
            let more = lines.iter().skip(at + 1).take_while(|line| line.starts_with('\t'));
            let words = text.split_whitespace().chain(more.flat_map(|line| line.split_whitespace()));
            let text: String =
                words.skip(2).collect::<Vec<_>>().join(" ").chars().take(STATEMENT_MAX).collect();
            let seen = statements.entry(text).or_default();
            *seen = (seen.0 + 1, seen.1.max(time.trim().parse().unwrap_or_default()));
        }
        Self { statements }
    }
}

/// The whole report.
pub fn markdown(loaded: &Loaded, sizes: &Sizes, rate: u32, slow: &Slow) -> String {
    let (idle, _) = together(loaded, |of| of == Sort::Floor);
    let floor = percentile_ms(&idle, 95.0);
    let mut text = "| request | p50, ms | p95, ms | p99, ms | p95 to the floor's | failures |\n".to_owned();
    text.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for (kind, times) in KINDS.iter().zip(&loaded.kinds) {
        row(&mut text, &format!("{}: {}", kind.sort.name(), kind.name), &times.times, times.failures, floor);
    }
    for sort in Sort::ALL {
        let (times, failures) = together(loaded, |of| of == sort);
        row(&mut text, &format!("**every {}**", sort.name()), &times, failures, floor);
    }
    let (all, failures) = together(loaded, |of| of != Sort::Floor);
    row(&mut text, "**all of them**", &all, failures, floor);
    let kept = if percentile_ms(&all, 95.0) < PROMISE_MS { "kept" } else { "not kept" };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\n{} jobs, {} usage events, {} endpoints, {} keys, {} audit entries of {} orgs; {rate} requests/s, {} in all, each \
         timed from when it was due; {processors} processors. Promise: p95 under {PROMISE_MS} ms: {kept}. Control's own \
         processor time: {:.2} ms a request.",
        sizes.jobs,
        sizes.events,
        sizes.endpoints,
        sizes.keys,
        sizes.entries,
        sizes.orgs,
        loaded.requests,
        loaded.cpu.as_secs_f64() * 1_000.0 / f64::from(loaded.requests.max(1)),
    );
    whys(&mut text, loaded);
    slow_statements(&mut text, slow);
    text
}

fn whys(text: &mut String, loaded: &Loaded) {
    for (kind, Times { why, .. }) in KINDS.iter().zip(&loaded.kinds) {
        if let Some(why) = why {
            let _ = writeln!(text, "\n{}: {}: {why}", kind.sort.name(), kind.name);
        }
    }
}

fn slow_statements(text: &mut String, slow: &Slow) {
    let mut slowest: Vec<_> = slow.statements.iter().collect();
    slowest.sort_by_key(|(_, (times, _))| std::cmp::Reverse(*times));
    if !slowest.is_empty() {
        text.push_str(
            "\nStatements of more than 5 ms:\n\n| times | at most, ms | statement |\n| --- | --- | --- |\n",
        );
    }
    for (statement, (times, most)) in slowest.into_iter().take(SLOW_MAX) {
        let _ = writeln!(text, "| {times} | {most:.1} | `{}` |", statement.replace('|', "\\|"));
    }
}

fn row(text: &mut String, name: &str, times: &Histogram<u64>, failures: u64, floor: f64) {
    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| percentile_ms(times, percent));
    let ratio = if floor > 0.0 { p95 / floor } else { 0.0 };
    let _ = writeln!(text, "| {name} | {p50:.1} | {p95:.1} | {p99:.1} | {ratio:.1} | {failures} |");
}

/// The times of all kinds of these sorts.
fn together(loaded: &Loaded, wanted: impl Fn(Sort) -> bool) -> (Histogram<u64>, u64) {
    let mut all = no_times();
    let mut failures = 0;
    for (kind, times) in KINDS.iter().zip(&loaded.kinds) {
        if wanted(kind.sort) {
            // The same bounds: nothing is out of range.
            let _ = all.add(&times.times);
            failures += times.failures;
        }
    }
    (all, failures)
}

fn percentile_ms(times: &Histogram<u64>, percent: f64) -> f64 {
    times.value_at_percentile(percent) as f64 / 1_000.0
}
