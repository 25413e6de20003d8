//! Members of orgs: who is in, in which role, and how one gets in and out.
//!
//! A role counts as it is at each request. Nobody hands out or takes away more than they have themselves, and an org that
//! has an owner keeps one: whoever takes one away holds the rows of all of them, and looks again at their own.

mod accept;
mod change;
mod choose;
mod invite;
mod list;

pub(crate) use accept::accept;
pub(crate) use change::{change, leave, remove};
pub(crate) use choose::choose;
pub(crate) use invite::{
    invite, letter as invitation_letter, list as list_invitations, revoke as revoke_invitation,
};
pub(crate) use list::{get, list};

use crate::{
    body::{from_word, word},
    error::Error,
    roles::Role,
};
use alphagate_contract::{
    id::{OrgId, UserId},
    problem::Code,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// What the OpenAPI document says of members.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list::list, list::get, change::change, change::remove, change::leave))]
pub(crate) struct Docs;

/// What it says of invitations.
#[derive(utoipa::OpenApi)]
#[openapi(paths(invite::invite, invite::list, invite::revoke, accept::accept))]
pub(crate) struct InvitationDocs;

/// Most orgs of one user: all of them are in one answer.
pub(crate) const ORGS_MAX: usize = 100;

/// An org that a user is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    /// The org.
    pub(crate) org: OrgId,
    /// What the user is there.
    pub(crate) role: Role,
    /// Whether it was made with the account.
    pub(crate) personal: bool,
}

/// The orgs of a user, the personal one first, then as they came.
pub(crate) async fn of_user(system: &mut PgConnection, user: UserId) -> Result<Vec<Membership>, Error> {
    let rows: Vec<(Uuid, String, bool)> = sqlx::query_as(
        "SELECT org_id, role, personal FROM memberships WHERE user_id = $1 ORDER BY personal DESC, created_at, org_id",
    )
    .bind(user.uuid())
    .fetch_all(system)
    .await?;
    let membership = |(org, role, personal): (Uuid, String, bool)| {
        Ok(Membership { org: OrgId::from_uuid(org), role: from_word(&role)?, personal })
    };
    rows.into_iter().map(membership).collect()
}

/// What a user is in an org now, if anything.
pub(crate) async fn role_of(db: &mut PgConnection, org: OrgId, user: UserId) -> Result<Option<Role>, Error> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT role FROM memberships WHERE org_id = $1 AND user_id = $2")
            .bind(org.uuid())
            .bind(user.uuid())
            .fetch_optional(db)
            .await?;
    row.map(|(role,)| from_word(&role)).transpose()
}

/// Makes a user a member; whoever is one already stays as they are.
pub(crate) async fn add(
    db: &mut PgConnection,
    org: OrgId,
    user: UserId,
    role: Role,
    personal: bool,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO memberships (org_id, user_id, role, personal) VALUES ($1, $2, $3, $4)
         ON CONFLICT (org_id, user_id) DO NOTHING",
    )
    .bind(org.uuid())
    .bind(user.uuid())
    .bind(word(role))
    .bind(personal)
    .execute(db)
    .await?;
    Ok(())
}

/// Refuses a user who is in as many orgs as one may be.
pub(crate) async fn has_room(system: &mut PgConnection, user: UserId) -> Result<(), Error> {
    if of_user(system, user).await?.len() < ORGS_MAX {
        return Ok(());
    }
    Err(Error::conflict(format!("A user is in at most {ORGS_MAX} orgs. Leave one first.")))
}

/// The user that a path names, as a member of the org.
async fn find(db: &mut PgConnection, org: OrgId, user: UserId) -> Result<Role, Error> {
    role_of(db, org, user).await?.ok_or_else(|| Code::NotFound.into())
}
