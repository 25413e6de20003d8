//! `POST /v1/keys/{id}/rotate`: a successor with the same name, scopes and mode; the old key works for a while longer.

use super::{Minted, NewKey, mint, read, revoke::mark_revoked, write_record};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Changed, Effect},
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    roles::{Action, Power},
    text::Label,
};
use alphagate_contract::{
    id::{KeyId, OrgId},
    name::EndpointName,
    problem::Code,
};
use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// Longest overlap: 30 days, for the slowest deployment.
const OVERLAP_MAX_S: u32 = 30 * 24 * 60 * 60;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRotation)]
pub(crate) struct Rotation {
    /// How long the old key goes on; 0 revokes it at once.
    overlap_s: u32,
    /// When the new key expires; none: never.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RotatedKey)]
struct Rotated {
    #[serde(flatten)]
    minted: Minted,
    replaces: KeyId,
}

/// Makes a successor with the same name, scopes and mode; the old key works for a while longer.
#[utoipa::path(
    post,
    path = "/v1/keys/{id}/rotate",
    params(("id" = KeyId, Path)),
    request_body(content = Rotation, example = json!({"overlap_s": 3600})),
    responses(
        (status = 201, body = Changed<Rotated>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn rotate(
    admin: Admin,
    State(app): State<App>,
    Id(old): Id<KeyId>,
    body: Body<Rotation>,
) -> Answer {
    if body.value.overlap_s > OVERLAP_MAX_S {
        return Err(Error::field("overlap_s", format!("must be at most {OVERLAP_MAX_S}")));
    }
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let new = successor(change.db(), admin.org, old, body.value.expires_at).await?;
    admin.must_grant(Power::Scopes(&new.scopes), "id")?;
    let minted = mint(&app, change.db(), admin.org, &new).await?;
    retire(change.db(), admin.org, old, minted.id(), body.value.overlap_s).await?;
    let rotated = Rotated { minted, replaces: old };
    change.record(Note::of(&admin, Action::KeysWrite, "rotate", "key", old).after(&rotated)).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &rotated).await
}

/// Locks the old key, and describes the one that takes its place.
async fn successor(
    db: &mut PgConnection,
    org: OrgId,
    old: KeyId,
    expires_at: Option<DateTime<Utc>>,
) -> Result<NewKey, Error> {
    let row: Option<(bool,)> = sqlx::query_as(
        "SELECT revoked_at IS NULL AND replaced_by IS NULL AND coalesce(expires_at > now(), true)
         FROM keys WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE",
    )
    .bind(org.uuid())
    .bind(old.uuid())
    .fetch_optional(&mut *db)
    .await?;
    let (usable,) = row.ok_or(Code::NotFound)?;
    if !usable {
        return Err(Error::conflict("This key was revoked, has expired, or was rotated before."));
    }
    let key = read::find(db, org, old).await?;
    let name = Label::try_from(key.name).map_err(Error::internal)?;
    let names = key.endpoints.unwrap_or_default().into_iter().map(EndpointName::try_from);
    let names: Vec<EndpointName> = names.collect::<Result<_, _>>().map_err(Error::internal)?;
    // No key is bound to no endpoint.
    let endpoints = (!names.is_empty()).then_some(names);
    Ok(NewKey { name, scopes: key.scopes, mode: key.mode, expires_at, endpoints })
}

/// Sets the end of the old key: never later than it was.
async fn retire(
    db: &mut PgConnection,
    org: OrgId,
    old: KeyId,
    new: KeyId,
    overlap_s: u32,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE keys SET replaced_by = $3,
            expires_at = CASE WHEN $4 = 0 THEN expires_at
                ELSE least(expires_at, now() + $4 * interval '1 second') END
         WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(old.uuid())
    .bind(new.uuid())
    .bind(i64::from(overlap_s))
    .execute(&mut *db)
    .await?;
    if overlap_s == 0 {
        return mark_revoked(db, org, old).await;
    }
    write_record(db, org, old).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlap_must_be_said() {
        assert!(serde_json::from_str::<Rotation>("{}").is_err());
        assert!(serde_json::from_str::<Rotation>("{\"overlap_s\":-1}").is_err());
        assert_eq!(serde_json::from_str::<Rotation>("{\"overlap_s\":60}").unwrap().overlap_s, 60);
    }
}
