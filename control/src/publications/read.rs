//! `GET /v1/endpoints/{id}/publications` and `GET /v1/endpoints/{id}/publications/{publication}`.
//!
//! With `?wait_s=` the second one is held until the publication has ended, or for so many seconds: whoever waits is
//! woken by the end itself, and nobody holds a connection of the database meanwhile.

use super::{Publication, Row, State as Standing, find, progress, select};
use crate::{
    app::App,
    endpoints,
    error::{Answer, Error},
    pagination::{List, Page, PageQuery},
    params::{Id, Ids, Query},
    principal::Admin,
};
use alphagate_contract::{
    id::{EndpointId, OrgId, PublicationId},
    problem::{Code, Problem},
};
use axum::{Json, extract::State};
use serde::Deserialize;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Longest time that a call is held: proxies end idle ones after a minute.
const WAIT_MAX_S: u64 = 55;

/// The query of a publication.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitQuery {
    #[param(value_type = Option<u64>)]
    wait_s: Option<String>,
}

/// Reads a publication; with `wait_s` it is held until the publication has ended, or for so many seconds.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}/publications/{publication}",
    params(("id" = EndpointId, Path), ("publication" = PublicationId, Path), WaitQuery),
    responses((status = 200, body = Publication)),
)]
pub(crate) async fn get(
    admin: Admin,
    State(app): State<App>,
    Ids(endpoint, id): Ids<EndpointId, PublicationId>,
    Query(query): Query<WaitQuery>,
) -> Answer<Json<Publication>> {
    let wait = query.wait()?;
    let mut watch = app.hub().watch(id.uuid());
    let read = async || {
        let mut tx = app.tenants().begin(admin.org).await?;
        endpoints::must_exist(&mut tx, admin.org, endpoint).await?;
        view(&mut tx, admin.org, endpoint, id).await
    };
    let first = read().await?;
    if first.state != Standing::Running || wait.is_zero() {
        return Ok(Json(first));
    }
    let ended = async {
        while !watch.is_stopping() {
            watch.changed().await;
            let publication = read().await?;
            if publication.state != Standing::Running {
                return Ok(publication);
            }
        }
        read().await
    };
    match tokio::time::timeout(wait, ended).await {
        Ok(publication) => publication.map(Json),
        Err(_) => read().await.map(Json),
    }
}

impl WaitQuery {
    fn wait(&self) -> Result<Duration, Error> {
        let Some(text) = &self.wait_s else { return Ok(Duration::ZERO) };
        let whole = text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let problem = || Problem::new(Code::ParameterInvalid).param("wait_s");
        let seconds =
            whole.ok_or_else(|| problem().message("`wait_s` must be a whole number of seconds."))?;
        Ok(Duration::from_secs(seconds.min(WAIT_MAX_S)))
    }
}

/// A publication with everything that is known of it.
pub(super) async fn view(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    id: PublicationId,
) -> Result<Publication, Error> {
    let row = find(db, org, endpoint, id).await?.ok_or(Code::NotFound)?;
    let mut publication = Publication::try_from(row)?;
    publication.evals = Some(progress::of(db, org, id).await?);
    Ok(publication)
}

/// Lists publications, newest first.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}/publications",
    params(("id" = EndpointId, Path), PageQuery),
    responses((status = 200, body = Page<Publication>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Id(endpoint): Id<EndpointId>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Publication>>> {
    let name = format!("publications of {endpoint}");
    let list = List { org: Some(admin.org), name: &name };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    endpoints::must_exist(&mut tx, admin.org, endpoint).await?;
    let rows: Vec<Row> = sqlx::query_as(select!(
        "WHERE org_id = $1 AND endpoint_id = $2 AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
    ))
    .bind(admin.org.uuid())
    .bind(endpoint.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let publications = rows.into_iter().map(Publication::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), publications, |found: &Publication| found.id.uuid())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_whole_seconds_and_bounded() {
        let wait = |text: &str| WaitQuery { wait_s: Some(text.to_owned()) }.wait();
        assert_eq!(wait("3").unwrap(), Duration::from_secs(3));
        assert_eq!(wait("100000").unwrap(), Duration::from_secs(WAIT_MAX_S));
        for text in ["", "-1", "+1", "1.5", "x"] {
            assert!(wait(text).is_err(), "{text}");
        }
    }
}
