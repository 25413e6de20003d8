//! `POST /v1/endpoints/{id}/publications`: publish, or roll back by publishing an older version.

use super::{Publication, Row};
use crate::{
    app::App,
    body::{Body, present},
    change::{Begun, Change, Effect},
    endpoints::{self, Endpoint},
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    versions,
};
use alphagate_contract::{
    id::{EndpointId, PublicationId},
    problem::{Code, Problem},
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;

/// The request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPublication {
    version: u32,
    /// What the caller believes to be live; it must be said, though it may be null.
    #[serde(deserialize_with = "present")]
    expected_live: Option<u32>,
}

pub(crate) async fn create(
    admin: Admin,
    State(app): State<App>,
    Id(endpoint): Id<EndpointId>,
    body: Body<NewPublication>,
) -> Answer {
    let wanted = body.value;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let before = endpoints::lock(change.db(), admin.org, endpoint).await?.not_withdrawn()?;
    check(&before, &wanted)?;
    if !versions::mark_live(change.db(), admin.org, endpoint, wanted.version).await? {
        return Err(Error::field("version", "this endpoint has no such version"));
    }
    let row: Row = sqlx::query_as(
        "INSERT INTO publications (org_id, id, endpoint_id, version, replaced)
         VALUES ($1, $2, $3, $4, $5)
         RETURNING id, endpoint_id, version, replaced, created_at",
    )
    .bind(admin.org.uuid())
    .bind(app.new_id(PublicationId::new).uuid())
    .bind(endpoint.uuid())
    .bind(i32::try_from(wanted.version).map_err(Error::internal)?)
    .bind(before.live.map(i32::try_from).transpose().map_err(Error::internal)?)
    .fetch_one(change.db())
    .await?;
    endpoints::set_live(change.db(), admin.org, endpoint, wanted.version).await?;
    change.finish(StatusCode::CREATED, Effect::Published, &Publication::try_from(row)?).await
}

fn check(endpoint: &Endpoint, wanted: &NewPublication) -> Result<(), Error> {
    let refuse = |message: &str| {
        let problem = Problem::new(Code::Conflict).param("expected_live").message(message);
        Err(problem.details(json!({"live": endpoint.live})).into())
    };
    if endpoint.live != wanted.expected_live {
        return refuse("Another version is live than the one that was expected.");
    }
    if endpoint.live == Some(wanted.version) {
        return refuse("This version is live already.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_to_be_live_must_be_said() {
        assert!(serde_json::from_str::<NewPublication>(r#"{"version":1}"#).is_err());
        let wanted: NewPublication = serde_json::from_str(r#"{"version":1,"expected_live":null}"#).unwrap();
        assert_eq!((wanted.version, wanted.expected_live), (1, None));
    }
}
