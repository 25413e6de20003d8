//! `GET /v1/quotas` and `PUT /v1/quotas`: every quota of an org, read and written as one list.
//!
//! A quota's subject is the org's own: its keys, its endpoints, what it installed, and installs of its endpoints.

use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Change, Changed, Effect},
    endpoints,
    error::{Answer, Error},
    installs, keys, orgs,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    id::{EndpointId, InstallId, KeyId, OrgId},
    quota::{QUOTAS_MAX, Quota, Subject},
};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::HashSet;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(get, put))]
pub(crate) struct Docs;

/// The whole list, in both directions.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quotas {
    quotas: Vec<Quota>,
}

/// The quotas of an org, in their order.
pub(crate) async fn list(db: &mut PgConnection, org: OrgId) -> Result<Vec<Quota>, Error> {
    let rows: Vec<(sqlx::types::Json<Quota>,)> =
        sqlx::query_as("SELECT quota FROM quotas WHERE org_id = $1 ORDER BY position")
            .bind(org.uuid())
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().map(|(quota,)| quota.0).collect())
}

/// Reads every quota of the org.
#[utoipa::path(
    get,
    path = "/v1/quotas",
    responses((status = 200, body = Quotas)),
)]
pub(crate) async fn get(admin: Admin, State(app): State<App>) -> Answer<Json<Quotas>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    Ok(Json(Quotas { quotas: list(&mut tx, admin.org).await? }))
}

/// Replaces every quota of the org.
#[utoipa::path(
    put,
    path = "/v1/quotas",
    request_body(
        content = Quotas,
        example = json!({"quotas": [{"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 1000}}]})
    ),
    responses((status = 200, body = Changed<Quotas>)),
)]
pub(crate) async fn put(admin: Admin, State(app): State<App>, body: Body<Quotas>) -> Answer {
    let wanted = body.value;
    if wanted.quotas.len() > QUOTAS_MAX {
        return Err(Error::field("quotas", format!("at most {QUOTAS_MAX} quotas")));
    }
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    check_subjects(change.db(), admin.org, &wanted.quotas).await?;
    lock(change.db(), admin.org).await?;
    let before = Quotas { quotas: list(change.db(), admin.org).await? };
    replace(change.db(), admin.org, &wanted.quotas).await?;
    orgs::write_record(change.db(), admin.org).await?;
    let note = Note::of(&admin, Action::QuotasWrite, "put", "quotas", admin.org);
    change.record(note.before(&before).after(&wanted)).await?;
    change.finish(StatusCode::OK, Effect::Plain, &wanted).await
}

/// Holds the list until the transaction ends: of two at once, the later one stays whole.
async fn lock(db: &mut PgConnection, org: OrgId) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("quotas {org}"))
        .execute(db)
        .await?;
    Ok(())
}

/// Writes the list.
async fn replace(db: &mut PgConnection, org: OrgId, quotas: &[Quota]) -> Result<(), Error> {
    sqlx::query("DELETE FROM quotas WHERE org_id = $1").bind(org.uuid()).execute(&mut *db).await?;
    let values = serde_json::to_string(quotas).map_err(Error::internal)?;
    sqlx::query(
        "INSERT INTO quotas (org_id, position, quota)
         SELECT $1, place, quota FROM jsonb_array_elements($2::text::jsonb) WITH ORDINALITY AS list (quota, place)",
    )
    .bind(org.uuid())
    .bind(values)
    .execute(db)
    .await?;
    Ok(())
}

/// What the subjects of a list name, each with its place in the list.
#[derive(Default)]
struct Named {
    keys: Vec<(usize, KeyId)>,
    endpoints: Vec<(usize, EndpointId)>,
    own_endpoints: Vec<(usize, EndpointId)>,
    installs: Vec<(usize, InstallId)>,
}

impl Named {
    fn of(quotas: &[Quota]) -> Self {
        let mut named = Self::default();
        for (index, quota) in quotas.iter().enumerate() {
            match quota.subject {
                Subject::Org {} => {}
                Subject::Key { key } => named.keys.push((index, key)),
                Subject::Endpoint { endpoint } => named.endpoints.push((index, endpoint)),
                Subject::KeyEndpoint { key, endpoint } => {
                    named.keys.push((index, key));
                    named.endpoints.push((index, endpoint));
                }
                Subject::Install { install } => named.installs.push((index, install)),
                Subject::EachInstall { endpoint } => named.own_endpoints.push((index, endpoint)),
            }
        }
        named
    }
}

fn ids<T: Copy>(named: &[(usize, T)]) -> Vec<T> {
    named.iter().map(|(_, id)| *id).collect()
}

/// Refuses the first place in the list that names something unknown.
fn refuse<T: std::hash::Hash + Eq>(
    named: &[(usize, T)],
    unknown: &HashSet<T>,
    field: &str,
) -> Result<(), Error> {
    match named.iter().find(|(_, id)| unknown.contains(id)) {
        Some((index, _)) => {
            let param = format!("quotas[{index}].subject.{field}");
            Err(Error::field(param, format!("there is no such {field} in your org")))
        }
        None => Ok(()),
    }
}

async fn check_subjects(db: &mut PgConnection, org: OrgId, quotas: &[Quota]) -> Result<(), Error> {
    let named = Named::of(quotas);
    refuse(&named.keys, &keys::unknown(db, org, &ids(&named.keys)).await?, "key")?;
    let own = endpoints::unknown(db, org, &ids(&named.own_endpoints)).await?;
    refuse(&named.own_endpoints, &own, "endpoint")?;
    let foreign: Vec<EndpointId> =
        endpoints::unknown(db, org, &ids(&named.endpoints)).await?.into_iter().collect();
    refuse(&named.endpoints, &installs::not_installed(db, org, &foreign).await?, "endpoint")?;
    refuse(&named.installs, &installs::unknown(db, org, &ids(&named.installs)).await?, "install")
}
