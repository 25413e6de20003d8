//! `POST /v1/invitations/accept`: a signed-in user shows the token that was mailed to their address.
//!
//! A token that is unknown, used, taken back, too old, or for another address is one answer: whoever found a mail learns
//! nothing from it. Accepting never changes what a member is already.

use super::{add, has_room, role_of};
use crate::{
    accounts::{self, SignedIn, Token},
    app::App,
    audit::{self, Note},
    body::{Body, from_word},
    error::{Answer, Error},
    mail,
    roles::Role,
};
use alphagate_contract::{
    id::OrgId,
    problem::{Code, Problem},
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acceptance {
    token: String,
}

/// Where the user is in now.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AcceptedInvitation)]
pub(crate) struct Accepted {
    org: OrgId,
    role: Role,
}

/// Accepts an invitation by the mail's token, as the user whose address it went to.
#[utoipa::path(
    post,
    path = "/v1/invitations/accept",
    request_body(content = Acceptance, example = json!({"token": "agm_…"})),
    responses(
        (status = 200, body = Accepted),
        (status = 400, description = "token_invalid"),
        (status = 409, description = "conflict"),
    ),
)]
pub(crate) async fn accept(
    caller: SignedIn,
    State(app): State<App>,
    body: Body<Acceptance>,
) -> Answer<Json<Accepted>> {
    let digest = Token::digest_of(&body.value.token, mail::TOKEN_PREFIX).ok_or(Code::TokenInvalid)?;
    let mut system = app.system().acquire().await?;
    let email = accounts::email_of(&mut system, caller.user).await?.ok_or(Code::TokenInvalid)?;
    let row: Option<(Uuid, Uuid)> =
        sqlx::query_as("SELECT org_id, id FROM invitations WHERE digest = $1 AND email = $2")
            .bind(digest)
            .bind(&email)
            .fetch_optional(&mut *system)
            .await?;
    let (org, id) = row.ok_or(Code::TokenInvalid)?;
    has_room(&mut system, caller.user).await?;
    drop(system);
    let org = OrgId::from_uuid(org);
    let mut tx = app.tenants().begin(org).await?;
    let role = use_up(&mut tx, org, id, &digest).await?;
    if role_of(&mut tx, org, caller.user).await?.is_some() {
        let problem = Problem::new(Code::Conflict);
        return Err(problem
            .message("You are in this org already: ask an owner or admin for another role.")
            .into());
    }
    add(&mut tx, org, caller.user, role, false).await?;
    let accepted = Accepted { org, role };
    let what = ("members.join", "join", "member");
    let note = Note::by_user(&caller, role, org, what, caller.user).after(&accepted);
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(Json(accepted))
}

/// Uses the invitation up; of two who do so at once, one is told that it is not valid any more.
async fn use_up(db: &mut PgConnection, org: OrgId, id: Uuid, digest: &[u8]) -> Result<Role, Error> {
    let row: Option<(String,)> = sqlx::query_as(
        "UPDATE invitations SET accepted_at = now(), digest = NULL
         WHERE org_id = $1 AND id = $2 AND digest = $3 AND accepted_at IS NULL AND revoked_at IS NULL
            AND expires_at > now()
         RETURNING role",
    )
    .bind(org.uuid())
    .bind(id)
    .bind(digest)
    .fetch_optional(db)
    .await?;
    let (role,) = row.ok_or(Code::TokenInvalid)?;
    from_word(&role)
}
