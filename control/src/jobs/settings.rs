//! `GET` and `PUT /operator/v1/orgs/{id}/queue`: how much an org may run at once, and how long its ended jobs are kept.

use crate::{
    app::App,
    audit::{self, Note},
    body::Body,
    error::{Answer, Error},
    params::Id,
    principal::Operator,
};
use alphagate_contract::id::OrgId;
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// Most of anything that may be set: far beyond any installation, and safe to add up.
const SETTING_MAX: i32 = 100_000;

/// What is set; none: the default.
#[derive(Debug, Default, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueSettings {
    /// Sandboxes at once.
    sandbox_max: Option<i32>,
    /// Samples at once.
    sample_max: Option<i32>,
    /// How long an ended job is kept, days.
    retention_days: Option<i32>,
}

impl QueueSettings {
    fn check(&self) -> Result<(), Error> {
        let fields = [
            ("sandbox_max", self.sandbox_max, 0),
            ("sample_max", self.sample_max, 0),
            ("retention_days", self.retention_days, 1),
        ];
        for (name, value, least) in fields {
            if value.is_some_and(|value| !(least..=SETTING_MAX).contains(&value)) {
                return Err(Error::field(name, format!("must be between {least} and {SETTING_MAX}")));
            }
        }
        Ok(())
    }
}

/// Reads how much an org may run at once, and how long its ended jobs are kept.
#[utoipa::path(
    get,
    operation_id = "queue_settings",
    path = "/operator/v1/orgs/{id}/queue",
    params(("id" = OrgId, Path)),
    responses((status = 200, body = QueueSettings)),
)]
pub(crate) async fn get(
    _: Operator,
    State(app): State<App>,
    Id(org): Id<OrgId>,
) -> Answer<Json<QueueSettings>> {
    let mut system = app.system().acquire().await?;
    crate::orgs::must_exist(&mut system, org).await?;
    Ok(Json(find(&mut system, org).await?))
}

/// What is set for an org.
async fn find(db: &mut PgConnection, org: OrgId) -> Result<QueueSettings, sqlx::Error> {
    let found: Option<QueueSettings> =
        sqlx::query_as("SELECT sandbox_max, sample_max, retention_days FROM job_settings WHERE org_id = $1")
            .bind(org.uuid())
            .fetch_optional(db)
            .await?;
    Ok(found.unwrap_or_default())
}

/// Says how much an org may run at once, and how long its ended jobs are kept.
#[utoipa::path(
    put,
    operation_id = "set_queue_settings",
    path = "/operator/v1/orgs/{id}/queue",
    params(("id" = OrgId, Path)),
    request_body(content = QueueSettings, example = json!({"sandbox_max": 50})),
    responses((status = 200, body = QueueSettings)),
)]
pub(crate) async fn put(
    operator: Operator,
    State(app): State<App>,
    Id(org): Id<OrgId>,
    body: Body<QueueSettings>,
) -> Answer<Json<QueueSettings>> {
    let set = body.value;
    set.check()?;
    let mut tx = app.system().begin().await?;
    crate::orgs::must_exist(&mut tx, org).await?;
    // There may be no row to hold.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("queue {org}"))
        .execute(&mut *tx)
        .await?;
    let before = find(&mut tx, org).await?;
    sqlx::query(
        "INSERT INTO job_settings (org_id, sandbox_max, sample_max, retention_days) VALUES ($1, $2, $3, $4)
         ON CONFLICT (org_id) DO UPDATE SET sandbox_max = excluded.sandbox_max, sample_max = excluded.sample_max,
            retention_days = excluded.retention_days",
    )
    .bind(org.uuid())
    .bind(set.sandbox_max)
    .bind(set.sample_max)
    .bind(set.retention_days)
    .execute(&mut *tx)
    .await?;
    let what = ("operator.queue.write", "put", "queue");
    let note = Note::by_operator(&operator, Some(org), what, org).before(&before).after(&set);
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(Json(set))
}
