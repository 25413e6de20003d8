//! How a job ended, as a status: its own code's, or one that tells that its code did not come to an end. Pure.

use crate::exit;
use serde_json::Value;

/// The status for a job that has ended, and a word about it where it is not the code's own.
pub(super) fn status(job: &Value) -> (u8, Option<String>) {
    let outcome = job["outcome"].as_str().unwrap_or_default();
    let ending = job["attempts"].as_array().and_then(|attempts| attempts.last()).map(|last| &last["ending"]);
    let how = ending.and_then(|ending| ending["how"].as_str()).unwrap_or_default();
    let number = |name: &str| ending.and_then(|ending| ending[name].as_i64());
    match (outcome, how) {
        ("passed" | "failed", "exited") => match number("code").and_then(|code| u8::try_from(code).ok()) {
            Some(code) => (code, None),
            None => (exit::JOB_TROUBLE, Some("the job's status is none that a process has".into())),
        },
        ("failed", "signaled") => {
            let signal = number("signal").and_then(|signal| u8::try_from(signal).ok()).unwrap_or_default();
            let status = exit::JOB_SIGNALED.saturating_add(signal);
            (status, Some(format!("signal {signal} ended the job")))
        }
        ("timeout", _) => {
            let limit = ending.and_then(|ending| ending["limit"].as_str()).unwrap_or("time");
            (exit::JOB_TIMEOUT, Some(format!("the job's time is up ({limit})")))
        }
        ("", _) => {
            let state = job["state"].as_str().unwrap_or_default();
            (exit::JOB_TROUBLE, Some(format!("the job is {state}")))
        }
        (outcome, _) => {
            let message = ending.and_then(|ending| ending["message"].as_str());
            let message = message.map(|message| format!(": {message}")).unwrap_or_default();
            (exit::JOB_TROUBLE, Some(format!("the job ended by {outcome}{message}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_codes_own_status_and_others_for_what_is_not_its_own() {
        let cases = [
            ("passed", json!({"how": "exited", "code": 0}), 0),
            ("failed", json!({"how": "exited", "code": 3}), 3),
            ("failed", json!({"how": "exited", "code": 255}), 255),
            ("failed", json!({"how": "signaled", "signal": 9}), 137),
            ("timeout", json!({"how": "limited", "limit": "wall"}), 124),
            ("memory", json!({"how": "limited", "limit": "memory"}), 125),
            ("crashed", json!({"how": "died", "message": "m"}), 125),
            ("infrastructure", json!({"how": "not_run", "code": "image_unavailable", "message": "m"}), 125),
        ];
        for (outcome, ending, expected) in cases {
            let job = json!({"state": "done", "outcome": outcome,
                "attempts": [{"ending": {"how": "lost"}}, {"ending": ending}]});
            let (status, word) = super::status(&job);
            assert_eq!(
                (status, word.is_none()),
                (expected, job["attempts"][1]["ending"]["how"] == "exited"),
                "{job}"
            );
        }
        let canceled = json!({"state": "canceled", "outcome": null, "attempts": []});
        assert_eq!(super::status(&canceled), (125, Some("the job is canceled".into())));
    }
}
