//! Whether a call is made again, and when. A pure function of how it ended.
//!
//! Only calls that change nothing the second time get here: reads, whole replacements, and creations under an
//! Idempotency-Key.

use alphagate_contract::problem::Code;
use std::time::Duration;

/// Most times that a call is made.
const ATTEMPTS_MAX: u32 = 4;
/// Pause after the first attempt; each one after it is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Longest pause: a person waits.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How an attempt ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Nobody is there: the connection was refused, or the name is not known.
    NobodyThere,
    /// The connection broke, or nothing came in time.
    Broken,
    /// The server said no.
    Refused { status: u16, code: String, retry_after: Option<Duration> },
}

/// The pause before the next attempt; none if there is to be none. `reached`: the server answered this program before.
pub(crate) fn pause(attempt: u32, end: &End, reached: bool) -> Option<Duration> {
    let asked = match end {
        End::NobodyThere if !reached => return None,
        End::NobodyThere | End::Broken => None,
        End::Refused { status, code, retry_after } => {
            let known = Code::ALL.iter().find(|known| known.as_str() == code);
            // What has none of our codes is a proxy's.
            let soon = known.map_or(matches!(status, 502..=504), |code| code.retryable());
            if !soon {
                return None;
            }
            *retry_after
        }
    };
    let usual = PAUSE_FIRST * 2_u32.pow(attempt.saturating_sub(1).min(ATTEMPTS_MAX));
    (attempt < ATTEMPTS_MAX).then(|| asked.unwrap_or(usual).min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str, retry_after_s: Option<u64>) -> End {
        let retry_after = retry_after_s.map(Duration::from_secs);
        End::Refused { status, code: code.into(), retry_after }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let cases = [
            (1, End::NobodyThere, false, None),
            (1, End::NobodyThere, true, ms(200)),
            (1, End::Broken, false, ms(200)),
            (3, End::Broken, false, ms(800)),
            (4, End::Broken, false, None),
            (1, refused(503, "store_unavailable", Some(1)), true, ms(1_000)),
            (1, refused(503, "overloaded", Some(3_600)), true, ms(10_000)),
            (1, refused(502, "unknown", None), true, ms(200)),
            (1, refused(429, "quota_exceeded", Some(1)), true, None),
            (1, refused(409, "conflict", None), true, None),
            (1, refused(422, "unprocessable", None), true, None),
            (1, refused(401, "invalid_api_key", None), true, None),
        ];
        for (attempt, end, reached, expected) in cases {
            assert_eq!(pause(attempt, &end, reached), expected, "{attempt} {end:?}");
        }
    }
}
