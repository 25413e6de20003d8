//! Anthropic's Messages API, in both versions that are spoken in 2026.
//!
//! Invariant: a version refuses what its own reference removed; a model's generation is read from its name, and a
//! name that is not Anthropic's is taken for one without such limits.

mod blocks;
mod check;
mod messages;
mod render;
mod tools;

use serde_json::{Value, json};

use super::connection::Head;
use super::fault::Fault;

pub(super) use check::check;
pub(super) use render::answer;

/// The header that says which version is spoken.
const VERSION: &str = "anthropic-version";
/// The version that has no sampling parameters any more.
const WITHOUT_SAMPLING: &str = "2026-10-21";
const VERSIONS: [&str; 2] = ["2023-06-01", WITHOUT_SAMPLING];

/// Refuses a caller without a key, or without a version. Since 2026 the key may come as a bearer token, too.
pub(super) fn admit(head: &Head) -> Result<(), Fault> {
    let key = head.header("x-api-key").filter(|key| !key.is_empty()).or(head.bearer());
    if key.is_none() {
        return Err(Fault::of(401, "x-api-key header is required"));
    }
    match head.header(VERSION) {
        None => Err(Fault::invalid(format!("{VERSION}: header is required"))),
        Some(version) if VERSIONS.contains(&version) => Ok(()),
        Some(version) => Err(Fault::invalid(format!("{VERSION}: \"{version}\" is not a valid version"))),
    }
}

/// The envelope of a refusal, also in the middle of a stream.
pub(super) fn problem(fault: &Fault, request_id: &str) -> Value {
    let kind = match fault.status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    };
    json!({
        "type": "error", "error": {"type": kind, "message": fault.message}, "request_id": request_id,
    })
}

/// The answer to `GET /models`.
pub(super) fn models() -> Value {
    let model = json!({
        "type": "model", "id": "fake-1", "display_name": "Fake 1", "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
    });
    json!({"data": [model], "has_more": false, "first_id": "fake-1", "last_id": "fake-1"})
}

/// The generation that a model's name says: (4, 7) of `claude-opus-4-7`.
fn generation(model: &str) -> Option<(u32, u32)> {
    let name = model.strip_prefix("claude-")?;
    // Dates are numbers as well, but longer.
    let mut numbers = name.split('-').filter(|part| part.len() <= 2).filter_map(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next().unwrap_or_default()))
}

/// Whether the model is known to be of this generation or a later one.
fn is_at_least(model: &str, wanted: (u32, u32)) -> bool {
    generation(model).is_some_and(|found| found >= wanted)
}

#[cfg(test)]
mod tests {
    use super::{generation, is_at_least};

    #[test]
    fn a_generation_is_read_from_the_name_if_it_is_anthropics() {
        for (name, wanted) in [
            ("claude-opus-4-7", Some((4, 7))),
            ("claude-haiku-4-5-20251001", Some((4, 5))),
            ("claude-sonnet-5", Some((5, 0))),
            ("m-5", None),
        ] {
            assert_eq!(generation(name), wanted, "{name}");
        }
        assert!(is_at_least("claude-opus-5-5", (4, 7)) && !is_at_least("m", (0, 0)));
    }
}
