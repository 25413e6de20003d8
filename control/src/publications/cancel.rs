//! `POST /v1/endpoints/{id}/publications/{publication}/cancel`: a running publication ends, and its runs are stopped.

use super::{
    State as Standing, Why,
    end::{End, end},
    find,
    read::view,
};
use crate::{
    app::App,
    audit::Note,
    change::{Change, Changed, Effect},
    endpoints,
    error::{Answer, Error},
    params::Ids,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    id::{EndpointId, PublicationId},
    problem::Code,
};
use axum::{extract::State, http::StatusCode};

/// Cancels a running publication; its runs are stopped.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/publications/{publication}/cancel",
    params(("id" = EndpointId, Path), ("publication" = PublicationId, Path)),
    responses((status = 200, body = Changed<super::Publication>), (status = 409, description = "conflict")),
)]
pub(crate) async fn cancel(
    admin: Admin,
    State(app): State<App>,
    Ids(endpoint, id): Ids<EndpointId, PublicationId>,
) -> Answer {
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    endpoints::lock(change.db(), admin.org, endpoint).await?;
    let found = find(change.db(), admin.org, endpoint, id).await?.ok_or(Code::NotFound)?;
    match found.state()? {
        Standing::Running => {
            end(change.db(), admin.org, id, &End::new(Standing::Canceled, Why::Canceled)).await?;
            change.record(Note::of(&admin, Action::EndpointsPublish, "cancel", "publication", id)).await?;
        }
        Standing::Canceled => {}
        _ => return Err(Error::conflict("This publication has ended.")),
    }
    let publication = view(change.db(), admin.org, endpoint, id).await?;
    change.finish(StatusCode::OK, Effect::Plain, &publication).await
}
