//! The table of cases: how the SDK is called, what the provider does, and what the SDK's user must see.

use serde_json::{Value, json};

/// Size of the image, bytes.
pub const IMAGE_BYTES: u32 = 2_000_000;
/// What the provider answers: beyond ASCII, so that bytes that are lost show.
pub const TEXT: &str = "The café’s last cup —\nsplash! 🌸 風 again";

/// One row.
pub struct Case {
    /// Its name, which travels in the body.
    pub name: &'static str,
    /// `create`, `raw`, `helper` or `models`.
    pub how: &'static str,
    /// Knobs of the provider.
    pub fake: Value,
    /// More fields of the request's body.
    pub extra: Value,
    /// Of the client: key, model, timeout.
    pub options: Value,
    /// What the SDK's user must see, at least.
    pub wanted: Value,
    /// Called by the org whose quota is used up.
    pub used_up: bool,
    /// With an image by URL as input.
    pub image_url: bool,
    /// How many calls reach the provider.
    pub calls: Option<usize>,
    /// The client leaves, and the provider's call must end with it.
    pub aborted: bool,
}

fn case(name: &'static str, how: &'static str, fake: Value, wanted: Value) -> Case {
    let (extra, options) = (json!({}), json!({}));
    Case {
        name,
        how,
        fake,
        extra,
        options,
        wanted,
        used_up: false,
        image_url: false,
        calls: None,
        aborted: false,
    }
}

impl Case {
    fn extra(self, extra: Value) -> Self {
        Self { extra, ..self }
    }

    fn options(self, options: Value) -> Self {
        Self { options, ..self }
    }

    fn calls(self, calls: usize) -> Self {
        Self { calls: Some(calls), ..self }
    }
}

/// All rows, for a caller who calls the endpoint `name`.
pub fn cases(name: &str) -> Vec<Case> {
    [good(name), refused(), retried(), left(), broken()].into_iter().flatten().collect()
}

fn good(name: &str) -> Vec<Case> {
    let fake = || json!({"text": TEXT, "usage": {"input_tokens": 5, "output_tokens": 7}});
    let answer =
        || json!({"text": TEXT, "model": name, "status": "completed", "total_tokens": 12, "attempts": 1});
    let with = |mut value: Value, name: &str, more: Value| {
        value[name] = more;
        value
    };
    let streamed = || with(answer(), "deltas", TEXT.into());
    let slow = || with(fake(), "delay_headers_ms", 1_300.into());
    let bytewise = || with(with(fake(), "chunk_bytes", 1.into()), "eol", "crlf".into());
    vec![
        case("create", "create", fake(), with(answer(), "request_id", "^req_".into())).calls(1),
        case("raw stream", "raw", fake(), streamed()).calls(1),
        case("stream helper", "helper", fake(), streamed()).calls(1),
        case("raw stream, 1 byte a chunk, CRLF", "raw", bytewise(), streamed()),
        case("stream helper, 1 byte a chunk, CRLF", "helper", bytewise(), streamed()),
        case("raw stream after comments", "raw", slow(), streamed()),
        case("stream helper after comments", "helper", slow(), streamed()),
        case("raw stream with [DONE]", "raw", with(fake(), "done_marker", true.into()), streamed()),
        Case { image_url: true, ..case("image by URL", "create", fake(), answer()) }.calls(1),
        case("image in base64", "create", fake(), answer())
            .options(json!({"image_file": "$image_file", "dump": "$dump"})),
        case("models", "models", json!({}), json!({"ids": [name]})),
    ]
}

fn error(class: &str, status: u16, kind: &str, code: &str) -> Value {
    json!({"attempts": 1, "error": {"class": class, "status": status, "type": kind, "code": code, "request_id": "^req_"}})
}

/// What the gateway refuses: told by class, code and request id, and never tried again.
fn refused() -> Vec<Case> {
    let invalid = "invalid_request_error";
    let authentication = error("AuthenticationError", 401, "authentication_error", "invalid_api_key");
    let mut unsupported = error("BadRequestError", 400, invalid, "unsupported_parameter");
    unsupported["error"]["param"] = "previous_response_id".into();
    let quota = error("RateLimitError", 429, "rate_limit_error", "quota_exceeded");
    let used_up = |name, how| Case { used_up: true, ..case(name, how, json!({}), quota.clone()) };
    let state = json!({"previous_response_id": "resp_1"});
    vec![
        case("401", "create", json!({}), authentication.clone())
            .options(json!({"api_key": "ag_live_mistyped"}))
            .calls(0),
        case("401 in a stream", "helper", json!({}), authentication)
            .options(json!({"api_key": "sk-1"}))
            .calls(0),
        case(
            "403",
            "create",
            json!({}),
            error("PermissionDeniedError", 403, "permission_error", "scope_missing"),
        )
        .options(json!({"api_key": "$admin_key"}))
        .calls(0),
        case("404", "create", json!({}), error("NotFoundError", 404, invalid, "model_not_found"))
            .options(json!({"model": "no-such-endpoint"}))
            .calls(0),
        case("400", "create", json!({}), unsupported.clone()).extra(state.clone()).calls(0),
        case("400 in a stream", "raw", json!({}), unsupported).extra(state).calls(0),
        case(
            "400 of the provider",
            "create",
            json!({"status": 400}),
            error("BadRequestError", 400, invalid, "upstream_rejected"),
        )
        .calls(1),
        case(
            "422 of the provider",
            "create",
            json!({"status": 422}),
            error("BadRequestError", 400, invalid, "upstream_rejected"),
        )
        .calls(1),
        used_up("429 of a quota", "create"),
        used_up("429 of a quota in a stream", "raw"),
    ]
}

/// What may go better next time: called three times in all.
fn retried() -> Vec<Case> {
    let server = |class, status, code| {
        let kind = if status == 429 { "rate_limit_error" } else { "server_error" };
        let mut wanted = error(class, status, kind, code);
        wanted["attempts"] = 3.into();
        wanted
    };
    let overloaded = server("InternalServerError", 503, "upstream_overloaded");
    vec![
        case("503", "create", json!({"status": 503}), overloaded.clone()).calls(3),
        case("503 in a stream", "raw", json!({"status": 503}), overloaded.clone()).calls(3),
        case("503 in a stream helper", "helper", json!({"status": 503}), overloaded).calls(3),
        case(
            "500 of the provider",
            "create",
            json!({"status": 500}),
            server("InternalServerError", 502, "upstream_error"),
        )
        .calls(3),
        case(
            "429 of the provider",
            "create",
            json!({"status": 429}),
            server("RateLimitError", 429, "upstream_rate_limited"),
        )
        .calls(3),
        case(
            "refused by the provider",
            "create",
            json!({"refuse": "reset"}),
            server("InternalServerError", 502, "upstream_unreachable"),
        ),
    ]
}

/// Clients that do not wait: a stream's call at the provider ends with it.
fn left() -> Vec<Case> {
    let late = |delay_ms: u64| json!({"delay_headers_ms": delay_ms});
    let late_error = || json!({"attempts": 1, "error": {"class": "APITimeoutError"}});
    let impatient = |case: Case| case.options(json!({"timeout_s": 0.2, "max_retries": 0})).calls(1);
    let aborted = |case: Case| Case { aborted: true, ..case };
    let leaver = |case: Case| aborted(case.options(json!({"leave_after": 5})).calls(1));
    let silent = || json!({"silent_after_events": 6});
    vec![
        // Nothing is written before the answer, so nothing tells that it is not waited for.
        impatient(case("timeout", "create", late(1_000), late_error())),
        aborted(impatient(case("timeout of a stream", "raw", late(30_000), late_error()))),
        aborted(impatient(case("timeout of a stream helper", "helper", late(30_000), late_error()))),
        leaver(case("left in the middle of a stream", "raw", silent(), json!({"attempts": 1}))),
        leaver(case("left in the middle of a stream helper", "helper", silent(), json!({"attempts": 1}))),
    ]
}

/// A stream that began and breaks: every SDK raises, in both styles, and none tries again.
fn broken() -> Vec<Case> {
    let raises = |code: &str| json!({"attempts": 1, "error": {"class": "APIError", "code": code}});
    let mut all = Vec::new();
    for how in ["raw", "helper"] {
        let of = |raw: &'static str, helper: &'static str| if how == "raw" { raw } else { helper };
        let rows = [
            (of("reset", "reset, helper"), json!({"reset_after_events": 6}), "upstream_incomplete"),
            (
                of("reset at once", "reset at once, helper"),
                json!({"reset_after_events": 0}),
                "upstream_incomplete",
            ),
            (
                of("ends early", "ends early, helper"),
                json!({"truncate_after_events": 6}),
                "upstream_incomplete",
            ),
            (
                of("ends at once", "ends at once, helper"),
                json!({"truncate_after_events": 0}),
                "upstream_incomplete",
            ),
            (of("fails", "fails, helper"), json!({"terminal": "failed"}), "server_error"),
            (
                of("fails late", "fails late, helper"),
                json!({"delay_headers_ms": 1_200, "status": 500}),
                "upstream_error",
            ),
            (
                of("resets late", "resets late, helper"),
                json!({"delay_headers_ms": 1_200, "refuse": "reset"}),
                "upstream_unreachable",
            ),
        ];
        all.extend(rows.map(|(name, fake, code)| case(name, how, fake, raises(code)).calls(1)));
    }
    all
}
