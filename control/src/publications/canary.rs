//! `POST /v1/endpoints/{id}/canary`: a version is tried on a share of the keys. `DELETE …/canary`: it is not any more.
//!
//! A canary is published as a live version is, under the same gate; another share is another publication, whose verdict
//! stands already. To make it live for everybody is to publish it; whatever goes live ends it.

use super::{
    State as Standing, Why,
    create::{NewPublication, publish},
    end::{End, end},
    running,
};
use crate::{
    app::App,
    body::Body,
    change::{Begun, Change, Effect},
    endpoints::{self, Endpoint},
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    id::EndpointId,
    problem::{Code, Problem},
    record::Canary,
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;

/// The request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCanary {
    version: u32,
    /// The share of keys, 1 to 99.
    percent: u8,
    /// Past the gate; needs the scope `force`.
    #[serde(default)]
    force: bool,
}

pub(crate) async fn start(
    admin: Admin,
    State(app): State<App>,
    Id(endpoint): Id<EndpointId>,
    body: Body<NewCanary>,
) -> Answer {
    let NewCanary { version, percent, force } = body.value;
    if force {
        admin.must(Action::EndpointsForce)?;
    }
    if !(1..=99).contains(&percent) {
        return Err(Error::field("percent", "between 1 and 99"));
    }
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let before = endpoints::lock(change.db(), admin.org, endpoint).await?.not_withdrawn()?;
    let canary = Canary { version, percent };
    check(&before, canary)?;
    publish(&app, &admin, change, &before, &NewPublication::of_canary(canary, before.live, force)).await
}

fn check(endpoint: &Endpoint, wanted: Canary) -> Result<(), Error> {
    let refuse = |message: &str| {
        let problem = Problem::new(Code::Conflict).param("version").message(message);
        Err(problem.details(json!({"live": endpoint.live, "canary": endpoint.canary})).into())
    };
    match endpoint.live {
        None => refuse("Nothing is live that a canary could stand beside. Publish the version."),
        Some(live) if live == wanted.version => refuse("This version is live already."),
        Some(_) if endpoint.canary == Some(wanted) => refuse("This canary runs already."),
        Some(_) => Ok(()),
    }
}

/// Also ends the publication of a canary that is still measured.
pub(crate) async fn stop(admin: Admin, State(app): State<App>, Id(id): Id<EndpointId>) -> Answer {
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    let db = change.db();
    let endpoint = endpoints::lock(db, admin.org, id).await?;
    let measured = running(db, admin.org, id).await?.filter(|row| row.canary_percent.is_some());
    if let Some(row) = measured {
        end(db, admin.org, row.id(), &End::new(Standing::Canceled, Why::Canceled)).await?;
    }
    if endpoint.canary.is_some() {
        endpoints::set_canary(db, admin.org, id, None).await?;
    }
    let endpoint = endpoints::find(db, admin.org, id).await?;
    change.finish(StatusCode::OK, Effect::Plain, &endpoint).await
}
