//! `PATCH /v1/installs/{id}`: pin to a version that was once live, or follow what is live (`null`).

use super::{check_version, read, updates, write_record};
use crate::{
    app::App,
    audit::Note,
    body::{Body, present},
    change::{Change, Changed, Effect},
    endpoints::offer_of,
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::id::InstallId;
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstallChange {
    #[serde(deserialize_with = "present")]
    #[schema(required)]
    version: Option<u32>,
}

/// Pins an install to a version that was once live, or lets it follow what is live (`null`).
#[utoipa::path(
    patch,
    path = "/v1/installs/{id}",
    params(("id" = InstallId, Path)),
    request_body(content = InstallChange, example = json!({"version": 3})),
    responses((status = 200, body = Changed<super::Install>), (status = 409, description = "conflict")),
)]
pub(crate) async fn change(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<InstallId>,
    body: Body<InstallChange>,
) -> Answer {
    let pinned = body.value.version;
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    let mut install = read::lock(change.db(), admin.org, id).await?;
    updates::add(&app, admin.org, std::slice::from_mut(&mut install)).await?;
    let mut system = app.system().acquire().await?;
    let offer = offer_of(&mut system, install.publisher, install.endpoint).await?;
    drop(system);
    let offer = offer.ok_or_else(|| Error::conflict("The endpoint of this install is withdrawn."))?;
    check_version(&app, change.db(), admin.org, &offer, pinned, install.payer, install.credential).await?;
    sqlx::query("UPDATE installs SET pinned = $3 WHERE org_id = $1 AND id = $2")
        .bind(admin.org.uuid())
        .bind(id.uuid())
        .bind(pinned.map(i32::try_from).transpose().map_err(Error::internal)?)
        .execute(change.db())
        .await?;
    let note = Note::of(&admin, Action::InstallsWrite, "change", "install", id).before(&install);
    install.version = pinned;
    install.update_available = offer.live.filter(|live| pinned.is_some_and(|pinned| pinned < *live));
    write_record(change.db(), admin.org, &install).await?;
    change.record(note.after(&install)).await?;
    change.finish(StatusCode::OK, Effect::Plain, &install).await
}
