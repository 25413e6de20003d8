//! Which refusals a route can answer with: those that follow from its caller and its kind, and those that its annotation
//! names, each group of them one response of the document.
//!
//! Codes, statuses, types and messages come from the contract's catalogue and are written nowhere else.

use crate::{roles::is_passed_on, routes::Caller};
use alphagate_contract::problem::{Code, Problem};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a request's kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Takes {
    /// Something in the path.
    pub(super) path: bool,
    /// A query.
    pub(super) query: bool,
    /// A JSON body.
    pub(super) json: bool,
    /// Any body.
    pub(super) body: bool,
}

/// What everybody who is not the right caller is told; a member's header `x-ag-org` may be missing, or name an org that
/// they are not in.
fn of_caller(caller: Caller) -> &'static [Code] {
    use Code::{
        CrossSite, KeyInvalid, KeyMissing, NotFound, OrgSuspended, ParameterMissing, RoleMissing,
        ScopeMissing, SessionInvalid, SignatureInvalid,
    };
    match caller {
        Caller::Anyone => &[],
        Caller::Operator | Caller::Runner => &[KeyMissing, KeyInvalid],
        Caller::User => &[KeyMissing, SessionInvalid, CrossSite],
        Caller::Member(action) if is_passed_on(action) => &[
            KeyMissing,
            KeyInvalid,
            SessionInvalid,
            CrossSite,
            SignatureInvalid,
            ScopeMissing,
            RoleMissing,
            OrgSuspended,
            ParameterMissing,
            NotFound,
        ],
        Caller::Member(_) => &[
            KeyMissing,
            KeyInvalid,
            SessionInvalid,
            CrossSite,
            ScopeMissing,
            RoleMissing,
            OrgSuspended,
            ParameterMissing,
            NotFound,
        ],
        Caller::Edge => &[SignatureInvalid, Code::RequestMalformed, Code::BodyTimeout, Code::BodyTooLarge],
    }
}

/// What any route of this kind can answer.
pub(super) fn common(caller: Caller, takes: Takes) -> impl Iterator<Item = Code> {
    let kinds: [(bool, &[Code]); 6] = [
        (takes.path, &[Code::NotFound]),
        (takes.query, &[Code::ParameterInvalid]),
        (takes.json, &[Code::BodyMalformed]),
        (
            takes.body || takes.json,
            &[Code::RequestMalformed, Code::BodyTimeout, Code::BodyTooLarge, Code::Unprocessable],
        ),
        (caller != Caller::Anyone || takes.json, &[Code::Internal, Code::StoreUnavailable]),
        // What anyone may send begins accounts and sessions.
        (caller == Caller::Anyone && takes.json, &[Code::CrossSite]),
    ];
    let of_kind = kinds.into_iter().filter(|(does, _)| *does).flat_map(|(_, codes)| codes.iter());
    of_caller(caller).iter().chain(of_kind).copied()
}

/// The codes that a description names; none if it is prose.
pub(super) fn named(description: &str) -> Option<Result<Vec<Code>, String>> {
    let word = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b',' | b' ');
    let words: Vec<&str> = description.split(", ").collect();
    if description.is_empty() || !description.bytes().all(word) || words.iter().any(|word| word.contains(' '))
    {
        return None;
    }
    let code = |word: &&str| {
        let found = Code::ALL.iter().copied().find(|code| code.as_str() == *word);
        found.ok_or_else(|| format!("`{word}` is no code of contract/src/problem.rs"))
    };
    Some(words.iter().map(code).collect())
}

/// Writes one response for each status, and gives what an operation says in its place.
pub(super) fn responses(codes: BTreeSet<&'static str>, all: &mut Map<String, Value>) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.iter().filter(|code| codes.contains(code.as_str())) {
        by_status.entry(code.status()).or_default().push(*code);
    }
    let mut refs = Map::new();
    for (status, codes) in by_status {
        let name = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(".");
        all.entry(name.clone()).or_insert_with(|| response(status, &codes));
        refs.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
    }
    refs
}

fn response(status: u16, codes: &[Code]) -> Value {
    let lines: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.message())).collect();
    let example = |code: &Code| {
        (code.as_str().to_owned(), json!({"value": {"error": Problem::new(*code).error_object()}}))
    };
    let examples: Map<String, Value> = codes.iter().map(example).collect();
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let schema = json!({"allOf": [
        {"$ref": "#/components/schemas/Problem"},
        {"type": "object", "required": ["error"], "properties": {
            "error": {"type": "object", "required": ["code"], "properties": {
                "code": {"type": "string", "enum": words},
            }},
        }},
    ]});
    let text = json!({"type": "string"});
    let mut headers =
        json!({"x-request-id": {"schema": text, "description": "Quote it when you report a problem."}});
    if status == 401 {
        headers["www-authenticate"] = json!({"schema": text});
    }
    if codes.contains(&Code::RateLimitExceeded) {
        let about = "Of draft-ietf-httpapi-ratelimit-headers, on every answer.";
        for name in ["ratelimit-policy", "ratelimit"] {
            headers[name] = json!({"schema": text, "description": about});
        }
    }
    if matches!(status, 429 | 503) {
        headers["retry-after"] = json!({"schema": {"type": "integer"}, "description": "Seconds."});
    }
    json!({
        "description": lines.join("\n\n"),
        "headers": headers,
        "content": {"application/json": {"schema": schema, "examples": examples}},
    })
}

/// The envelope of every error.
pub(super) fn envelope() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let kinds: BTreeSet<&str> = Code::ALL.iter().map(|code| code.kind().as_str()).collect();
    json!({
        "type": "object",
        "description": "An error, as OpenAI's SDKs read it.",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "For people: what to do next."},
                "type": {"type": "string", "enum": kinds, "description": "OpenAI's error type."},
                "param": {"type": ["string", "null"], "description": "The field of the request that it is about."},
                "code": {"type": "string", "enum": codes, "description": "For programs; stable."},
                "details": {"description": "More, for programs."},
            },
        }},
    })
}
