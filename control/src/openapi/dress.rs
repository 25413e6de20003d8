//! What is added to every operation because of its caller and its kind: name, credentials, headers, refusals.

use super::errors::{self, Takes};
use crate::{preconditions::Kind, rate_limits, roles::is_passed_on, routes::Caller};
use alphagate_contract::{
    problem::Code,
    sign::{PRINCIPAL_HEADER, SIGNATURE_HEADER},
};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where an operation stands.
pub(super) struct Place<'a> {
    /// Its feature.
    pub(super) tag: &'a str,
    /// In lower case.
    pub(super) method: &'a str,
    /// With its parameters in braces.
    pub(super) path: &'a str,
    /// Who may call it.
    pub(super) caller: Caller,
    /// What preconditions mean to it.
    pub(super) precondition: Option<Kind>,
}

/// Every way to show who one is.
pub(super) fn schemes() -> Value {
    let bearer = |description: &str, form: &str| json!({"type": "http", "scheme": "bearer", "bearerFormat": form, "description": description});
    let header = |description: &str, name: &str| json!({"type": "apiKey", "in": "header", "name": name, "description": description});
    json!({
        "api_key": bearer("An org's API key; its scopes say what it may do.", "ag_live_…"),
        "session": bearer("A session of a signed-in user; `x-ag-org` says for which org, the personal one if not.", "ags_…"),
        "session_cookie": {"type": "apiKey", "in": "cookie", "name": crate::accounts::SESSION_COOKIE, "description": "The same session in a browser; with `x-ag-csrf: 1` on every change."},
        "operator_token": bearer("The operator's token, from control's settings.", "hex"),
        "runner_token": bearer("What a host registers with.", "ag_rnr_…"),
        "edge_signature": header("The edge's signature over the request.", SIGNATURE_HEADER),
        "edge_principal": header("Whose key the edge has checked: `org/key`.", PRINCIPAL_HEADER),
    })
}

/// Which of them a caller needs: one entry of the list is enough.
fn security(caller: Caller) -> Value {
    match caller {
        Caller::Anyone => json!([]),
        Caller::Operator => json!([{"operator_token": []}]),
        Caller::User => json!([{"session": []}, {"session_cookie": []}]),
        Caller::Member(action) => {
            let passed_on = json!({"edge_principal": [], "edge_signature": []});
            let mut ways = vec![json!({"session": []}), json!({"session_cookie": []})];
            ways.extend((!action.scopes().is_empty()).then(|| json!({"api_key": []})));
            ways.extend(is_passed_on(action).then_some(passed_on));
            ways.into()
        }
        Caller::Runner => json!([{"runner_token": []}]),
        Caller::Edge => json!([{"edge_signature": []}]),
    }
}

/// Who may call, in words.
const fn who(caller: Caller) -> &'static str {
    match caller {
        Caller::Anyone => "anyone",
        Caller::Operator => "operator",
        Caller::User => "user",
        Caller::Member(_) => "member",
        Caller::Runner => "runner",
        Caller::Edge => "edge",
    }
}

/// Adds what follows from the place of an operation.
pub(super) fn dress(
    operation: &mut Value,
    place: &Place<'_>,
    all: &mut Map<String, Value>,
    faults: &mut Vec<String>,
) {
    let name = format!("{}_{}", place.tag, operation["operationId"].as_str().unwrap_or_default());
    let summary = operation["summary"].as_str().unwrap_or_default().replace('\n', " ");
    operation["operationId"] = name.into();
    operation["summary"] = summary.into();
    operation["tags"] = json!([place.tag]);
    operation["security"] = security(place.caller);
    operation["x-caller"] = who(place.caller).into();
    if let Caller::Member(action) = place.caller {
        operation["x-action"] = action.as_str().into();
    }
    let mut codes = own_codes(operation, place, faults);
    if codes.contains(Code::IdempotencyMismatch.as_str()) {
        add_idempotency_key(operation);
    }
    codes.extend(place.precondition.and_then(|kind| add_preconditions(operation, kind)).map(Code::as_str));
    codes.extend(rate_limits::is_limited(place.caller, place.path).then(|| Code::RateLimitExceeded.as_str()));
    codes.extend(errors::common(place.caller, takes(operation)).map(Code::as_str));
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    describe(responses);
    responses.extend(errors::responses(codes, all));
}

/// Takes the codes that the annotation names out of its responses.
fn own_codes(operation: &mut Value, place: &Place<'_>, faults: &mut Vec<String>) -> BTreeSet<&'static str> {
    let mut codes = BTreeSet::new();
    let Some(responses) = operation["responses"].as_object_mut() else { return codes };
    responses.retain(|status, response| {
        let Some(named) = errors::named(response["description"].as_str().unwrap_or_default()) else {
            return true;
        };
        let at = format!("{} {}", place.method, place.path);
        match named {
            Ok(named) => {
                let stray = named.iter().filter(|code| code.status().to_string() != *status);
                faults.extend(stray.map(|code| format!("{at}: {} is not {status}", code.as_str())));
                codes.extend(named.iter().map(|code| code.as_str()));
            }
            Err(fault) => faults.push(format!("{at}: {fault}")),
        }
        false
    });
    codes
}

fn takes(operation: &Value) -> Takes {
    let is_in = |wanted: &str| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["in"] == wanted))
    };
    let content = operation.pointer("/requestBody/content").and_then(Value::as_object);
    Takes {
        path: is_in("path"),
        query: is_in("query"),
        json: content.is_some_and(|content| content.contains_key("application/json")),
        body: content.is_some(),
    }
}

/// Adds the headers of a route that reads or changes one resource; gives its refusal, if there can be one.
fn add_preconditions(operation: &mut Value, kind: Kind) -> Option<Code> {
    let ok = operation["responses"].get_mut("200");
    let ok = ok.filter(|ok| ok.pointer("/content/application~1json").is_some());
    let tag =
        json!({"schema": {"type": "string"}, "description": "The resource's strong tag, for `if-match`."});
    let is_tagged = ok.is_some();
    if let Some(ok) = ok {
        ok["headers"]["etag"] = tag.clone();
    }
    let (name, description) = match kind {
        Kind::Read if !is_tagged => return None,
        Kind::Read => {
            operation["responses"]["304"] =
                json!({"description": "The caller has the newest.", "headers": {"etag": tag}});
            ("if-none-match", "Tags of what the caller has; `*`: anything.")
        }
        Kind::Write => {
            ("if-match", "Tags of what the caller believes to be there; `*`: anything. Else it is 412.")
        }
    };
    add_header(
        operation,
        json!({
            "in": "header",
            "name": name,
            "description": description,
            "schema": {"type": "string"},
            "example": "\"9b2d5a0c33fe4f0c8d2f5e7a1b6c4d30\"",
        }),
    );
    Some(Code::PreconditionFailed)
}

fn add_idempotency_key(operation: &mut Value) {
    add_header(
        operation,
        json!({
            "in": "header",
            "name": "idempotency-key",
            "description": "The same request under the same key is done once, and its answer kept for a day.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "example": "7f9c2c1e-4a55-4c2e-9d0b-5a1f3e0b8f11",
        }),
    );
}

fn add_header(operation: &mut Value, parameter: Value) {
    if !operation["parameters"].is_array() {
        operation["parameters"] = json!([]);
    }
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.push(parameter);
    }
}

/// Gives every answer a description, and bytes the schema of bytes.
fn describe(responses: &mut Map<String, Value>) {
    for (status, response) in responses {
        if response["description"].as_str().is_none_or(str::is_empty) {
            let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
            response["description"] =
                status.and_then(|status| status.canonical_reason()).unwrap_or_default().into();
        }
        if let Some(content) = response.pointer_mut("/content/application~1octet-stream") {
            content["schema"] = json!({"type": "string", "format": "binary"});
        }
    }
}
