//! `POST /v1/installs`: another org's endpoint, under a name of one's own.

use super::{Install, Row, check_version, write_record};
use crate::{
    app::App,
    audit::Note,
    body::{Body, word},
    change::{Begun, Change, Changed, Effect},
    endpoints::{Offer, offer_to_anyone},
    error::{Answer, Error},
    names, orgs,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    id::{CredentialId, EndpointId, InstallId, OrgId},
    name::EndpointName,
    problem::Code,
    usage::Payer,
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use sqlx::PgConnection;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInstall {
    endpoint: EndpointId,
    name: EndpointName,
    /// The version to stay on; none: follow what is live.
    #[serde(default)]
    version: Option<u32>,
    payer: Payer,
    #[serde(default)]
    credential: Option<CredentialId>,
}

/// Installs another org's endpoint under a name of one's own.
#[utoipa::path(
    post,
    path = "/v1/installs",
    request_body(
        content = NewInstall,
        example = json!({"endpoint": "ep_0198c0de00007000800000000000000a", "name": "poet", "payer": "publisher"})
    ),
    responses(
        (status = 201, body = Changed<Install>),
        (status = 404, description = "not_found"),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(admin: Admin, State(app): State<App>, body: Body<NewInstall>) -> Answer {
    let new = body.value;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let offer = find_offer(&app, new.endpoint).await?;
    if offer.publisher == admin.org {
        return Err(Error::field("endpoint", "this is your own endpoint: call it by its name"));
    }
    if new.payer == Payer::Publisher && offer.payer != Payer::Publisher {
        return Err(Error::field("payer", "the publisher of this endpoint does not pay for installs"));
    }
    check_version(&app, change.db(), admin.org, &offer, new.version, new.payer, new.credential).await?;
    let mut install = insert(change.db(), admin.org, app.new_id(InstallId::new), &offer, &new).await?;
    install.update_available = offer.live.filter(|live| new.version.is_some_and(|pinned| pinned < *live));
    write_record(change.db(), admin.org, &install).await?;
    let note = Note::of(&admin, Action::InstallsWrite, "create", "install", install.id).after(&install);
    change.record(note).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &install).await
}

/// What anyone may install; everything else is not there.
async fn find_offer(app: &App, endpoint: EndpointId) -> Result<Offer, Error> {
    let mut system = app.system().acquire().await?;
    let offer = offer_to_anyone(&mut system, endpoint).await?.ok_or(Code::NotFound)?;
    if orgs::is_suspended(&mut system, offer.publisher).await? {
        return Err(Code::NotFound.into());
    }
    Ok(offer)
}

async fn insert(
    db: &mut PgConnection,
    org: OrgId,
    id: InstallId,
    offer: &Offer,
    new: &NewInstall,
) -> Result<Install, Error> {
    names::claim(db, org, &new.name).await?;
    let row: Row = sqlx::query_as(
        "INSERT INTO installs (org_id, id, name, publisher_id, endpoint_id, pinned, payer, credential_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING id, name, endpoint_id, publisher_id, pinned, payer, credential_id, created_at",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(new.name.as_str())
    .bind(offer.publisher.uuid())
    .bind(offer.endpoint.uuid())
    .bind(new.version.map(i32::try_from).transpose().map_err(Error::internal)?)
    .bind(word(new.payer))
    .bind(new.credential.map(CredentialId::uuid))
    .fetch_one(db)
    .await?;
    row.try_into()
}
