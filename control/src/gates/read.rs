//! `GET /v1/endpoints/{id}/gate`: what the endpoint demands. Every admin may know; saying it has a scope of its own.

use super::{DEADLINE_DEFAULT_S, Demand, Gate, Thresholds};
use crate::{
    app::App,
    endpoints,
    error::{Answer, Error},
    params::Id,
    principal::Admin,
};
use alphagate_contract::id::{EndpointId, EvalId, KeyId, OrgId, UserId};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(sqlx::FromRow)]
struct GateRow {
    revision: i64,
    deadline_s: i32,
    changed_at: DateTime<Utc>,
    changed_by: Option<Uuid>,
    changed_by_user: Option<Uuid>,
}

#[derive(sqlx::FromRow)]
struct DemandRow {
    eval_id: Uuid,
    data_source: String,
    data_digest: Vec<u8>,
    thresholds: sqlx::types::Json<Thresholds>,
}

/// Reads what an endpoint demands of a version before it goes live.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}/gate",
    params(("id" = EndpointId, Path)),
    responses((status = 200, body = Gate)),
)]
pub(crate) async fn get(admin: Admin, State(app): State<App>, Id(id): Id<EndpointId>) -> Answer<Json<Gate>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    endpoints::must_exist(&mut tx, admin.org, id).await?;
    Ok(Json(find(&mut tx, admin.org, id).await?))
}

/// The gate of an endpoint that exists; one that demands nothing where nobody ever set one.
pub(crate) async fn find(db: &mut PgConnection, org: OrgId, endpoint: EndpointId) -> Result<Gate, Error> {
    let row: Option<GateRow> = sqlx::query_as(
        "SELECT revision, deadline_s, changed_at, changed_by, changed_by_user FROM gates WHERE org_id = $1 AND endpoint_id = $2",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else {
        let (evals, deadline_s) = (Vec::new(), DEADLINE_DEFAULT_S);
        let (changed_at, changed_by, changed_by_user) = (None, None, None);
        return Ok(Gate {
            endpoint,
            revision: 0,
            evals,
            deadline_s,
            changed_at,
            changed_by,
            changed_by_user,
        });
    };
    Ok(Gate {
        endpoint,
        revision: row.revision,
        evals: demands(db, org, endpoint).await?,
        deadline_s: u32::try_from(row.deadline_s).map_err(Error::internal)?,
        changed_at: Some(row.changed_at),
        changed_by: row.changed_by.map(KeyId::from_uuid),
        changed_by_user: row.changed_by_user.map(UserId::from_uuid),
    })
}

async fn demands(db: &mut PgConnection, org: OrgId, endpoint: EndpointId) -> Result<Vec<Demand>, Error> {
    let rows: Vec<DemandRow> = sqlx::query_as(
        "SELECT eval_id, data_source::text AS data_source, data_digest, thresholds FROM gate_evals
         WHERE org_id = $1 AND endpoint_id = $2 ORDER BY position",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Demand::try_from).collect()
}

impl TryFrom<DemandRow> for Demand {
    type Error = Error;

    fn try_from(row: DemandRow) -> Result<Self, Error> {
        Ok(Self {
            eval: EvalId::from_uuid(row.eval_id),
            data_source: serde_json::from_str(&row.data_source).map_err(Error::internal)?,
            data_digest: row.data_digest.try_into().map_err(|_| Error::internal("a digest has 32 bytes"))?,
            thresholds: row.thresholds.0,
        })
    }
}
