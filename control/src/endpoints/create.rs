//! `POST /v1/endpoints`: a name, private unless said otherwise, that serves nobody until a version is published.

use super::{Endpoint, Row, Terms, Visibility, columns, tags::Tags, write_live_record};
use crate::{
    app::App,
    audit::Note,
    body::{Body, word},
    change::{Begun, Change, Changed, Effect},
    error::{Answer, Error},
    names, orgs,
    outbox::records,
    principal::Admin,
    roles::Action,
    text::Description,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    name::EndpointName,
    record::{NameRecord, RecordKey, RecordValue},
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use sqlx::{PgConnection, types::Json};

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEndpoint {
    pub(crate) name: EndpointName,
    #[serde(default)]
    pub(crate) description: Description,
    /// What the catalog is filtered by.
    #[serde(default)]
    pub(crate) tags: Tags,
    #[serde(default = "private")]
    pub(crate) visibility: Visibility,
    #[serde(default = "installer_pays")]
    pub(crate) installs: Terms,
}

const fn private() -> Visibility {
    Visibility::Private
}

const fn installer_pays() -> Terms {
    Terms::INSTALLER_PAYS
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
    let endpoint = make(&app, change.db(), &admin, &new).await?;
    let note = Note::of(&admin, Action::EndpointsWrite, "create", "endpoint", endpoint.id).after(&endpoint);
    change.record(note).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &endpoint).await
}

/// Makes an endpoint and its records.
pub(crate) async fn make(
    app: &App,
    db: &mut PgConnection,
    admin: &Admin,
    new: &NewEndpoint,
) -> Result<Endpoint, Error> {
    let endpoint = insert(db, admin.org, app.new_id(EndpointId::new), new).await?;
    write_name_record(db, admin.org, &endpoint).await?;
    write_live_record(db, admin.org, endpoint.id).await?;
    if !new.installs.limits.is_empty() {
        orgs::write_record(db, admin.org).await?;
    }
    Ok(endpoint)
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
        "INSERT INTO endpoints (org_id, id, name, description, visibility, payer, limits, publisher_paid, tags)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         RETURNING id, name, description, tags, visibility, payer, limits, live_version, canary_version,
            canary_percent, withdrawn_at, created_at",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(new.name.as_str())
    .bind(new.description.as_str())
    .bind(word(new.visibility))
    .bind(payer)
    .bind(Json(&new.installs.limits))
    .bind(publisher_paid)
    .bind(new.tags.as_slice())
    .fetch_one(db)
    .await?;
    row.try_into()
}

async fn write_name_record(db: &mut PgConnection, org: OrgId, endpoint: &Endpoint) -> Result<(), Error> {
    let created_s = u64::try_from(endpoint.created_at.timestamp()).unwrap_or(0);
    let record = NameRecord { endpoint: endpoint.id, publisher: org, created_s, install: None };
    records::put(db, org, RecordKey::Name(org, endpoint.name.clone()), &RecordValue::Name(record)).await
}
