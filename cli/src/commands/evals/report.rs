//! A run for people: its counts, each grader's, and the first items that did not pass.

use super::{read::scores, verdict::Verdict};
use crate::table::{self, Column, dollars, text};
use serde_json::Value;

/// Most items that are listed: what a person reads.
const ITEMS_MAX: usize = 20;
/// Most characters of an answer or an error that are shown.
const EXCERPT_MAX_CHARS: usize = 160;

const GRADERS: [Column; 5] = [
    ("GRADER", |row| text(&row["testing_criteria"])),
    ("PASSED", |row| text(&row["passed"])),
    ("FAILED", |row| text(&row["failed"])),
    ("ERRORED", |row| text(&row["errored"])),
    ("MEAN", |row| row["mean_score"].as_f64().map_or_else(|| "-".into(), |mean| format!("{mean:.3}"))),
];

/// What a run came to.
pub(super) fn summary(run: &Value) -> String {
    let counts = &run["result_counts"];
    let mut said = format!(
        "{} of {} is {}: {} of {} passed, {} failed, {} without a verdict; {} dollars",
        text(&run["id"]),
        text(&run["model"]),
        text(&run["status"]),
        counts["passed"],
        counts["total"],
        counts["failed"],
        counts["errored"],
        dollars(&run["alphagate"]["cost_micros"]),
    );
    if let Some(message) = run["error"]["message"].as_str() {
        said.push_str(&format!("\n  {}", table::plain(message)));
    }
    let graders = run["per_testing_criteria_results"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !graders.is_empty() {
        said.push_str("\n\n");
        said.push_str(&table::table(&GRADERS, graders));
    }
    said
}

/// The run, the items that did not pass, and the verdict.
pub(super) fn whole(run: &Value, items: &[Value], verdict: Verdict) -> String {
    let mut said = summary(run);
    let others: Vec<&Value> = items.iter().filter(|item| item["status"] != "pass").collect();
    if !others.is_empty() {
        said.push_str("\n\n");
    }
    for item in others.iter().take(ITEMS_MAX) {
        said.push_str(&format!(
            "item {}: {}  {}\n",
            item["datasource_item_id"],
            text(&item["status"]),
            scores(item)
        ));
        said.push_str(&format!("    {}\n", excerpt(&why(item))));
    }
    if others.len() > ITEMS_MAX {
        let more = others.len() - ITEMS_MAX;
        let (eval, run) = (text(&run["eval_id"]), text(&run["id"]));
        said.push_str(&format!("and {more} more: alphagate evals items {eval} {run} --all\n"));
    }
    format!("{}\n\n{}", said.trim_end(), verdict.as_str())
}

/// Why an item has no verdict; where it has one, what was answered.
pub(super) fn why(item: &Value) -> String {
    let of_graders = item["results"].as_array().into_iter().flatten().map(|result| &result["error"]);
    let mut errors = std::iter::once(&item["sample"]["error"]).chain(of_graders);
    let error = errors.find_map(|error| error["message"].as_str());
    error.or_else(|| answer(item)).unwrap_or_default().to_owned()
}

/// What was answered.
pub(super) fn answer(item: &Value) -> Option<&str> {
    let sample = &item["sample"];
    sample["output"][0]["content"].as_str().or_else(|| sample["output_text"].as_str())
}

/// The beginning of a text, on one line.
fn excerpt(text: &str) -> String {
    let words = table::plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(EXCERPT_MAX_CHARS) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_that_did_not_pass_are_named_with_the_reason() {
        let run = json!({"id": "evalrun_1", "model": "poet", "status": "completed", "alphagate": {"cost_micros": 5},
            "result_counts": {"total": 3, "passed": 1, "failed": 1, "errored": 1},
            "per_testing_criteria_results": [{"testing_criteria": "lines", "passed": 1, "failed": 1, "errored": 1, "mean_score": 0.5}]});
        let items = [
            json!({"datasource_item_id": 0, "status": "pass", "results": []}),
            json!({"datasource_item_id": 1, "status": "fail", "results": [{"name": "lines", "score": 0.0}],
                "sample": {"output": [{"content": "one\nline \u{1b}[2J"}]}}),
            json!({"datasource_item_id": 2, "status": "error", "sample": {},
                "results": [{"name": "lines", "score": 0.0, "error": {"code": "x", "message": "it broke"}}]}),
        ];
        let said = whole(&run, &items, Verdict::Failed);
        for part in [
            "1 of 3 passed",
            "item 1: fail  lines=0.0",
            "one line \u{fffd}[2J",
            "item 2: error  lines: x",
            "it broke",
            "0.500",
        ] {
            assert!(said.contains(part), "{part}:\n{said}");
        }
        assert!(!said.contains("item 0") && said.ends_with("failed"), "{said}");
    }
}
