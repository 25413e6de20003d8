//! `POST /v1/endpoints/{id}/withdraw`: from now on it serves nobody, pinned installs included. There is no way back.

use super::{lock, read, write_live_record};
use crate::{
    app::App,
    audit::Note,
    change::{Change, Changed, Effect},
    error::{Answer, Error},
    orgs,
    params::Id,
    principal::Admin,
    publications,
    roles::Action,
    versions,
};
use alphagate_contract::id::EndpointId;
use axum::{extract::State, http::StatusCode};

/// Withdraws an endpoint: it serves nobody any more, pinned installs included. There is no way back.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/withdraw",
    params(("id" = EndpointId, Path)),
    responses((status = 200, body = Changed<super::Endpoint>)),
)]
pub(crate) async fn withdraw(admin: Admin, State(app): State<App>, Id(id): Id<EndpointId>) -> Answer {
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    let before = lock(change.db(), admin.org, id).await?;
    if before.withdrawn_at.is_none() {
        end(&mut change, &admin, id).await?;
    }
    let endpoint = read::find(change.db(), admin.org, id).await?;
    let note = Note::of(&admin, Action::EndpointsPublish, "withdraw", "endpoint", id);
    change.record(note.before(&before).after(&endpoint)).await?;
    change.finish(StatusCode::OK, Effect::Plain, &endpoint).await
}

/// Makes a locked endpoint serve nobody.
pub(super) async fn end(change: &mut Change, admin: &Admin, id: EndpointId) -> Result<(), Error> {
    sqlx::query("UPDATE endpoints SET withdrawn_at = now() WHERE org_id = $1 AND id = $2")
        .bind(admin.org.uuid())
        .bind(id.uuid())
        .execute(change.db())
        .await?;
    let ended = publications::end_running(change.db(), admin.org, id, publications::Why::Withdrawn).await?;
    if let Some(ended) = ended {
        let note = Note::of(admin, Action::EndpointsPublish, "supersede", "publication", ended);
        change.record(note).await?;
    }
    write_live_record(change.db(), admin.org, id).await?;
    versions::release(change.db(), admin.org, id).await?;
    orgs::write_record(change.db(), admin.org).await
}
