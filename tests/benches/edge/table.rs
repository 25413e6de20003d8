//! The measurements as a table: each value with its ratio to the floor's.

use super::{
    client::Times,
    measure::{Loaded, Measured, Memory, Streams},
    plan::{LOADS, Load, Plan},
    subject::Kind,
};
use std::{fmt::Write as _, time::Duration};

/// One line of the table: what it is, and its value for each subject.
#[derive(Debug)]
pub struct Row {
    pub what: String,
    pub values: Vec<Option<f64>>,
    digits: usize,
}

/// The whole report.
pub fn markdown(all: &[Measured], plan: &Plan) -> String {
    let floor = all.iter().position(|one| one.kind == Kind::Floor);
    let mut text = String::from("| |");
    for one in all {
        // Writing to a string does not fail.
        let _ = write!(text, " {} |", one.kind.name());
    }
    let _ = write!(text, "\n|{}\n", " --- |".repeat(all.len() + 1));
    for row in rows(all) {
        let cells: Vec<String> = row.values.iter().map(|value| cell(&row, *value, floor)).collect();
        let _ = writeln!(text, "| {} | {} |", row.what, cells.join(" | "));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let _ = writeln!(
        text,
        "\nIn parentheses: the ratio to the floor, a bare pass-through Worker in the same harness. {processors} \
         processors, {} rounds, in each of which every subject had its turn.",
        plan.rounds
    );
    for one in all.iter().filter(|one| one.failures() > 0 || one.why.is_some()) {
        let why = one.why.as_deref().unwrap_or_default();
        let _ = writeln!(text, "{}: {} failures: {why}", one.kind.name(), one.failures());
    }
    text
}

fn cell(row: &Row, value: Option<f64>, floor: Option<usize>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let number = format!("{value:.digits$}", digits = row.digits);
    let floor = floor.and_then(|at| row.values.get(at)).copied().flatten().filter(|floor| *floor > 0.0);
    match floor {
        Some(floor) => format!("{number} ({:.2})", value / floor),
        None => number,
    }
}

/// Every row.
pub fn rows(all: &[Measured]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, load) in LOADS.iter().enumerate() {
        load_rows(all, index, load, &mut rows);
    }
    stream_rows(all, "", |one| Some(&one.native), &mut rows);
    stream_rows(all, ", translated", |one| one.translated.as_ref(), &mut rows);
    memory_rows(all, &mut rows);
    rows
}

fn load_rows(all: &[Measured], index: usize, load: &Load, rows: &mut Vec<Row>) {
    let name = format!("{}, {} at once", load.size, load.connections);
    let mut row = |what: &str, digits: usize, value: &dyn Fn(&Loaded) -> Option<f64>| {
        let values = all.iter().map(|one| one.loads.get(index).and_then(value)).collect();
        rows.push(Row { what: format!("{name}: {what}"), values, digits });
    };
    for percent in [50.0, 95.0, 99.0] {
        row(&format!("p{percent}, ms"), 2, &|load| percentile_ms(&load.times, percent));
    }
    let direct = all.iter().find(|one| one.kind == Kind::Direct).and_then(|one| one.loads.get(index));
    let direct_ms = direct.and_then(|load| percentile_ms(&load.times, 50.0));
    row("added p50, ms", 2, &|load| {
        let added = percentile_ms(&load.times, 50.0)? - direct_ms?;
        Some(added).filter(|added| *added > 0.0)
    });
    row("requests/s", 0, &|load| per_second(load.times.len(), load.elapsed));
    row("CPU, µs a request", 0, &|load| each_us(load.cpu, load.times.len()));
}

fn stream_rows<'a>(
    all: &'a [Measured],
    suffix: &str,
    pick: impl Fn(&'a Measured) -> Option<&'a Streams>,
    rows: &mut Vec<Row>,
) {
    if all.iter().all(|one| pick(one).is_none()) {
        return;
    }
    let mut row = |what: &str, digits: usize, value: &dyn Fn(&Streams) -> Option<f64>| {
        let values = all.iter().map(|one| pick(one).and_then(value)).collect();
        rows.push(Row { what: format!("stream{suffix}: {what}"), values, digits });
    };
    row("first event p50, ms", 2, &|streams| percentile_ms(&streams.first, 50.0));
    row("first event p95, ms", 2, &|streams| percentile_ms(&streams.first, 95.0));
    row("delay of an event p50, ms", 2, &|streams| percentile_ms(&streams.delays, 50.0));
    row("delay of an event p95, ms", 2, &|streams| percentile_ms(&streams.delays, 95.0));
    row("events/s at once", 0, &|streams| per_second(streams.bulk_events as u64, streams.bulk_elapsed));
    row("CPU, µs an event, at once", 1, &|streams| each_us(streams.bulk_cpu, streams.bulk_events as u64));
    row("CPU, µs an event, paced", 1, &|streams| each_us(streams.paced_cpu, streams.paced_events as u64));
}

fn memory_rows(all: &[Measured], rows: &mut Vec<Row>) {
    let mut row = |what: &str, value: &dyn Fn(&Memory) -> f64| {
        let values = all.iter().map(|one| one.memory.as_ref().map(value)).collect();
        rows.push(Row { what: format!("memory {what}"), values, digits: 0 });
    };
    row("before, MB", &|memory| megabytes(memory.before));
    row("requests made", &|memory| memory.requests as f64);
    row("after half of them, MB", &|memory| megabytes(memory.after_half));
    row("after them, MB", &|memory| megabytes(memory.after_requests));
    row("after aborted streams, MB", &|memory| megabytes(memory.after_aborts));
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The value below which so many of a hundred lie, milliseconds.
pub fn percentile_ms(times: &Times, percent: f64) -> Option<f64> {
    (!times.is_empty()).then(|| times.value_at_percentile(percent) as f64 / 1e6)
}

fn per_second(count: u64, elapsed: Duration) -> Option<f64> {
    (count > 0 && !elapsed.is_zero()).then(|| count as f64 / elapsed.as_secs_f64())
}

/// Of a subject that shares our process nothing is known.
fn each_us(time: Duration, count: u64) -> Option<f64> {
    (count > 0 && !time.is_zero()).then(|| time.as_secs_f64() * 1e6 / count as f64)
}
