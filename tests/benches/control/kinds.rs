//! The kinds of requests: each is one line of the table.

use super::scene::{Asking, version};
use serde_json::{Value, json};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// What every request costs that does nothing.
    Floor,
    List,
    Search,
    Get,
    Create,
}

impl Sort {
    pub const ALL: [Self; 4] = [Self::List, Self::Search, Self::Get, Self::Create];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::List => "list",
            Self::Search => "search",
            Self::Get => "get",
            Self::Create => "create",
        }
    }
}

/// Makes the path and body for who asks; the number makes names that nobody has.
type Make = fn(&Asking, u64) -> (String, Option<Value>);

/// A kind of request.
#[derive(Debug)]
pub struct Kind {
    pub sort: Sort,
    pub name: &'static str,
    pub make: Make,
}

const fn kind(sort: Sort, name: &'static str, make: Make) -> Kind {
    Kind { sort, name, make }
}

fn get(path: impl Into<String>) -> (String, Option<Value>) {
    (path.into(), None)
}

/// All of them, in the order in which they come.
pub const KINDS: [Kind; 25] = [
    kind(Sort::Floor, "GET /healthz", |_, _| get("/healthz")),
    kind(Sort::List, "jobs", |_, _| get("/v1/jobs")),
    kind(Sort::List, "jobs, second page", |asking, _| get(format!("/v1/jobs{}", asking.jobs_next))),
    kind(Sort::List, "endpoints", |_, _| get("/v1/endpoints")),
    kind(Sort::List, "versions", |asking, _| get(format!("/v1/endpoints/{}/versions", asking.endpoint))),
    kind(Sort::List, "usage", |_, _| get("/v1/usage")),
    kind(Sort::List, "usage, second page", |asking, _| get(format!("/v1/usage{}", asking.usage_next))),
    kind(Sort::List, "keys", |_, _| get("/v1/keys")),
    kind(Sort::List, "audit", |_, _| get("/v1/audit")),
    kind(Sort::List, "catalog", |_, _| get("/v1/catalog")),
    kind(Sort::List, "queue", |_, _| get("/v1/queue")),
    kind(Sort::Search, "jobs by part of a name", |_, n| get(format!("/v1/jobs?search=report%20{}", n % 97))),
    kind(Sort::Search, "jobs by a name that none has", |_, n| get(format!("/v1/jobs?search=no-such-{n}"))),
    kind(Sort::Search, "jobs by state and outcome", |_, _| get("/v1/jobs?state=done&outcome=timeout")),
    kind(Sort::Search, "catalog by part of a name", |_, n| get(format!("/v1/catalog?q=haiku-{}", n % 97))),
    kind(Sort::Search, "catalog by a word that none has", |_, n| get(format!("/v1/catalog?q=nosuch{n}"))),
    kind(Sort::Search, "usage by endpoint", |asking, _| {
        get(format!("/v1/usage?endpoint={}", asking.endpoint))
    }),
    kind(Sort::Search, "audit by action", |_, _| get("/v1/audit?action=endpoints.write")),
    kind(Sort::Get, "job", |asking, _| get(format!("/v1/jobs/{}", asking.job))),
    kind(Sort::Get, "endpoint", |asking, _| get(format!("/v1/endpoints/{}", asking.endpoint))),
    kind(Sort::Get, "key", |asking, _| get(format!("/v1/keys/{}", asking.key))),
    kind(Sort::Create, "job", |_, n| {
        let body = json!({"name": format!("bench {n}"), "language": "python", "source": "print(42)"});
        ("/v1/jobs".into(), Some(body))
    }),
    kind(Sort::Create, "key", |_, n| {
        ("/v1/keys".into(), Some(json!({"name": format!("bench {n}"), "scopes": ["call"]})))
    }),
    kind(Sort::Create, "endpoint", |_, n| {
        ("/v1/endpoints".into(), Some(json!({"name": format!("bench-{n}")})))
    }),
    kind(Sort::Create, "version", |asking, _| {
        (format!("/v1/endpoints/{}/versions", asking.endpoint), Some(version()))
    }),
];
