//! `POST /operator/v1/orgs`: an org, and the key that its first admin starts with.

use super::{find, write_record};
use crate::{
    app::App,
    audit::{self, Note},
    body::Body,
    change::{Changed, Effect},
    error::{Answer, Error},
    keys::{self, Minted, NewKey, Scope},
    principal::Operator,
    text::Label,
};
use alphagate_contract::{id::OrgId, key::Mode};
use axum::{Json, extract::State, http::StatusCode, response::IntoResponse as _};
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
    responses((status = 201, body = Changed<Created>)),
)]
pub(crate) async fn create(operator: Operator, State(app): State<App>, body: Body<NewOrg>) -> Answer {
    let org = app.new_id(OrgId::new);
    let mut tx = app.system().begin().await?;
    sqlx::query("INSERT INTO orgs (id, name) VALUES ($1, $2)")
        .bind(org.uuid())
        .bind(body.value.name.as_str())
        .execute(&mut *tx)
        .await?;
    write_record(&mut tx, org).await?;
    let admin_key = keys::mint(&app, &mut tx, org, &first_key()?).await?;
    let found = find(&mut tx, org).await?.ok_or_else(|| Error::internal("the new org is not there"))?;
    let made = |kind| ("operator.orgs.write", "create", kind);
    let of_org = Note::by_operator(&operator, Some(org), made("org"), org).after(&found);
    let of_key = Note::by_operator(&operator, Some(org), made("key"), admin_key.id()).after(&admin_key);
    audit::record(&app, &mut tx, of_org).await?;
    audit::record(&app, &mut tx, of_key).await?;
    tx.commit().await?;
    let accepted = app.courier().deliver(org).await;
    let created = Created { org: found, admin_key };
    Ok((StatusCode::CREATED, Json(Changed::new(created, Effect::Plain, accepted))).into_response())
}

fn first_key() -> Result<NewKey, Error> {
    let name = Label::try_from("first admin".to_owned()).map_err(Error::internal)?;
    Ok(NewKey { name, scopes: vec![Scope::Admin], mode: Mode::Live, expires_at: None, endpoints: None })
}
