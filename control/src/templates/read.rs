//! `GET /v1/templates` and `GET /v1/templates/{name}`: all of them, and one.

use super::{Source, TEMPLATES, Template, find};
use crate::{
    error::{Answer, Error},
    params::Id,
    principal::Admin,
};
use axum::Json;
use serde::Serialize;

/// All templates.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EndpointTemplates)]
pub(crate) struct Templates {
    data: Vec<Template>,
}

/// Lists the templates, by name.
#[utoipa::path(get, path = "/v1/templates", responses((status = 200, body = Templates)))]
pub(crate) async fn list(_: Admin) -> Answer<Json<Templates>> {
    let data = TEMPLATES.iter().map(Source::read).collect::<Result<_, Error>>()?;
    Ok(Json(Templates { data }))
}

/// Reads a template.
#[utoipa::path(
    get,
    path = "/v1/templates/{name}",
    params(("name" = String, Path, example = "text-classifier")),
    responses((status = 200, body = Template)),
)]
pub(crate) async fn get(_: Admin, Id(name): Id<String>) -> Answer<Json<Template>> {
    Ok(Json(find(&name)?))
}
