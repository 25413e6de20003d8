//! `PUT /v1/endpoints/{id}/gate`: says what the endpoint demands from now on, of a publication that is running, too.
//!
//! `revision` is the one that the caller has read: if it is given, another one means that somebody else was first.

use super::{DEADLINE_DEFAULT_S, DEADLINE_MAX_S, DEADLINE_MIN_S, EVALS_MAX, Gate, Thresholds, find};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Change, Changed, Effect},
    endpoints,
    error::{Answer, Error},
    evals,
    params::Id,
    principal::Gatekeeper,
    publications,
    roles::Action,
};
use alphagate_contract::{
    id::{EndpointId, EvalId, FileId, KeyId, OrgId, UserId},
    problem::{Code, Problem},
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};

/// Data sources that ask a model. What brings its answers along says nothing of a version.
const SAMPLED: [&str; 2] = ["completions", "responses"];

/// The request.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGate {
    #[serde(default)]
    revision: Option<i64>,
    evals: Vec<NewDemand>,
    #[serde(default = "an_hour")]
    #[schema(minimum = 1, maximum = 86400)]
    deadline_s: u32,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewGateDemand)]
struct NewDemand {
    eval: EvalId,
    #[schema(value_type = Object)]
    data_source: Value,
    thresholds: Thresholds,
}

const fn an_hour() -> u32 {
    DEADLINE_DEFAULT_S
}

/// Says what an endpoint demands from now on, of a publication that is running, too.
#[utoipa::path(
    put,
    path = "/v1/endpoints/{id}/gate",
    params(("id" = EndpointId, Path)),
    request_body(
        content = NewGate,
        example = json!({"evals": [{"eval": "eval_0198c0de00007000800000000000000a", "data_source": {"type": "responses", "source": {"type": "file_id", "id": "file_0198c0de00007000800000000000000a"}, "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.question}}"}]}}, "thresholds": {"pass_rate": 0.9}}]})
    ),
    responses(
        (status = 200, body = Changed<Gate>),
        (status = 400, description = "unsupported_parameter"),
        (status = 409, description = "conflict"),
    ),
)]
pub(crate) async fn put(
    keeper: Gatekeeper,
    State(app): State<App>,
    Id(endpoint): Id<EndpointId>,
    body: Body<NewGate>,
) -> Answer {
    let new = body.value;
    new.check()?;
    let mut change = Change::begin_repeatable(&app, keeper.org).await?;
    let db = change.db();
    endpoints::lock(db, keeper.org, endpoint).await?.not_withdrawn()?;
    let before = find(db, keeper.org, endpoint).await?;
    new.check_revision(&before)?;
    write_gate(db, &keeper, endpoint, &new, before.revision + 1).await?;
    for (position, demand) in new.evals.iter().enumerate() {
        write_demand(db, keeper.org, endpoint, position, demand).await?;
    }
    publications::reconsider(db, keeper.org, endpoint).await?;
    let gate = find(db, keeper.org, endpoint).await?;
    let note = Note::of(&keeper, Action::GateWrite, "put", "gate", endpoint).before(&before).after(&gate);
    change.record(note).await?;
    change.finish(StatusCode::OK, Effect::Plain, &gate).await
}

/// Lets go of the evals and files that the gate of a locked endpoint names.
pub(crate) async fn release_evals(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM gate_evals WHERE org_id = $1 AND endpoint_id = $2")
        .bind(org.uuid())
        .bind(endpoint.uuid())
        .execute(db)
        .await?;
    Ok(())
}

impl NewGate {
    fn check(&self) -> Result<(), Error> {
        if self.evals.len() > EVALS_MAX {
            return Err(Error::field("evals", format!("at most {EVALS_MAX} evals")));
        }
        if !(DEADLINE_MIN_S..=DEADLINE_MAX_S).contains(&self.deadline_s) {
            let message = format!("must be from {DEADLINE_MIN_S} to {DEADLINE_MAX_S}");
            return Err(Error::field("deadline_s", message));
        }
        for (position, demand) in self.evals.iter().enumerate() {
            demand.thresholds.check(&format!("evals[{position}].thresholds"))?;
            let kind = demand.data_source.get("type").and_then(Value::as_str).unwrap_or_default();
            if !SAMPLED.contains(&kind) {
                let message = "must be `completions` or `responses`: a gate asks the version itself";
                return Err(Error::field(format!("evals[{position}].data_source.type"), message));
            }
            if demand.data_source.get("model").is_some() {
                let message = "must not be given: the version under test is the model";
                return Err(Error::field(format!("evals[{position}].data_source.model"), message));
            }
        }
        Ok(())
    }

    fn check_revision(&self, before: &Gate) -> Result<(), Error> {
        if self.revision.is_none_or(|read| read == before.revision) {
            return Ok(());
        }
        let problem = Problem::new(Code::Conflict).param("revision");
        let problem = problem.message("The gate was changed by someone else. Read it again.");
        Err(problem.details(json!({"revision": before.revision})).into())
    }
}

async fn write_gate(
    db: &mut PgConnection,
    keeper: &Gatekeeper,
    endpoint: EndpointId,
    new: &NewGate,
    revision: i64,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO gates (org_id, endpoint_id, revision, deadline_s, changed_by, changed_by_user)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (org_id, endpoint_id) DO UPDATE
            SET revision = $3, deadline_s = $4, changed_by = $5, changed_by_user = $6, changed_at = now()",
    )
    .bind(keeper.org.uuid())
    .bind(endpoint.uuid())
    .bind(revision)
    .bind(i32::try_from(new.deadline_s).map_err(Error::internal)?)
    .bind(keeper.key().map(KeyId::uuid))
    .bind(keeper.user().map(UserId::uuid))
    .execute(&mut *db)
    .await?;
    sqlx::query("DELETE FROM gate_evals WHERE org_id = $1 AND endpoint_id = $2")
        .bind(keeper.org.uuid())
        .bind(endpoint.uuid())
        .execute(db)
        .await?;
    Ok(())
}

async fn write_demand(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    position: usize,
    demand: &NewDemand,
) -> Result<(), Error> {
    let field = |name: &str| format!("evals[{position}].{name}");
    if evals::revision(db, org, demand.eval).await?.is_none() {
        return Err(Error::field(field("eval"), "there is no such eval in your org"));
    }
    let digest = match evals::data_digest(db, org, &demand.data_source).await {
        Err(Error::Problem(problem)) => {
            let inside = problem.param.as_deref().filter(|param| param.starts_with("data_source"));
            return Err(Error::field(field(inside.unwrap_or("data_source")), problem.message));
        }
        digest => digest?,
    };
    sqlx::query(
        "INSERT INTO gate_evals
            (org_id, endpoint_id, position, eval_id, file_id, data_source, data_digest, thresholds)
         VALUES ($1, $2, $3, $4, $5, $6::text::json, $7, $8)",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(i32::try_from(position).map_err(Error::internal)?)
    .bind(demand.eval.uuid())
    .bind(file_of(&demand.data_source).map(FileId::uuid))
    .bind(demand.data_source.to_string())
    .bind(digest)
    .bind(Json(&demand.thresholds))
    .execute(db)
    .await?;
    Ok(())
}

/// The file that a data source reads, which then cannot be deleted.
fn file_of(data_source: &Value) -> Option<FileId> {
    let source = data_source.get("source")?;
    source
        .get("id")?
        .as_str()
        .filter(|_| source.get("type").is_some_and(|kind| kind == "file_id"))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(body: Value) -> Result<NewGate, String> {
        let gate: NewGate = serde_json::from_value(body).map_err(|error| error.to_string())?;
        gate.check().map_err(|error| error.to_string())?;
        Ok(gate)
    }

    fn demand(data_source: Value) -> Value {
        json!({"eval": format!("eval_{:032x}", 1), "data_source": data_source, "thresholds": {"pass_rate": 1}})
    }

    #[test]
    fn a_gate_is_read_strictly() {
        let good = demand(json!({"type": "completions"}));
        assert_eq!(gate(json!({"evals": []})).unwrap().deadline_s, DEADLINE_DEFAULT_S);
        assert!(gate(json!({"evals": vec![good.clone(); EVALS_MAX], "deadline_s": DEADLINE_MAX_S})).is_ok());
        for bad in [
            json!({}),
            json!({"evals": vec![good.clone(); EVALS_MAX + 1]}),
            json!({"evals": [good], "deadline_s": 0}),
            json!({"evals": [], "deadline_s": DEADLINE_MAX_S + 1}),
            json!({"evals": [], "deadline": 60}),
            json!({"evals": [demand(json!([]))]}),
            json!({"evals": [demand(json!({"type": "jsonl"}))]}),
            json!({"evals": [demand(json!({"type": "responses", "model": "mine"}))]}),
        ] {
            assert!(gate(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_file_of_a_data_source_is_found() {
        let file = format!("file_{:032x}", 7);
        let of =
            |source: Value| file_of(&json!({"type": "jsonl", "source": source})).map(|id| id.to_string());
        assert_eq!(of(json!({"type": "file_id", "id": file})), Some(file.clone()));
        assert_eq!(of(json!({"type": "file_content", "id": file})), None);
        assert_eq!(of(json!({"type": "file_id", "id": "file-abc"})), None);
        assert_eq!(file_of(&json!({})), None);
    }
}
