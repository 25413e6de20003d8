//! `PATCH /v1/members/{id}`, `DELETE /v1/members/{id}` and `POST /v1/org/leave`: another role, or none.

use super::{
    find,
    list::{Member, view},
    role_of,
};
use crate::{
    app::App,
    audit::{self, Note},
    body::{Body, word},
    error::{Answer, Error},
    params::Id,
    principal::{Actor, Member as Caller},
    roles::{Action, Power, Role, may, may_grant},
    tenant::TenantTx,
};
use alphagate_contract::{
    id::{OrgId, UserId},
    problem::{Code, Problem},
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use sqlx::PgConnection;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleChange {
    role: Role,
}

/// Gives a member another role, up to one's own power.
#[utoipa::path(
    patch,
    path = "/v1/members/{id}",
    params(("id" = UserId, Path)),
    request_body(content = RoleChange, example = json!({"role": "developer"})),
    responses((status = 200, body = Member), (status = 409, description = "conflict")),
)]
pub(crate) async fn change(
    caller: Caller,
    State(app): State<App>,
    Id(user): Id<UserId>,
    body: Body<RoleChange>,
) -> Answer<Json<Member>> {
    let role = body.value.role;
    let mut tx = begin(&app, &caller, user).await?;
    caller.must_grant(Power::Role(role), "role")?;
    if role != Role::Owner {
        stays_owned(&mut tx, caller.org, user).await?;
    }
    let before = view(&mut tx, caller.org, user).await?;
    sqlx::query("UPDATE memberships SET role = $3 WHERE org_id = $1 AND user_id = $2")
        .bind(caller.org.uuid())
        .bind(user.uuid())
        .bind(word(role))
        .execute(&mut *tx)
        .await?;
    let member = view(&mut tx, caller.org, user).await?;
    let note = Note::of(&caller, Action::MembersWrite, "change", "member", user);
    audit::record(&app, &mut tx, note.before(&before).after(&member)).await?;
    tx.commit().await?;
    Ok(Json(member))
}

/// Takes a member out of the org.
#[utoipa::path(
    delete,
    path = "/v1/members/{id}",
    params(("id" = UserId, Path)),
    responses((status = 204), (status = 409, description = "conflict")),
)]
pub(crate) async fn remove(
    caller: Caller,
    State(app): State<App>,
    Id(user): Id<UserId>,
) -> Answer<StatusCode> {
    let mut tx = begin(&app, &caller, user).await?;
    let before = view(&mut tx, caller.org, user).await?;
    take_out(&mut tx, caller.org, user).await?;
    let note = Note::of(&caller, Action::MembersWrite, "remove", "member", user).before(&before);
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Leaves the org.
#[utoipa::path(
    post,
    path = "/v1/org/leave",
    responses((status = 204), (status = 409, description = "conflict")),
)]
pub(crate) async fn leave(caller: Caller, State(app): State<App>) -> Answer<StatusCode> {
    let Actor::User { id: user, .. } = caller.actor else {
        return Err(Error::internal("a key cannot leave"));
    };
    let mut tx = app.tenants().begin(caller.org).await?;
    lock_owners(&mut tx, caller.org).await?;
    let before = view(&mut tx, caller.org, user).await?;
    take_out(&mut tx, caller.org, user).await?;
    let note = Note::of(&caller, Action::MembersLeave, "leave", "member", user).before(&before);
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins a change of somebody's membership: with the owners held, so that one change follows the other, and with what
/// the caller may do looked at again under that.
async fn begin(app: &App, caller: &Caller, user: UserId) -> Result<TenantTx, Error> {
    let mut tx = app.tenants().begin(caller.org).await?;
    lock_owners(&mut tx, caller.org).await?;
    let before = find(&mut tx, caller.org, user).await?;
    if let Actor::User { id, .. } = caller.actor {
        let now = role_of(&mut tx, caller.org, id).await?.ok_or(Code::NotFound)?;
        let power = Power::Role(now);
        if !may(power, Action::MembersWrite) || !may_grant(power, Power::Role(before)) {
            return Err(Code::RoleMissing.into());
        }
    }
    caller.must_grant(Power::Role(before), "id")?;
    Ok(tx)
}

/// Holds the rows of all owners until the transaction ends.
async fn lock_owners(db: &mut PgConnection, org: OrgId) -> Result<(), Error> {
    sqlx::query(
        "SELECT user_id FROM memberships WHERE org_id = $1 AND role = 'owner' ORDER BY user_id FOR NO KEY UPDATE",
    )
    .bind(org.uuid())
    .execute(db)
    .await?;
    Ok(())
}

/// Refuses to take away the last owner; the owners are held.
async fn stays_owned(db: &mut PgConnection, org: OrgId, user: UserId) -> Result<(), Error> {
    let (is_last,): (bool,) = sqlx::query_as(
        "SELECT coalesce(bool_and(user_id = $2), false) FROM memberships WHERE org_id = $1 AND role = 'owner'",
    )
    .bind(org.uuid())
    .bind(user.uuid())
    .fetch_one(db)
    .await?;
    if !is_last {
        return Ok(());
    }
    let message = "An org keeps at least one owner. Make somebody else an owner first.";
    Err(Problem::new(Code::Conflict).param("role").message(message).into())
}

async fn take_out(db: &mut PgConnection, org: OrgId, user: UserId) -> Result<(), Error> {
    stays_owned(db, org, user).await?;
    sqlx::query("DELETE FROM memberships WHERE org_id = $1 AND user_id = $2")
        .bind(org.uuid())
        .bind(user.uuid())
        .execute(db)
        .await?;
    Ok(())
}
