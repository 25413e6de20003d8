//! The measurements as a table, with the ratio to the floor and between the engines.

use super::{sorted, subject::Took};
use std::{fmt::Write as _, time::Duration};

/// Many jobs at once.
pub struct Throughput {
    /// How many at once.
    pub concurrency: usize,
    /// How many in a second.
    pub per_second: f64,
    /// How many did not do what they should.
    pub failures: usize,
    /// How long each took.
    pub took: Vec<Took>,
}

/// All of one subject.
pub struct Measured {
    name: &'static str,
    /// Jobs from nothing.
    pub cold: Vec<Took>,
    /// Jobs in sandboxes that waited.
    pub warm: Vec<Took>,
    /// Many at once.
    pub throughput: Vec<Throughput>,
    /// Memory of one that waits.
    pub bytes_each: u64,
}

impl Measured {
    pub const fn new(name: &'static str) -> Self {
        Self { name, cold: vec![], warm: vec![], throughput: vec![], bytes_each: 0 }
    }
}

/// The value below which so many of a hundred lie, milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).map(|time| time.as_secs_f64() * 1000.0)
}

/// One line of the table: what it is, and its value for each subject.
struct Row {
    what: String,
    values: Vec<Option<f64>>,
    digits: usize,
}

/// The whole report.
pub fn markdown(all: &[Measured]) -> String {
    let rows = rows(all);
    let mut text = String::from("| one Python job |");
    for measured in all {
        // Writing to a string does not fail.
        let _ = write!(text, " {} |", measured.name);
    }
    for measured in all.iter().skip(1) {
        let _ = write!(text, " {} / process |", measured.name);
    }
    if all.len() > 2 {
        text.push_str(" docker / runsc |");
    }
    let columns = text.matches('|').count().saturating_sub(1);
    let _ = write!(text, "\n|{}\n", " --- |".repeat(columns));
    for row in &rows {
        let _ = writeln!(text, "{}", line(row));
    }
    let failures: usize = all.iter().flat_map(|one| &one.throughput).map(|one| one.failures).sum();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let warm: Vec<&Took> = all.iter().flat_map(|one| &one.warm).collect();
    let waited = warm.iter().filter(|took| took.prestarted).count();
    let _ = writeln!(text, "\n{processors} processors; {failures} jobs failed.");
    let _ = writeln!(text, "Of {} warm jobs {waited} found an interpreter that waited.", warm.len());
    text
}

fn line(row: &Row) -> String {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
    };
    let ratio = |value: Option<f64>, floor: Option<f64>| match (value, floor) {
        (Some(value), Some(floor)) if floor > 0.0 => Some(value / floor),
        _ => None,
    };
    let mut cells: Vec<String> = row.values.iter().map(|value| number(*value, row.digits)).collect();
    let floor = row.values.first().copied().flatten();
    cells.extend(row.values.iter().skip(1).map(|value| number(ratio(*value, floor), 2)));
    if let [_, runsc, docker] = row.values.as_slice() {
        cells.push(number(ratio(*docker, *runsc), 2));
    }
    format!("| {} | {} |", row.what, cells.join(" | "))
}

fn rows(all: &[Measured]) -> Vec<Row> {
    type Pick = fn(&Measured) -> Vec<Duration>;
    let kinds: [(&str, Pick); 4] = [
        ("cold, first output", |one| sorted(&one.cold, |took| took.first)),
        ("cold, to its end", |one| sorted(&one.cold, |took| took.whole)),
        ("warm, first output", |one| sorted(&one.warm, |took| took.first)),
        ("warm, to its end", |one| sorted(&one.warm, |took| took.whole)),
    ];
    let mut rows = Vec::new();
    for (what, pick) in kinds {
        for percent in [50, 95] {
            let values = all.iter().map(|one| percentile(&pick(one), percent)).collect();
            rows.push(Row { what: format!("{what}, p{percent}, ms"), values, digits: 1 });
        }
    }
    let concurrencies = all.first().map_or(&[][..], |one| &one.throughput);
    for (index, throughput) in concurrencies.iter().enumerate() {
        let at = throughput.concurrency;
        let of = |one: &Measured, pick: &dyn Fn(&Throughput) -> Option<f64>| {
            one.throughput.get(index).and_then(pick)
        };
        let per_second = all.iter().map(|one| of(one, &|found| Some(found.per_second))).collect();
        rows.push(Row { what: format!("{at} at once, jobs/s"), values: per_second, digits: 1 });
        let p50 = |found: &Throughput| percentile(&sorted(&found.took, |took| took.whole), 50);
        let p50 = all.iter().map(|one| of(one, &p50)).collect();
        rows.push(Row { what: format!("{at} at once, to its end, p50, ms"), values: p50, digits: 0 });
    }
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let megabytes = |bytes: u64| Some(bytes as f64 / 1e6).filter(|megabytes| *megabytes > 0.0);
    let memory = all.iter().map(|one| megabytes(one.bytes_each)).collect();
    rows.push(Row { what: "memory of one that waits, MB".to_owned(), values: memory, digits: 1 });
    rows
}
