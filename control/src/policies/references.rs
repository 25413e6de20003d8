//! Which versions refer to which revisions of which policies.

use crate::error::Error;
use alphagate_contract::{
    id::{EndpointId, OrgId, PolicyId},
    policy::{Policy, PolicyName, PolicyRef},
};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// A policy that a version was created under.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = PolicyReference)]
pub(crate) struct Reference {
    id: PolicyId,
    name: PolicyName,
    /// The revision that the version goes by.
    revision: u32,
    /// The newest revision; if it is another one, it holds from the next version on.
    newest_revision: u32,
}

impl Reference {
    fn new((id, name, revision, newest): (Uuid, String, i32, i32)) -> Result<Self, Error> {
        Ok(Self {
            id: PolicyId::from_uuid(id),
            name: name.parse().map_err(Error::internal)?,
            revision: u32::try_from(revision).map_err(Error::internal)?,
            newest_revision: u32::try_from(newest).map_err(Error::internal)?,
        })
    }
}

/// What is referred to, in that order, each at its revision; none of it is deleted before the transaction ends.
pub(crate) async fn resolve(
    db: &mut PgConnection,
    org: OrgId,
    wanted: &[PolicyRef],
) -> Result<(Vec<Reference>, Vec<Policy>), Error> {
    if wanted.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let names: Vec<&str> = wanted.iter().map(|wanted| wanted.name.as_str()).collect();
    let numbers: Vec<Option<i32>> = wanted
        .iter()
        // Beyond what the database counts to, there is no revision.
        .map(|wanted| wanted.revision.map(|revision| i32::try_from(revision).unwrap_or(i32::MAX)))
        .collect();
    type Found = (Uuid, String, i32, Option<i32>, Option<String>);
    let found: Vec<Found> = sqlx::query_as(
        "SELECT p.id, p.name, p.newest, r.number, r.document::text
         FROM policies p
         JOIN unnest($2::text[], $3::integer[]) AS wanted (name, number) ON p.name = wanted.name
         LEFT JOIN policy_revisions r ON r.org_id = p.org_id AND r.policy_id = p.id
            AND r.number = coalesce(wanted.number, p.newest)
         WHERE p.org_id = $1
         ORDER BY p.id FOR KEY SHARE OF p",
    )
    .bind(org.uuid())
    .bind(names)
    .bind(numbers)
    .fetch_all(db)
    .await?;
    let mut found: HashMap<String, Found> = found.into_iter().map(|found| (found.1.clone(), found)).collect();
    let mut resolved = (Vec::new(), Vec::new());
    for (index, wanted) in wanted.iter().enumerate() {
        let Some((id, name, newest, number, document)) = found.remove(wanted.name.as_str()) else {
            let message = "there is no policy of this name in your org";
            return Err(Error::field(format!("policies[{index}].name"), message));
        };
        let (Some(number), Some(document)) = (number, document) else {
            let message = format!("this policy has the revisions 1 to {newest}");
            return Err(Error::field(format!("policies[{index}].revision"), message));
        };
        resolved.0.push(Reference::new((id, name, number, newest))?);
        resolved.1.push(serde_json::from_str(&document).map_err(Error::internal)?);
    }
    Ok(resolved)
}

/// The references as a version's configuration writes them down: with their revisions.
pub(crate) fn written(references: &[Reference]) -> Vec<PolicyRef> {
    let written = |one: &Reference| PolicyRef { name: one.name.clone(), revision: Some(one.revision) };
    references.iter().map(written).collect()
}

/// Notes what a new version refers to.
pub(crate) async fn refer(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    number: i32,
    references: &[Reference],
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO version_policies (org_id, endpoint_id, number, policy_id, revision)
         SELECT $1, $2, $3, policy_id, revision FROM unnest($4::uuid[], $5::bigint[]) AS used (policy_id, revision)",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(number)
    .bind(references.iter().map(|one| one.id.uuid()).collect::<Vec<_>>())
    .bind(references.iter().map(|one| i64::from(one.revision)).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// What a version refers to, by name.
pub(crate) async fn of_version(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    number: i32,
) -> Result<Vec<Reference>, Error> {
    let rows: Vec<(Uuid, String, i32, i32)> = sqlx::query_as(
        "SELECT p.id, p.name, v.revision, p.newest
         FROM version_policies v JOIN policies p ON p.org_id = v.org_id AND p.id = v.policy_id
         WHERE v.org_id = $1 AND v.endpoint_id = $2 AND v.number = $3 ORDER BY p.name",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(number)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Reference::new).collect()
}

/// Lets go of the policies that a withdrawn endpoint's versions referred to.
pub(crate) async fn release(db: &mut PgConnection, org: OrgId, endpoint: EndpointId) -> Result<(), Error> {
    sqlx::query("DELETE FROM version_policies WHERE org_id = $1 AND endpoint_id = $2")
        .bind(org.uuid())
        .bind(endpoint.uuid())
        .execute(db)
        .await?;
    Ok(())
}
