//! The check of chains, in the database or in an export: which holds up to which head, and where the first breaks.

use super::{
    chain::{Broken, Head, PublicKeys, Walk},
    export::Line,
    store,
};
use alphagate_contract::id::{AuditId, OrgId};
use anyhow::{Context as _, bail, ensure};
use sqlx::PgConnection;
use std::io::BufRead;
use uuid::Uuid;

/// Links that are read at once.
const PAGE_LINKS: i64 = 1_000;

/// What was found of one org's chain.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) org: OrgId,
    pub(super) result: Result<Held, Fault>,
}

/// A chain that holds.
#[derive(Debug)]
pub(super) struct Held {
    /// Its head; none if nothing was linked yet.
    pub(super) head: Option<Head>,
    /// Entries that wait for their link.
    pub(super) pending: i64,
}

/// What is wrong with a trail.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// A link.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// An entry that is in no link, and waits for none.
    #[error("entry {0} is in no link: links were deleted, or it was never announced")]
    Unlinked(AuditId),
    /// An entry was deleted before it was linked.
    #[error("entry {0} was announced, and is missing")]
    Lost(AuditId),
}

/// Every org that has a trail, or should have one by the heads that were kept.
pub(super) async fn orgs(db: &mut PgConnection, kept: &[Head]) -> anyhow::Result<Vec<OrgId>> {
    let rows: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT org_id FROM audit UNION SELECT org_id FROM audit_links UNION SELECT org_id FROM audit_pending
         ORDER BY org_id",
    )
    .fetch_all(db)
    .await
    .context("the trail cannot be read")?;
    let mut orgs: Vec<OrgId> = rows.into_iter().map(|(org,)| OrgId::from_uuid(org)).collect();
    orgs.extend(kept.iter().map(|head| head.org));
    orgs.sort_unstable();
    orgs.dedup();
    Ok(orgs)
}

/// Checks the chain of one org in the database.
pub(super) async fn in_database(
    db: &mut PgConnection,
    keys: &PublicKeys,
    org: OrgId,
    kept: &[Head],
) -> anyhow::Result<Found> {
    let result = match walk(db, keys, org, kept).await? {
        Err(broken) => Err(broken.into()),
        Ok(head) => loose(db, org).await?.map(|pending| Held { head, pending }),
    };
    Ok(Found { org, result })
}

async fn walk(
    db: &mut PgConnection,
    keys: &PublicKeys,
    org: OrgId,
    kept: &[Head],
) -> anyhow::Result<Result<Option<Head>, Broken>> {
    let mut walk = match Walk::begin(keys, org, kept) {
        Ok(walk) => walk,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut number = 0;
    loop {
        let links = store::linked(db, org, number, PAGE_LINKS).await?;
        let Some((last, _)) = links.last() else { return Ok(walk.end()) };
        number = last.number;
        for (link, entry) in &links {
            if let Err(broken) = walk.step(link, entry.as_ref()) {
                return Ok(Err(broken));
            }
        }
    }
}

/// Whether every entry that has no link waits for one, and the other way round; gives how many do.
async fn loose(db: &mut PgConnection, org: OrgId) -> anyhow::Result<Result<i64, Fault>> {
    let (unlinked, lost, pending): (Option<Uuid>, Option<Uuid>, i64) = sqlx::query_as(
        "SELECT
            (SELECT a.id FROM audit a WHERE a.org_id = $1
                AND NOT EXISTS (SELECT FROM audit_links l WHERE l.org_id = a.org_id AND l.entry_id = a.id)
                AND NOT EXISTS (SELECT FROM audit_pending p WHERE p.org_id = a.org_id AND p.entry_id = a.id)
                ORDER BY a.id LIMIT 1),
            (SELECT p.entry_id FROM audit_pending p WHERE p.org_id = $1
                AND NOT EXISTS (SELECT FROM audit a WHERE a.org_id = p.org_id AND a.id = p.entry_id)
                ORDER BY p.place LIMIT 1),
            (SELECT count(*) FROM audit_pending p WHERE p.org_id = $1)",
    )
    .bind(org.uuid())
    .fetch_one(db)
    .await?;
    Ok(match (unlinked, lost) {
        (Some(id), _) => Err(Fault::Unlinked(AuditId::from_uuid(id))),
        (None, Some(id)) => Err(Fault::Lost(AuditId::from_uuid(id))),
        (None, None) => Ok(pending),
    })
}

/// Checks an export.
pub(super) fn in_export(lines: impl BufRead, keys: &PublicKeys, kept: &[Head]) -> anyhow::Result<Found> {
    let mut parsed = Vec::new();
    for (number, line) in lines.lines().enumerate() {
        let line: Line = serde_json::from_str(&line.context("the export cannot be read")?)
            .with_context(|| format!("line {} of the export cannot be read", number + 1))?;
        parsed.push(line);
    }
    let end = parsed.pop().and_then(|line| line.end);
    let end = end.context("the export was cut short: its last line, with the head, is missing")?;
    let mut kept = kept.to_vec();
    kept.extend(end.head.as_deref().map(str::parse::<Head>).transpose()?);
    ensure!(kept.iter().all(|head| head.org == end.org), "the export is of {}, the head is not", end.org);
    let result = along(keys, end.org, &kept, &parsed)?;
    Ok(Found { org: end.org, result: result.map(|head| Held { head, pending: 0 }).map_err(Fault::from) })
}

fn along(
    keys: &PublicKeys,
    org: OrgId,
    kept: &[Head],
    lines: &[Line],
) -> anyhow::Result<Result<Option<Head>, Broken>> {
    let mut walk = match Walk::begin(keys, org, kept) {
        Ok(walk) => walk,
        Err(broken) => return Ok(Err(broken)),
    };
    for line in lines {
        let Some(link) = &line.link else { bail!("a line of the export has no link") };
        if let Err(broken) = walk.step(link, line.entry.as_ref()) {
            return Ok(Err(broken));
        }
    }
    Ok(walk.end())
}
