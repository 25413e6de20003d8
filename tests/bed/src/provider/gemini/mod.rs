//! Gemini's `generateContent` and `streamGenerateContent`, as the reference of the Gemini API has them.
//!
//! Invariant: what proto3 does not know is refused.

mod check;
mod contents;
mod render;
mod schema;
mod spelling;
mod tools;

use serde_json::{Value, json};

use super::answer::Answer;
use super::connection::Head;
use super::fault::Fault;

pub(super) use check::check;
pub(super) use render::answer;
pub(super) use spelling::as_spelled;

/// Which model a path asks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) model: &'a str,
    pub(super) stream: bool,
}

/// Reads `…/models/{model}:{method}`.
pub(super) fn target(route: &str) -> Option<Target<'_>> {
    let (_, name) = route.rsplit_once("/models/")?;
    let (model, method) = name.rsplit_once(':')?;
    let stream = match method {
        "generateContent" => false,
        "streamGenerateContent" => true,
        _ => return None,
    };
    Some(Target { model, stream })
}

/// Whether the caller shows a key in one of Gemini's ways.
pub(super) fn shows_key(head: &Head) -> bool {
    let in_query =
        head.query().split('&').filter_map(|pair| pair.strip_prefix("key=")).any(|key| !key.is_empty());
    in_query || head.header("x-goog-api-key").is_some_and(|key| !key.is_empty())
}

/// Refuses a caller without a key. Another provider's bearer token is taken for one of Google's that is not valid.
pub(super) fn admit(head: &Head) -> Result<(), Fault> {
    if shows_key(head) {
        return Ok(());
    }
    Err(match head.bearer() {
        Some(_) => Fault::of(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
             valid authentication credential.",
        ),
        None => Fault::of(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key \
             or other form of API consumer identity to call this API.",
        ),
    })
}

/// Google's envelope.
pub(super) fn problem(fault: &Fault) -> Value {
    let status = match fault.status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..500 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    };
    let mut error = json!({"code": fault.status, "message": fault.message, "status": status});
    if let Some(field) = &fault.param {
        let violation = json!({"field": field, "description": fault.message});
        error["details"] = json!([
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]},
        ]);
    }
    json!({"error": error})
}

/// The answer to `GET /models`.
pub(super) fn models() -> Value {
    json!({"models": [{
        "name": "models/fake-1", "version": "1", "displayName": "Fake 1", "inputTokenLimit": 1_000_000,
        "outputTokenLimit": 65_536, "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
    }]})
}

/// A stream that was not asked for as events is a list.
pub(super) fn as_asked(mut answer: Answer, head: &Head) -> Answer {
    let streams = target(head.route()).is_some_and(|target| target.stream);
    if streams && !head.query().contains("alt=sse") {
        answer.status = 200;
        answer.whole = answer.events.iter().map(|event| event.data.clone()).collect();
    }
    answer
}

/// The generation that a model's name says: 3 of `gemini-3.1-pro`.
fn generation(model: &str) -> Option<u32> {
    let digits = model.strip_prefix("gemini-")?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Target, generation, target};

    #[test]
    fn a_path_says_model_and_method() {
        let whole = Target { model: "gemini-3-pro", stream: false };
        assert_eq!(target("/v1beta/models/gemini-3-pro:generateContent"), Some(whole));
        assert_eq!(target("/v1/models/m:streamGenerateContent"), Some(Target { model: "m", stream: true }));
        assert_eq!(target("/v1/models/m:countTokens"), None);
        assert_eq!(target("/v1/models"), None);
    }

    #[test]
    fn a_generation_is_read_from_the_name_if_it_is_googles() {
        assert_eq!(generation("gemini-3.1-pro"), Some(3));
        assert_eq!(generation("gemini-2.5-flash"), Some(2));
        assert_eq!((generation("m"), generation("gemini-flash")), (None, None));
    }
}
