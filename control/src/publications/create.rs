//! `POST /v1/endpoints/{id}/publications`: publish, or roll back by publishing an older version.
//!
//! It is decided at once if it can be: there is no gate, or every verdict stands already. Otherwise the answer says
//! `running`. `force` goes past the gate, and past a publication that is running.

use super::{
    Row, State as Standing, Why, decide::decide, end::end_running, end::go_live, read::view, running, select,
};
use crate::{
    app::App,
    audit::Note,
    body::{Body, present},
    change::{Begun, Change, Changed, Effect},
    endpoints::{self, Endpoint},
    error::{Answer, Error},
    gates,
    params::Id,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    id::{EndpointId, KeyId, PublicationId, UserId},
    problem::{Code, Problem},
    record::Canary,
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;

/// The request.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPublication {
    version: u32,
    /// What the caller believes to be live; it must be said, though it may be null.
    #[serde(deserialize_with = "present")]
    #[schema(required)]
    expected_live: Option<u32>,
    /// Past the gate; needs the scope `force`.
    #[serde(default)]
    force: bool,
    /// Set where a canary is started: the share of keys.
    #[serde(skip)]
    percent: Option<u8>,
}

impl NewPublication {
    /// That of a version, in the place of what is live.
    pub(super) const fn to(version: u32, live: Option<u32>, force: bool) -> Self {
        Self { version, expected_live: live, force, percent: None }
    }

    /// That of a canary, beside what is live.
    pub(super) const fn of_canary(canary: Canary, live: Option<u32>, force: bool) -> Self {
        Self { version: canary.version, expected_live: live, force, percent: Some(canary.percent) }
    }
}

/// Publishes a version, or rolls back by publishing an older one. It says `running` while the gate has no verdict.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/publications",
    params(("id" = EndpointId, Path)),
    request_body(content = NewPublication, example = json!({"version": 2, "expected_live": 1})),
    responses(
        (status = 201, body = Changed<super::Publication>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(
    admin: Admin,
    State(app): State<App>,
    Id(endpoint): Id<EndpointId>,
    body: Body<NewPublication>,
) -> Answer {
    let wanted = body.value;
    if wanted.force {
        admin.must(Action::EndpointsForce)?;
    }
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let before = endpoints::lock(change.db(), admin.org, endpoint).await?.not_withdrawn()?;
    check(&before, &wanted)?;
    publish(&app, &admin, change, &before, &wanted).await
}

/// Publishes a version of a locked endpoint, as far as that can be decided now.
pub(super) async fn publish(
    app: &App,
    admin: &Admin,
    mut change: Change,
    before: &Endpoint,
    wanted: &NewPublication,
) -> Answer {
    if let Some(ended) = make_way(change.db(), admin, before, wanted).await? {
        change.record(Note::of(admin, Action::EndpointsForce, "supersede", "publication", ended)).await?;
    }
    let db = change.db();
    let row = insert(app, db, admin, before.id, wanted).await?;
    if wanted.force {
        go_live(db, admin.org, &row).await?;
    } else {
        decide(app, db, admin.org, before, &row).await?;
    }
    let publication = view(db, admin.org, before.id, row.id()).await?;
    let action = if wanted.force { Action::EndpointsForce } else { Action::EndpointsPublish };
    let note = Note::of(admin, action, "create", "publication", publication.id);
    change.record(note.before(before).after(&publication)).await?;
    let effect = if publication.state == Standing::Live { Effect::Published } else { Effect::Plain };
    change.finish(StatusCode::CREATED, effect, &publication).await
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

/// One publication of an endpoint runs at a time; only force does not wait for it, and gives the one that it ended.
async fn make_way(
    db: &mut PgConnection,
    admin: &Admin,
    endpoint: &Endpoint,
    wanted: &NewPublication,
) -> Result<Option<PublicationId>, Error> {
    if wanted.force {
        return end_running(db, admin.org, endpoint.id, Why::Forced).await;
    }
    let Some(other) = running(db, admin.org, endpoint.id).await? else { return Ok(None) };
    let message = "Another publication of this endpoint is running. Wait for its end, or cancel it.";
    let details = json!({"live": endpoint.live, "running": other.id()});
    Err(Problem::new(Code::Conflict).message(message).details(details).into())
}

async fn insert(
    app: &App,
    db: &mut PgConnection,
    admin: &Admin,
    endpoint: EndpointId,
    wanted: &NewPublication,
) -> Result<Row, Error> {
    let unknown = |_| Error::field("version", "this endpoint has no such version");
    let gate = gates::find(db, admin.org, endpoint).await?;
    let id = app.new_id(PublicationId::new);
    sqlx::query(
        "INSERT INTO publications
            (org_id, id, endpoint_id, version, replaced, state, gate_revision, deadline_at, created_by, forced_by,
             created_by_user, forced_by_user, canary_percent)
         VALUES ($1, $2, $3, $4, $5, 'running', $6, now() + make_interval(secs => $7), $8, $9, $10, $11, $12)",
    )
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .bind(endpoint.uuid())
    .bind(i32::try_from(wanted.version).map_err(unknown)?)
    .bind(wanted.expected_live.map(i32::try_from).transpose().map_err(Error::internal)?)
    .bind(gate.revision)
    .bind(f64::from(gate.deadline_s))
    .bind(admin.key().map(KeyId::uuid))
    .bind(admin.key().filter(|_| wanted.force).map(KeyId::uuid))
    .bind(admin.user().map(UserId::uuid))
    .bind(admin.user().filter(|_| wanted.force).map(UserId::uuid))
    .bind(wanted.percent.map(i16::from))
    .execute(&mut *db)
    .await?;
    let row = sqlx::query_as(select!("WHERE org_id = $1 AND id = $2"))
        .bind(admin.org.uuid())
        .bind(id.uuid())
        .fetch_one(db)
        .await?;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_to_be_live_must_be_said() {
        assert!(serde_json::from_str::<NewPublication>(r#"{"version":1}"#).is_err());
        let wanted: NewPublication = serde_json::from_str(r#"{"version":1,"expected_live":null}"#).unwrap();
        assert_eq!((wanted.version, wanted.expected_live, wanted.force), (1, None, false));
    }
}
