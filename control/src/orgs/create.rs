//! `POST /operator/v1/orgs`: an org, and the key that its first admin starts with.

use super::{find, write_record};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::Changed,
    error::{Answer, Error},
    founding::{Begun, Founding},
    idempotency::Owner,
    keys::{self, Minted, NewKey, Scope},
    principal::Operator,
    text::Label,
};
use alphagate_contract::{id::OrgId, key::Mode};
use axum::extract::State;
use serde::{Deserialize, Serialize};

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrg {
    name: Label,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CreatedOrg)]
struct Created {
    org: super::Org,
    admin_key: Minted,
}

/// Makes an org, and the key that its first admin starts with.
#[utoipa::path(
    post,
    path = "/operator/v1/orgs",
    request_body(content = NewOrg, example = json!({"name": "Acme"})),
    responses(
        (status = 201, body = Changed<Created>),
        (status = 409, description = "idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(operator: Operator, State(app): State<App>, body: Body<NewOrg>) -> Answer {
    let org = app.new_id(OrgId::new);
    let mut founding = match Founding::begin(&app, Owner::Operator, body.once).await? {
        Begun::Fresh(founding) => founding,
        Begun::Done(answer) => return Ok(answer),
    };
    sqlx::query("INSERT INTO orgs (id, name) VALUES ($1, $2)")
        .bind(org.uuid())
        .bind(body.value.name.as_str())
        .execute(founding.db())
        .await?;
    write_record(founding.db(), org).await?;
    let admin_key = keys::mint(&app, founding.db(), org, &first_key()?).await?;
    let found = find(founding.db(), org).await?.ok_or_else(|| Error::internal("the new org is not there"))?;
    let made = |kind| ("operator.orgs.write", "create", kind);
    let of_org = Note::by_operator(&operator, Some(org), made("org"), org).after(&found);
    let of_key = Note::by_operator(&operator, Some(org), made("key"), admin_key.id()).after(&admin_key);
    founding.record(of_org).await?;
    founding.record(of_key).await?;
    founding.finish(Some(org), &Created { org: found, admin_key }).await
}

fn first_key() -> Result<NewKey, Error> {
    let name = Label::try_from("first admin".to_owned()).map_err(Error::internal)?;
    Ok(NewKey { name, scopes: vec![Scope::Admin], mode: Mode::Live, expires_at: None, endpoints: None })
}
