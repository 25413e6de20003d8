//! `POST /v1/invitations`, `GET /v1/invitations`, `DELETE /v1/invitations/{id}`: for an address, a role and a week.
//!
//! Its token is in the mail only: whoever invites does not see it, and so cannot accept in somebody's name.

use crate::{
    accounts::{Email, Limit, Token, take_try},
    app::App,
    audit::{self, Note},
    body::{Body, from_word, word},
    change::{Begun, Change, Changed, Effect},
    error::{Answer, Error},
    mail::{self, Kind, Letter, letters},
    orgs,
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::Member as Caller,
    roles::{Action, Power, Role},
};
use alphagate_contract::{
    id::{InvitationId, KeyId, OrgId, UserId},
    problem::Code,
};
use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    email: Email,
    role: Role,
}

/// An invitation as the org sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Invitation {
    id: InvitationId,
    email: String,
    role: Role,
    /// The user who invites.
    invited_by_user: Option<UserId>,
    /// The API key that invites.
    invited_by_key: Option<KeyId>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    email: String,
    role: String,
    invited_by_user: Option<Uuid>,
    invited_by_key: Option<Uuid>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Invitation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: InvitationId::from_uuid(row.id),
            email: row.email,
            role: from_word(&row.role)?,
            invited_by_user: row.invited_by_user.map(UserId::from_uuid),
            invited_by_key: row.invited_by_key.map(KeyId::from_uuid),
            created_at: row.created_at,
            expires_at: row.expires_at,
            accepted_at: row.accepted_at,
            revoked_at: row.revoked_at,
        })
    }
}

/// Invites an address into the org, up to one's own power; the token is in the mail only.
#[utoipa::path(
    post,
    path = "/v1/invitations",
    request_body(content = NewInvitation, example = json!({"email": "ada@example.org", "role": "developer"})),
    responses(
        (status = 201, body = Changed<Invitation>),
        (status = 409, description = "conflict, idempotency_mismatch"),
        (status = 429, description = "too_many_tries"),
    ),
)]
pub(crate) async fn invite(caller: Caller, State(app): State<App>, body: Body<NewInvitation>) -> Answer {
    let NewInvitation { email, role } = body.value;
    caller.must_grant(Power::Role(role), "role")?;
    let mut change = match Change::begin(&app, caller.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    take_try(app.system(), Limit::MAIL, email.as_str()).await?;
    let invitation = insert(&app, change.db(), &caller, &email, role).await?;
    mail::enqueue(&app, change.db(), Kind::Invitation, invitation.id.uuid()).await?;
    let note = Note::of(&caller, Action::MembersInvite, "create", "invitation", invitation.id);
    change.record(note.after(&invitation)).await?;
    let answer = change.finish(StatusCode::CREATED, Effect::Plain, &invitation).await?;
    app.mailer().wake();
    Ok(answer)
}

/// A new invitation takes the place of an older one for the same address.
async fn insert(
    app: &App,
    db: &mut PgConnection,
    caller: &Caller,
    email: &Email,
    role: Role,
) -> Result<Invitation, Error> {
    sqlx::query(
        "UPDATE invitations SET revoked_at = now(), digest = NULL
         WHERE org_id = $1 AND email = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
    )
    .bind(caller.org.uuid())
    .bind(email.as_str())
    .execute(&mut *db)
    .await?;
    let row: Row = sqlx::query_as(
        "INSERT INTO invitations (org_id, id, email, role, invited_by_user, invited_by_key)
         VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id, email, role, invited_by_user, invited_by_key, created_at, expires_at, accepted_at, revoked_at",
    )
    .bind(caller.org.uuid())
    .bind(app.new_id(InvitationId::new).uuid())
    .bind(email.as_str())
    .bind(word(role))
    .bind(caller.user().map(UserId::uuid))
    .bind(caller.key().map(KeyId::uuid))
    .fetch_one(db)
    .await?;
    row.try_into()
}

/// The mail of an invitation; none if it was taken back meanwhile.
pub(crate) async fn letter(app: &App, db: &mut PgConnection, id: Uuid) -> Result<Option<Letter>, Error> {
    let row: Option<(Uuid, String, String)> = sqlx::query_as(
        "SELECT org_id, email, role FROM invitations
         WHERE id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > now()",
    )
    .bind(id)
    .fetch_optional(&mut *db)
    .await?;
    let Some((org, email, role)) = row else { return Ok(None) };
    let name = orgs::name_of(db, OrgId::from_uuid(org)).await?;
    let token = Token::new(app.platform(), mail::TOKEN_PREFIX);
    sqlx::query("UPDATE invitations SET digest = $3 WHERE org_id = $1 AND id = $2")
        .bind(org)
        .bind(id)
        .bind(token.digest)
        .execute(db)
        .await?;
    Ok(Some(letters::invitation(app, &email, &name, &role, &token.text)))
}

/// Lists the org's invitations, newest first.
#[utoipa::path(
    get,
    path = "/v1/invitations",
    params(PageQuery),
    responses((status = 200, body = Page<Invitation>)),
)]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Invitation>>> {
    let list = List { org: Some(caller.org), name: "invitations" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(caller.org).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, email, role, invited_by_user, invited_by_key, created_at, expires_at, accepted_at, revoked_at
         FROM invitations WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
    )
    .bind(caller.org.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let invitations = rows.into_iter().map(Invitation::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), invitations, |invitation: &Invitation| invitation.id.uuid())?))
}

/// Takes an invitation back; one that was accepted stays as it is, and is 409.
#[utoipa::path(
    delete,
    path = "/v1/invitations/{id}",
    params(("id" = InvitationId, Path)),
    responses((status = 204), (status = 409, description = "conflict")),
)]
pub(crate) async fn revoke(
    caller: Caller,
    State(app): State<App>,
    Id(id): Id<InvitationId>,
) -> Answer<StatusCode> {
    let mut tx = app.tenants().begin(caller.org).await?;
    let row: Option<(String, bool)> = sqlx::query_as(
        "SELECT role, accepted_at IS NOT NULL FROM invitations WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE",
    )
    .bind(caller.org.uuid())
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let (role, is_accepted) = row.ok_or(Code::NotFound)?;
    caller.must_grant(Power::Role(from_word(&role)?), "id")?;
    if is_accepted {
        return Err(Error::conflict("The invitation was accepted. Remove the member instead."));
    }
    sqlx::query(
        "UPDATE invitations SET revoked_at = coalesce(revoked_at, now()), digest = NULL WHERE org_id = $1 AND id = $2",
    )
    .bind(caller.org.uuid())
    .bind(id.uuid())
    .execute(&mut *tx)
    .await?;
    audit::record(&app, &mut tx, Note::of(&caller, Action::MembersInvite, "revoke", "invitation", id))
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
