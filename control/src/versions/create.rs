//! `POST /v1/endpoints/{id}/versions`: a configuration, for ever. The edge gets it at once, so that publishing it is one
//! pointer.

use super::Row;
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Changed, Effect},
    credentials, endpoints,
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    records,
    roles::Action,
};
use alphagate_contract::{
    endpoint::VersionConfig,
    id::{CredentialId, EndpointId, OrgId},
    record::{RecordKey, RecordValue, VersionRecord},
};
use alphagate_translate::schema;
use axum::{extract::State, http::StatusCode};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Makes a version: a configuration that never changes.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/versions",
    params(("id" = EndpointId, Path)),
    request_body(
        content = VersionConfig,
        example = json!({"targets": [{"base_url": "https://api.openai.com/v1", "model": "gpt-5", "credential": "cred_0198c0de00007000800000000000000a"}], "instructions": "Write a haiku."})
    ),
    responses(
        (status = 201, body = Changed<super::Version>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(
    admin: Admin,
    State(app): State<App>,
    Id(endpoint): Id<EndpointId>,
    body: Body<VersionConfig>,
) -> Answer {
    let config = body.value;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    endpoints::lock(change.db(), admin.org, endpoint).await?.not_withdrawn()?;
    let version = add(&app, change.db(), admin.org, endpoint, config).await?;
    let subject = format!("{endpoint}@{}", version.version);
    let note = Note::of(&admin, Action::EndpointsWrite, "create", "version", subject).after(&version);
    change.record(note).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &version).await
}

/// Adds a version to a locked endpoint, if its configuration can be one, and tells the edge.
pub(crate) async fn add(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    config: VersionConfig,
) -> Result<super::Version, Error> {
    config.check().map_err(|error| Error::field(error.param, error.message))?;
    check_schema(&config)?;
    let origins = target_origins(app, &config)?;
    check_credentials(db, org, &config, &origins).await?;
    let version = insert(db, org, endpoint, &config, &origins).await?.version(endpoint)?;
    let key = RecordKey::Version(endpoint, version.version);
    let record = RecordValue::Version(VersionRecord { publisher: org, config });
    records::put(db, org, key, &record).await?;
    Ok(version)
}

/// What the edge could not check answers against is refused here, with its place in the schema.
fn check_schema(config: &VersionConfig) -> Result<(), Error> {
    let Some(output) = &config.output_schema else { return Ok(()) };
    schema::check(&output.schema).map_err(|error| {
        Error::field(format!("output_schema.schema{}", error.path.replace('/', ".")), error.message)
    })
}

/// The origin of every target, in order.
fn target_origins(app: &App, config: &VersionConfig) -> Result<Vec<String>, Error> {
    let rules = app.upstreams();
    let origin = |(index, base_url): (usize, &String)| {
        rules
            .origin_of(base_url)
            .map_err(|message| Error::field(format!("targets[{index}].base_url"), message))
    };
    config.targets.iter().map(|target| &target.base_url).enumerate().map(origin).collect()
}

/// A credential must be the org's own, and for the origin of its target.
async fn check_credentials(
    db: &mut PgConnection,
    org: OrgId,
    config: &VersionConfig,
    origins: &[String],
) -> Result<(), Error> {
    let used: Vec<CredentialId> = config.targets.iter().filter_map(|target| target.credential).collect();
    let known = credentials::origins(db, org, &used).await?;
    for (index, (target, origin)) in config.targets.iter().zip(origins).enumerate() {
        let Some(credential) = target.credential else { continue };
        match known.get(&credential) {
            Some(allowed) if allowed == origin => {}
            Some(allowed) => {
                let message = format!("its origin must be the one that its credential is for, `{allowed}`");
                return Err(Error::field(format!("targets[{index}].base_url"), message));
            }
            None => {
                let message = "there is no such credential in your org";
                return Err(Error::field(format!("targets[{index}].credential"), message));
            }
        }
    }
    Ok(())
}

/// Inserts the version under the next number; the endpoint is locked, so numbers have no gaps.
async fn insert(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    config: &VersionConfig,
    origins: &[String],
) -> Result<Row, Error> {
    let with_credential =
        config.targets.iter().zip(origins).filter(|(target, _)| target.credential.is_some());
    let sent_to: BTreeSet<&String> = with_credential.map(|(_, origin)| origin).collect();
    let row: Row = sqlx::query_as(
        "INSERT INTO versions (org_id, endpoint_id, number, config, origins)
         SELECT $1, $2, coalesce(max(number), 0) + 1, $3::text::json, $4
         FROM versions WHERE org_id = $1 AND endpoint_id = $2
         RETURNING number, created_at, first_live_at, config::text",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(serde_json::to_string(config).map_err(Error::internal)?)
    .bind(sent_to.into_iter().cloned().collect::<Vec<_>>())
    .fetch_one(&mut *db)
    .await?;
    let used: BTreeSet<CredentialId> = config.targets.iter().filter_map(|target| target.credential).collect();
    sqlx::query(
        "INSERT INTO version_credentials (org_id, endpoint_id, number, credential_id)
         SELECT $1, $2, $3, credential_id FROM unnest($4::uuid[]) AS used (credential_id)",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(row.number)
    .bind(used.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(row)
}
