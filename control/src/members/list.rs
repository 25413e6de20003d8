//! `GET /v1/members` and `GET /v1/members/{id}`: who is in the org, and as what.

use crate::{
    accounts,
    app::App,
    body::from_word,
    error::{Answer, Error},
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::Member as Caller,
    roles::Role,
};
use alphagate_contract::id::{OrgId, UserId};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// A member as the others see them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Member {
    /// The user.
    id: UserId,
    name: String,
    email: Option<String>,
    role: Role,
    /// Since when.
    created_at: DateTime<Utc>,
}

type Row = (Uuid, String, DateTime<Utc>);

/// Lists who is in the org, and as what.
#[utoipa::path(
    get,
    path = "/v1/members",
    params(PageQuery),
    responses((status = 200, body = Page<Member>)),
)]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Member>>> {
    let list = List { org: Some(caller.org), name: "members" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(caller.org).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT user_id, role, created_at FROM memberships
         WHERE org_id = $1 AND ($2::uuid IS NULL OR user_id < $2) ORDER BY user_id DESC LIMIT $3",
    )
    .bind(caller.org.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let members = with_profiles(&mut tx, rows).await?;
    Ok(Json(list.answer(&app, wanted.size(), members, |member: &Member| member.id.uuid())?))
}

/// Reads a member.
#[utoipa::path(
    get,
    path = "/v1/members/{id}",
    params(("id" = UserId, Path)),
    responses((status = 200, body = Member)),
)]
pub(crate) async fn get(
    caller: Caller,
    State(app): State<App>,
    Id(user): Id<UserId>,
) -> Answer<Json<Member>> {
    let mut tx = app.tenants().begin(caller.org).await?;
    super::find(&mut tx, caller.org, user).await?;
    Ok(Json(view(&mut tx, caller.org, user).await?))
}

/// One member.
pub(super) async fn view(db: &mut PgConnection, org: OrgId, user: UserId) -> Result<Member, Error> {
    let row: Row = sqlx::query_as(
        "SELECT user_id, role, created_at FROM memberships WHERE org_id = $1 AND user_id = $2",
    )
    .bind(org.uuid())
    .bind(user.uuid())
    .fetch_one(&mut *db)
    .await?;
    with_profiles(db, vec![row]).await?.pop().ok_or_else(|| Error::internal("a member is not there"))
}

async fn with_profiles(db: &mut PgConnection, rows: Vec<Row>) -> Result<Vec<Member>, Error> {
    let users: Vec<UserId> = rows.iter().map(|(user, ..)| UserId::from_uuid(*user)).collect();
    let mut profiles = accounts::profiles(db, &users).await?;
    let member = |(user, role, created_at): Row| {
        let id = UserId::from_uuid(user);
        let profile = profiles.remove(&id).ok_or_else(|| Error::internal("a member without an account"))?;
        Ok(Member { id, name: profile.name, email: profile.email, role: from_word(&role)?, created_at })
    };
    rows.into_iter().map(member).collect()
}
