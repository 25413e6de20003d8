//! A run as JUnit XML: a suite for each grader, a case for each item, so that CI shows which item failed by which grader.

use super::report::{answer, why};
use crate::table::text;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::Value;
use std::time::Duration;

/// The suite of what came to no grader.
const SAMPLING: &str = "sampling";

/// The report of a run and its items.
pub(super) fn report(eval: &str, run: &Value, items: &[Value]) -> Report {
    let mut report = Report::new(eval);
    let ours = &run["alphagate"];
    if let (Some(start), Some(end)) = (ours["started_at"].as_u64(), ours["ended_at"].as_u64()) {
        report.set_time(Duration::from_secs(end.saturating_sub(start)));
    }
    let graders = run["per_testing_criteria_results"].as_array().map(Vec::as_slice).unwrap_or_default();
    for grader in graders {
        let name = text(&grader["testing_criteria"]);
        let mut suite = TestSuite::new(&name);
        for item in items {
            if let Some(result) = result(item, &name) {
                suite.add_test_case(case(eval, &name, item, graded(item, result)));
            }
        }
        report.add_test_suite(suite);
    }
    let mut sampling = TestSuite::new(SAMPLING);
    let unsampled = items.iter().filter(|item| item["results"].as_array().is_none_or(Vec::is_empty));
    for item in unsampled {
        sampling.add_test_case(case(eval, SAMPLING, item, error("not graded", &why(item))));
    }
    if !sampling.test_cases.is_empty() {
        report.add_test_suite(sampling);
    }
    report
}

fn result<'a>(item: &'a Value, grader: &str) -> Option<&'a Value> {
    item["results"].as_array()?.iter().find(|result| result["name"] == grader)
}

fn case(eval: &str, suite: &str, item: &Value, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(format!("item {}", item["datasource_item_id"]), status);
    case.set_classname(format!("{eval}.{suite}"));
    case.set_system_out(item["datasource_item"].to_string());
    case
}

fn graded(item: &Value, result: &Value) -> TestCaseStatus {
    if let Some(code) = result["error"]["code"].as_str() {
        return error(code, result["error"]["message"].as_str().unwrap_or_default());
    }
    if result["passed"] == true {
        return TestCaseStatus::success();
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_type("failed")
        .set_message(format!("score {}", result["score"]))
        .set_description(answer(item).unwrap_or_default());
    status
}

fn error(kind: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(kind).set_message(message);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_item_is_a_case_of_every_grader() {
        let run = json!({"alphagate": {"started_at": 10, "ended_at": 12},
            "per_testing_criteria_results": [{"testing_criteria": "a"}, {"testing_criteria": "b"}]});
        let graded = |number: u64, a: bool| {
            json!({"datasource_item_id": number, "datasource_item": {"x": "<&\u{1}"}, "sample": {"output": [{"content": "said"}]},
                "results": [{"name": "a", "passed": a, "score": 0.25},
                    {"name": "b", "passed": false, "score": 0.0, "error": {"code": "python_grader_runtime_error", "message": "m"}}]})
        };
        let unsampled = json!({"datasource_item_id": 2, "datasource_item": {}, "results": [],
            "sample": {"error": {"message": "no answer"}}});
        let xml = report("haiku", &run, &[graded(0, true), graded(1, false), unsampled]).to_string().unwrap();
        for part in [
            "tests=\"5\" skipped=\"0\" failures=\"1\" errors=\"3\"",
            "time=\"2.000\"",
            "<testsuite name=\"a\" tests=\"2\" skipped=\"0\" errors=\"0\" failures=\"1\"",
            "name=\"item 1\" classname=\"haiku.a\"",
            "type=\"failed\">said<",
            "message=\"score 0.25\"",
            "type=\"python_grader_runtime_error\"",
            "message=\"no answer\"",
        ] {
            assert!(xml.contains(part), "{part}:\n{xml}");
        }
        assert!(!xml.contains('\u{1}'), "XML has no such character");
    }
}
