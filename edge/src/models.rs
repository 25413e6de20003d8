//! `GET /v1/models` and `GET /v1/models/{model}`: the names that the caller's org can put into `model`.

use crate::{
    admit::{self, Purpose},
    answer, config, identity, org_client,
    org_wire::{ListNames, Named},
    visit::Visit,
};
use alphagate_contract::{
    problem::{Code, Problem},
    record::RecordKey,
};
use serde_json::{Value, json};
use worker::{Request, Response};

/// How often the key's record may turn out to be old.
const OUTDATED_MAX: u32 = 3;

/// Lists all names, or answers the one that is asked for.
///
/// # Errors
/// [`Problem`], as the caller reads it.
pub async fn list(visit: &Visit, request: &Request, wanted: Option<&str>) -> Result<Response, Problem> {
    let header = request.headers().get("authorization").ok().flatten();
    let key = admit::key(&visit.settings.key_ring, header.as_deref())?;
    for _ in 0..OUTDATED_MAX {
        let identity = identity::check(visit, &key, Purpose::Call).await?;
        let seen = vec![(RecordKey::Key(key.id), identity.revision)];
        let unavailable = || Problem::new(Code::QuotaUnavailable).retry_after_ms(1_000);
        let ask = ListNames { org: key.org, seen, only: identity.record.only };
        let names = org_client::names(visit, &ask).await.ok_or_else(unavailable)?;
        if names.outdated.is_empty() {
            return show(&names.names, wanted);
        }
        config::learn(names.outdated);
    }
    Err(Problem::new(Code::ConfigUnavailable).retry_after_ms(1_000))
}

fn show(names: &[Named], wanted: Option<&str>) -> Result<Response, Problem> {
    let body = match wanted {
        None => json!({"object": "list", "data": names.iter().map(model).collect::<Vec<_>>()}),
        Some(wanted) => names
            .iter()
            .find(|named| named.name == wanted)
            .map(model)
            .ok_or_else(|| Problem::new(Code::EndpointNotFound).param("model"))?,
    };
    answer::json(body.to_string().into_bytes()).map_err(|_| Code::Internal.into())
}

fn model(named: &Named) -> Value {
    json!({"id": named.name, "object": "model", "created": named.created_s, "owned_by": named.publisher})
}
