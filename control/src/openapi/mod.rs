//! The OpenAPI document of every route: put together from what stands beside the handlers, and served with a page to read
//! it.
//!
//! [`crate::routes::all`] stays the truth: who may call, and that nothing is left out, is taken from there. Annotations say
//! what a handler takes and gives; what follows from its caller and its kind (credentials, ids, the common errors) is
//! added here, once. There is one document, the routes of runners and of the edge in it: between programs of different
//! ages a broken promise hurts as much as for a customer, so the same file shows it. Each operation says who it is for
//! (`x-caller`).
//!
//! A new route: `#[utoipa::path(…)]` on the handler, `utoipa::ToSchema` on its types, its name in the `Docs` of its
//! feature, and then `cargo xtask openapi`. A refusal of its own is a response whose description is its codes, comma
//! between them: `(status = 409, description = "conflict")`. One with `idempotency_mismatch` takes an `Idempotency-Key`.

mod closed;
mod dress;
mod errors;
mod page;
mod parts;
#[cfg(test)]
mod tests;

pub(crate) use page::{asset, file, page};

use crate::{
    preconditions,
    routes::{self, Route},
};
use dress::Place;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

/// The document, and what is wrong with it.
#[derive(Debug)]
pub struct Document {
    /// The document.
    pub json: Value,
    /// What somebody has forgotten, each with what to do; a test holds that it is empty.
    pub faults: Vec<String>,
}

/// Puts the document together.
#[must_use]
pub fn document() -> Document {
    let mut making = Making { routes: routes::all(), ..Making::default() };
    let parts = parts::all();
    let tags: Vec<Value> =
        parts.iter().map(|part| json!({"name": part.tag, "description": part.about})).collect();
    for part in parts {
        making.take(part.tag, serde_json::to_value(part.described).unwrap_or_default());
    }
    making.check();
    let mut json = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Alpha Gate: control",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This very program."}],
        "tags": tags,
        "paths": making.paths,
        "components": {
            "schemas": making.schemas,
            "responses": making.responses,
            "securitySchemes": dress::schemes(),
        },
    });
    closed::flatten(&mut json);
    Document { json: sorted(&json), faults: making.faults }
}

/// What a reader has to know before anything else.
const ABOUT: &str = "The control plane: orgs, keys, credentials, endpoints, publications, evals and jobs. Bodies are JSON \
objects and read strictly: unknown fields are refused. Every error has the same envelope, with a `code` for programs and a \
message that says what to do next; every answer has an `x-request-id`. What reads one resource answers with its `etag`, and what \
changes it takes it back as `if-match`. How much each caller may ask is said by `ratelimit-policy` and `ratelimit`. A change's answer says whether the edge has \
`accepted` it, which is when it holds. The routes under `/v1/evals`, `/v1/files` and `/v1/fine_tuning` are OpenAI's, and \
are served by the edge, too.";

/// The document's text, as it is served and committed.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| format!("{}\n", serde_json::to_string_pretty(&document().json).unwrap_or_default()));
    &TEXT
}

/// What has been gathered so far.
#[derive(Default)]
struct Making {
    routes: Vec<Route>,
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: Map<String, Value>,
    responses: Map<String, Value>,
    faults: Vec<String>,
}

impl Making {
    /// Takes in what one feature says.
    fn take(&mut self, tag: &str, mut described: Value) {
        let paths = described.get_mut("paths").and_then(Value::as_object_mut).map(std::mem::take);
        for (path, item) in paths.into_iter().flatten() {
            let Value::Object(operations) = item else { continue };
            for (method, operation) in operations {
                self.operation(tag, &method, &path, operation);
            }
        }
        let schemas = described.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
        for (name, schema) in schemas.map(std::mem::take).into_iter().flatten() {
            let known = self.schemas.insert(name.clone(), schema.clone());
            if known.is_some_and(|known| known != schema) {
                self.faults.push(format!("two types are called `{name}`: add `#[schema(as = …)]` to one"));
            }
        }
    }

    fn operation(&mut self, tag: &str, method: &str, path: &str, mut operation: Value) {
        let row = self.routes.iter().find(|row| {
            row.method.as_str().eq_ignore_ascii_case(method) && row.path.replace("{*", "{") == path
        });
        let Some(row) = row else {
            self.faults.push(format!("{method} {path} is described, and is not in control/src/routes.rs"));
            return;
        };
        let precondition = preconditions::kind(row, &self.routes);
        let place = Place { tag, method, path, caller: row.caller, precondition };
        dress::dress(&mut operation, &place, &mut self.responses, &mut self.faults);
        self.paths.entry(path.to_owned()).or_default().insert(method.to_owned(), operation);
    }

    /// Whether every route is there, once.
    fn check(&mut self) {
        for row in &self.routes {
            let (method, path) = (row.method.as_str().to_lowercase(), row.path.replace("{*", "{"));
            if self.paths.get(&path).is_none_or(|item| !item.contains_key(&method)) {
                self.faults.push(format!(
                    "{method} {path} is not described: put `#[utoipa::path({method}, path = \"{path}\", …)]` on its \
                     handler, and the handler's name into the `Docs` of its feature"
                ));
            }
        }
        let mut names = BTreeMap::new();
        for operation in self.paths.values().flat_map(Map::values) {
            *names.entry(operation["operationId"].to_string()).or_insert(0) += 1;
        }
        let twice = names.into_iter().filter(|(_, times)| *times > 1);
        self.faults.extend(twice.map(|(name, _)| format!("two operations are called {name}")));
    }
}

/// The same with every object's keys in order, however serde_json was built.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            Value::Object(fields.into_iter().map(|(name, field)| (name.clone(), sorted(field))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(page::file, page::page, page::asset))]
pub(crate) struct Docs;
