//! The loop that decides publications: woken when a run ends or a gate changes, and by a clock for deadlines.
//!
//! It acts on rows only, so it goes on where another process was killed, and any number of replicas may run it: an
//! endpoint that another one has locked is left to that one. What fails is tried again in the next round; a publication
//! whose runs cannot be started for its own fault ends, inconclusive.

use super::{
    Row, State, Why,
    decide::decide,
    end::{End, end},
    find,
    read::view,
    runs,
};
use crate::{
    app::App,
    audit::{self, Note},
    endpoints,
    error::Error,
    events::SWEEP,
    roles::Action,
};
use alphagate_contract::id::{EndpointId, OrgId, PublicationId, RunId};
use sqlx::PgConnection;
use tokio::sync::watch;
use uuid::Uuid;

/// Most publications, and most runs, of one round; the next round goes on.
const ROUND_MAX: i64 = 200;

/// Until `stop`; the first round at once. A round may be cut short anywhere: it is made of transactions.
pub(crate) async fn run(app: App, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = rounds(&app) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn rounds(app: &App) {
    let mut watch = app.hub().watch(SWEEP);
    loop {
        if let Err(error) = round(app).await {
            tracing::warn!(%error, "publications are decided in the next round");
        }
        watch.changed_within(app.settings().gate_poll).await;
    }
}

async fn round(app: &App) -> Result<(), Error> {
    for (org, endpoint, publication) in due(app).await? {
        if let Err(error) = settle(app, org, endpoint, publication).await {
            tracing::warn!(%error, %publication, "a publication is decided in the next round");
        }
    }
    for (org, run) in unwanted(app).await? {
        if let Err(error) = stop_run(app, org, run).await {
            tracing::warn!(%error, %run, "a run that nobody waits for is stopped in the next round");
        }
    }
    Ok(())
}

/// Running publications that can be decided, or whose gate has changed.
async fn due(app: &App) -> Result<Vec<(OrgId, EndpointId, PublicationId)>, Error> {
    let rows: Vec<(Uuid, Uuid, Uuid)> = sqlx::query_as(
        "SELECT p.org_id, p.endpoint_id, p.id FROM publications p
         WHERE p.state = 'running' AND (
            p.deadline_at <= now() OR p.due
            OR EXISTS (
                SELECT FROM verdicts v JOIN gate_runs r ON r.org_id = v.org_id AND r.run_id = v.run_id
                WHERE v.org_id = p.org_id AND v.publication_id = p.id AND v.verdict IS NULL AND r.ended_at IS NOT NULL)
            OR NOT EXISTS (
                SELECT FROM verdicts v
                WHERE v.org_id = p.org_id AND v.publication_id = p.id AND v.verdict IS NULL))
         ORDER BY p.deadline_at LIMIT $1",
    )
    .bind(ROUND_MAX)
    .fetch_all(app.system())
    .await?;
    let ids = |(org, endpoint, id)| {
        (OrgId::from_uuid(org), EndpointId::from_uuid(endpoint), PublicationId::from_uuid(id))
    };
    Ok(rows.into_iter().map(ids).collect())
}

/// Runs that go on though no running publication waits for them.
async fn unwanted(app: &App) -> Result<Vec<(OrgId, RunId)>, Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT r.org_id, r.run_id FROM gate_runs r
         WHERE r.ended_at IS NULL AND NOT EXISTS (
            SELECT FROM verdicts v JOIN publications p ON p.org_id = v.org_id AND p.id = v.publication_id
            WHERE v.org_id = r.org_id AND v.run_id = r.run_id AND p.state = 'running')
         ORDER BY r.started_at LIMIT $1",
    )
    .bind(ROUND_MAX)
    .fetch_all(app.system())
    .await?;
    Ok(rows.into_iter().map(|(org, run)| (OrgId::from_uuid(org), RunId::from_uuid(run))).collect())
}

async fn settle(app: &App, org: OrgId, endpoint: EndpointId, id: PublicationId) -> Result<(), Error> {
    let mut tx = app.tenants().begin(org).await?;
    let decided = match locked(&mut tx, org, endpoint, id).await? {
        Some((endpoint, row)) => decide(app, &mut tx, org, &endpoint, &row).await,
        None => return Ok(()),
    };
    match decided {
        Ok(()) => {
            note_end(app, &mut tx, org, endpoint, id).await?;
            Ok(tx.commit().await?)
        }
        Err(Error::Problem(problem)) => {
            drop(tx);
            give_up(app, org, endpoint, id, problem.message).await
        }
        Err(error) => Err(error),
    }
}

/// Records what has become of a publication, if it has ended: nobody called for that just now.
async fn note_end(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    id: PublicationId,
) -> Result<(), Error> {
    let publication = view(db, org, endpoint, id).await?;
    let verb = match publication.state {
        State::Running => return Ok(()),
        State::Live => "go live",
        _ => "end",
    };
    let note = Note::by_system(org, Action::EndpointsPublish, verb, "publication", id).after(&publication);
    audit::record(app, db, note).await
}

/// The endpoint and its publication under the endpoint's lock, if nobody else has it and the publication is running.
async fn locked(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    id: PublicationId,
) -> Result<Option<(endpoints::Endpoint, Row)>, Error> {
    let Some(endpoint) = endpoints::try_lock(db, org, endpoint).await? else { return Ok(None) };
    let row = find(db, org, endpoint.id, id).await?;
    let running = |row: &Row| matches!(row.state(), Ok(State::Running));
    Ok(row.filter(running).map(|row| (endpoint, row)))
}

/// A run was refused, and would be again: the publication's own data or eval cannot be used.
async fn give_up(
    app: &App,
    org: OrgId,
    endpoint: EndpointId,
    id: PublicationId,
    message: String,
) -> Result<(), Error> {
    let mut tx = app.tenants().begin(org).await?;
    if locked(&mut tx, org, endpoint, id).await?.is_none() {
        return Ok(());
    }
    let ended = End { message: Some(message), ..End::new(State::Inconclusive, Why::NotMeasurable) };
    end(&mut tx, org, id, &ended).await?;
    note_end(app, &mut tx, org, endpoint, id).await?;
    Ok(tx.commit().await?)
}

async fn stop_run(app: &App, org: OrgId, run: RunId) -> Result<(), Error> {
    let mut tx = app.tenants().begin(org).await?;
    runs::stop(app, &mut tx, org, run).await?;
    Ok(tx.commit().await?)
}
