//! `POST /v1/endpoints`: a name, private unless said otherwise, that serves nobody until a version is published.

use super::{Endpoint, Row, Terms, Visibility, columns, write_live_record};
use crate::{
    app::App,
    audit::Note,
    body::{Body, word},
    change::{Begun, Change, Changed, Effect},
    error::{Answer, Error},
    names, orgs,
    principal::Admin,
    records,
    roles::Action,
    text::Description,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    name::EndpointName,
    record::{NameRecord, RecordKey, RecordValue},
    usage::Payer,
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use sqlx::{PgConnection, types::Json};

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEndpoint {
    name: EndpointName,
    #[serde(default)]
    description: Description,
    #[serde(default = "private")]
    visibility: Visibility,
    #[serde(default = "installer_pays")]
    installs: Terms,
}

const fn private() -> Visibility {
    Visibility::Private
}

const fn installer_pays() -> Terms {
    Terms { payer: Payer::Installer, limits: Vec::new() }
}

/// Makes an endpoint: a name that serves nobody until a version is published.
#[utoipa::path(
    post,
    path = "/v1/endpoints",
    request_body(
        content = NewEndpoint,
        example = json!({"name": "haiku", "description": "Three lines about anything.", "visibility": "private"})
    ),
    responses(
        (status = 201, body = Changed<Endpoint>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(admin: Admin, State(app): State<App>, body: Body<NewEndpoint>) -> Answer {
    let new = body.value;
    new.installs.check()?;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let endpoint = insert(change.db(), admin.org, app.new_id(EndpointId::new), &new).await?;
    write_name_record(change.db(), admin.org, &endpoint).await?;
    write_live_record(change.db(), admin.org, endpoint.id).await?;
    if !new.installs.limits.is_empty() {
        orgs::write_record(change.db(), admin.org).await?;
    }
    let note = Note::of(&admin, Action::EndpointsWrite, "create", "endpoint", endpoint.id).after(&endpoint);
    change.record(note).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &endpoint).await
}

async fn insert(
    db: &mut PgConnection,
    org: OrgId,
    id: EndpointId,
    new: &NewEndpoint,
) -> Result<Endpoint, Error> {
    names::claim(db, org, &new.name).await?;
    let (payer, publisher_paid) = columns(&new.installs);
    let row: Row = sqlx::query_as(
        "INSERT INTO endpoints (org_id, id, name, description, visibility, payer, limits, publisher_paid)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING id, name, description, visibility, payer, limits, live_version, canary_version, canary_percent,
            withdrawn_at, created_at",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(new.name.as_str())
    .bind(new.description.as_str())
    .bind(word(new.visibility))
    .bind(payer)
    .bind(Json(&new.installs.limits))
    .bind(publisher_paid)
    .fetch_one(db)
    .await?;
    row.try_into()
}

async fn write_name_record(db: &mut PgConnection, org: OrgId, endpoint: &Endpoint) -> Result<(), Error> {
    let created_s = u64::try_from(endpoint.created_at.timestamp()).unwrap_or(0);
    let record = NameRecord { endpoint: endpoint.id, publisher: org, created_s, install: None };
    records::put(db, org, RecordKey::Name(org, endpoint.name.clone()), &RecordValue::Name(record)).await
}
