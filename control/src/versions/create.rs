//! `POST /v1/endpoints/{id}/versions`: a configuration, for ever. The edge gets it at once, so that publishing it is one
//! pointer.

use super::Row;
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Changed, Effect},
    credentials::{self, Destination},
    endpoints,
    error::{Answer, Error},
    outbox::records,
    params::Id,
    policies,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    endpoint::{Target, VersionConfig},
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
    mut config: VersionConfig,
) -> Result<super::Version, Error> {
    config.check().map_err(|error| Error::field(error.param, error.message))?;
    check_schema(&config)?;
    let origins = credentials::origins_of(app, &targets(&config))?;
    credentials::check_destinations(db, org, &targets(&config), &origins).await?;
    let (references, parts) = policies::resolve(db, org, &config.policies).await?;
    config.policies = policies::written(&references);
    let served = config.under(&parts).map_err(|error| Error::field(error.param, error.message))?;
    check_moderations(app, db, org, &served).await?;
    let row = insert(db, org, endpoint, (&config, &served), &origins).await?;
    policies::refer(db, org, endpoint, row.number, &references).await?;
    let version = row.version(endpoint, references)?;
    let key = RecordKey::Version(endpoint, version.version);
    let record = RecordValue::Version(Box::new(VersionRecord { publisher: org, config: served }));
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

/// Where the targets' credentials are sent.
fn targets<'a>(config: &'a VersionConfig) -> Vec<Destination<'a>> {
    let destination = |(at, Target { base_url, credential, .. }): (usize, &'a Target)| Destination {
        path: format!("targets[{at}]"),
        base_url,
        credential: *credential,
    };
    config.targets.iter().enumerate().map(destination).collect()
}

/// Who is asked about texts, the policies' moderators among them, must be somebody who may be asked.
async fn check_moderations(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    served: &VersionConfig,
) -> Result<(), Error> {
    let destination = |(at, moderation)| Destination::of_moderation("", at, moderation);
    let to: Vec<_> = served.moderation.iter().enumerate().map(destination).collect();
    let origins = credentials::origins_of(app, &to)?;
    credentials::check_destinations(db, org, &to, &origins).await
}

/// Inserts the version under the next number; the endpoint is locked, so numbers have no gaps.
async fn insert(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    (config, served): (&VersionConfig, &VersionConfig),
    origins: &[String],
) -> Result<Row, Error> {
    let with_credential =
        config.targets.iter().zip(origins).filter(|(target, _)| target.credential.is_some());
    let sent_to: BTreeSet<&String> = with_credential.map(|(_, origin)| origin).collect();
    let resolved =
        (served != config).then(|| serde_json::to_string(served)).transpose().map_err(Error::internal)?;
    let row: Row = sqlx::query_as(
        "INSERT INTO versions (org_id, endpoint_id, number, config, resolved, origins)
         SELECT $1, $2, coalesce(max(number), 0) + 1, $3::text::json, $4::text::json, $5
         FROM versions WHERE org_id = $1 AND endpoint_id = $2
         RETURNING number, created_at, first_live_at, config::text, resolved::text",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(serde_json::to_string(config).map_err(Error::internal)?)
    .bind(resolved)
    .bind(sent_to.into_iter().cloned().collect::<Vec<_>>())
    .fetch_one(&mut *db)
    .await?;
    let of_targets = config.targets.iter().filter_map(|target| target.credential);
    let used: BTreeSet<CredentialId> =
        of_targets.chain(served.moderation.iter().filter_map(|moderation| moderation.credential)).collect();
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
