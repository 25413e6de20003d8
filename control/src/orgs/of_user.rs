//! `GET /v1/orgs`, `POST /v1/orgs` and `PATCH /v1/org`: the orgs of a user, one more, and another name.

use super::{Org, find, find_locked, write_record};
use crate::{
    accounts::SignedIn,
    app::App,
    audit::{self, Note},
    body::Body,
    change::Changed,
    error::{Answer, Error},
    founding::{Begun, Founding},
    idempotency::Owner,
    members,
    principal::Member,
    roles::{Action, Role},
    text::Label,
};
use alphagate_contract::{
    id::{OrgId, UserId},
    problem::Code,
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// An org as one of its members sees it.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct OwnOrg {
    #[serde(flatten)]
    org: Org,
    role: Role,
    /// Whether it was made with the account.
    personal: bool,
}

/// All orgs of a user.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct OwnOrgs {
    data: Vec<OwnOrg>,
}

/// The request for one more.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOwnOrg {
    name: Label,
}

/// The request to change one; what is not named stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnOrgChange {
    name: Option<Label>,
}

/// Lists the orgs that the user is in, the personal one first.
#[utoipa::path(get, path = "/v1/orgs", responses((status = 200, body = OwnOrgs)))]
pub(crate) async fn list_own(caller: SignedIn, State(app): State<App>) -> Answer<Json<OwnOrgs>> {
    let mut system = app.system().acquire().await?;
    let mut data = Vec::new();
    for member in members::of_user(&mut system, caller.user).await? {
        let org =
            find(&mut system, member.org).await?.ok_or_else(|| Error::internal("a member of no org"))?;
        data.push(OwnOrg { org, role: member.role, personal: member.personal });
    }
    Ok(Json(OwnOrgs { data }))
}

/// Makes an org that the user owns.
#[utoipa::path(
    post,
    path = "/v1/orgs",
    request_body(content = NewOwnOrg, example = json!({"name": "Acme"})),
    responses(
        (status = 201, body = Changed<OwnOrg>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn create_own(caller: SignedIn, State(app): State<App>, body: Body<NewOwnOrg>) -> Answer {
    let mut founding = match Founding::begin(&app, Owner::User(caller.user), body.once).await? {
        Begun::Fresh(founding) => founding,
        Begun::Done(answer) => return Ok(answer),
    };
    members::has_room(founding.db(), caller.user).await?;
    let org = create_for(&app, founding.db(), caller.user, &body.value.name, false).await?;
    let made = find(founding.db(), org).await?.ok_or_else(|| Error::internal("the new org is not there"))?;
    let note = Note::by_user(&caller, Role::Owner, org, ("org.create", "create", "org"), org).after(&made);
    founding.record(note).await?;
    founding.finish(Some(org), &OwnOrg { org: made, role: Role::Owner, personal: false }).await
}

/// Makes an org that `owner` owns, with its record.
pub(crate) async fn create_for(
    app: &App,
    system: &mut PgConnection,
    owner: UserId,
    name: &Label,
    personal: bool,
) -> Result<OrgId, Error> {
    let org = app.new_id(OrgId::new);
    sqlx::query("INSERT INTO orgs (id, name) VALUES ($1, $2)")
        .bind(org.uuid())
        .bind(name.as_str())
        .execute(&mut *system)
        .await?;
    write_record(system, org).await?;
    members::add(system, org, owner, Role::Owner, personal).await?;
    Ok(org)
}

/// Renames the org.
#[utoipa::path(
    patch,
    path = "/v1/org",
    request_body(content = OwnOrgChange, example = json!({"name": "Acme"})),
    responses((status = 200, body = Org), (status = 404, description = "not_found")),
)]
pub(crate) async fn rename(
    caller: Member,
    State(app): State<App>,
    body: Body<OwnOrgChange>,
) -> Answer<Json<Org>> {
    let mut tx = app.tenants().begin(caller.org).await?;
    let before = find_locked(&mut tx, caller.org).await?;
    if let Some(name) = &body.value.name {
        sqlx::query("UPDATE orgs SET name = $2 WHERE id = $1")
            .bind(caller.org.uuid())
            .bind(name.as_str())
            .execute(&mut *tx)
            .await?;
    }
    let org = find(&mut tx, caller.org).await?.ok_or(Code::NotFound)?;
    let note = Note::of(&caller, Action::OrgWrite, "change", "org", caller.org).before(&before).after(&org);
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(Json(org))
}
