//! `DELETE /v1/endpoints/{id}`: gone for everybody from the next request on, and its name is free.
//!
//! Its versions and publications stay where they are, and so does the audit trail; nothing reads them through the API any
//! more. What others have installed is not taken from under them by the way: it is withdrawn first, by a call that says so.

use super::{Endpoint, lock, withdraw};
use crate::{
    app::App,
    audit::Note,
    change::{Change, Changed, Deleted, Effect},
    error::{Answer, Error},
    gates, installs, names,
    outbox::records,
    params::Id,
    principal::Admin,
    roles::Action,
    versions,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    problem::{Code, Problem},
    record::{RecordKey, RecordValue},
};
use axum::{extract::State, http::StatusCode};
use serde_json::json;
use sqlx::PgConnection;

/// Deletes an endpoint: it serves nobody any more, and its name is free. One that other orgs have installed is withdrawn first.
#[utoipa::path(
    delete,
    path = "/v1/endpoints/{id}",
    params(("id" = EndpointId, Path)),
    responses((status = 200, body = Changed<Deleted<EndpointId>>), (status = 409, description = "conflict")),
)]
pub(crate) async fn delete(admin: Admin, State(app): State<App>, Id(id): Id<EndpointId>) -> Answer {
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    let before = lock(change.db(), admin.org, id).await?;
    if before.withdrawn_at.is_none() {
        is_nobodys(change.db(), admin.org, id).await?;
        withdraw::end(&mut change, &admin, id).await?;
    }
    sqlx::query("UPDATE endpoints SET deleted_at = now() WHERE org_id = $1 AND id = $2")
        .bind(admin.org.uuid())
        .bind(id.uuid())
        .execute(change.db())
        .await?;
    let_go(change.db(), admin.org, &before).await?;
    let note = Note::of(&admin, Action::EndpointsPublish, "delete", "endpoint", id).before(&before);
    change.record(note).await?;
    change.finish(StatusCode::OK, Effect::Plain, &Deleted::new(id)).await
}

/// Refuses an endpoint that other orgs call.
async fn is_nobodys(db: &mut PgConnection, org: OrgId, id: EndpointId) -> Result<(), Error> {
    let installs = installs::number_of(db, org, id).await?;
    if installs == 0 {
        return Ok(());
    }
    let message = "Other orgs have installed this endpoint. Withdraw it first: that ends their calls, too.";
    let problem = Problem::new(Code::Conflict).param("id").message(message);
    Err(problem.details(json!({"installs": installs})).into())
}

/// Lets go of what the endpoint held: its name, what the edge knows of its versions, and the evals of its gate.
async fn let_go(db: &mut PgConnection, org: OrgId, endpoint: &Endpoint) -> Result<(), Error> {
    let name = RecordKey::Name(org, endpoint.name.clone());
    records::put(db, org, name, &RecordValue::Gone).await?;
    names::release(db, org, &endpoint.name).await?;
    for number in versions::numbers(db, org, endpoint.id).await? {
        records::put(db, org, RecordKey::Version(endpoint.id, number), &RecordValue::Gone).await?;
    }
    gates::release_evals(db, org, endpoint.id).await
}
