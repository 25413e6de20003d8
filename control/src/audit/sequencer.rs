//! The loop that links entries: org by org, in the order in which they were announced, after their transactions ended.
//!
//! What is announced and visible is committed; an entry whose transaction takes longer simply comes later, since the chain's
//! order is the sequencer's and not that of the ids: none is skipped. Of several replicas, one links an org at a time (an
//! advisory lock that ends with its transaction), so a chain does not fork. Each signed head is also logged, which is one
//! place outside of the database that keeps it; and a process that has signed a head does not go on with a chain that has
//! lost it.

use super::{
    chain::{Digest, Link, NOTHING, Signer},
    entry::Entry,
    store,
};
use crate::{app::App, error::Error};
use alphagate_contract::id::{AuditId, OrgId};
use sqlx::PgConnection;
use std::collections::HashMap;
use tokio::sync::watch;
use uuid::Uuid;

/// Most entries that one transaction links.
const LINKS_MAX: i64 = 500;
/// Most orgs that one round finds; the next one finds the rest.
const ORGS_MAX: i64 = 1_000;

/// Heads that this process has signed or found, by org.
type Seen = HashMap<OrgId, (i64, Digest)>;

/// Until `stop`; the first round at once. A round may be cut short anywhere: it is made of transactions.
pub(crate) async fn run(app: App, mut stop: watch::Receiver<bool>) {
    let signer = match Signer::new(&app.settings().audit_ring) {
        Ok(signer) => signer,
        Err(error) => return tracing::error!(%error, "the audit trail is not linked"),
    };
    tokio::select! {
        () = rounds(&app, &signer) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn rounds(app: &App, signer: &Signer) {
    let mut seen = Seen::new();
    loop {
        if let Err(error) = round(app, signer, &mut seen).await {
            tracing::warn!(%error, "the audit trail is linked in the next round");
        }
        tokio::time::sleep(app.settings().audit_poll).await;
    }
}

async fn round(app: &App, signer: &Signer, seen: &mut Seen) -> Result<(), Error> {
    let orgs: Vec<(Uuid,)> = sqlx::query_as("SELECT DISTINCT org_id FROM audit_pending LIMIT $1")
        .bind(ORGS_MAX)
        .fetch_all(app.system())
        .await?;
    for (org,) in orgs {
        let org = OrgId::from_uuid(org);
        while link(app, signer, org, seen).await? {}
    }
    Ok(())
}

/// Links what an org has announced; whether there may be more.
async fn link(app: &App, signer: &Signer, org: OrgId, seen: &mut Seen) -> Result<bool, Error> {
    let mut tx = app.system().begin().await?;
    let (locked,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("audit {org}"))
        .fetch_one(&mut *tx)
        .await?;
    if !locked {
        return Ok(false);
    }
    let (number, head) = last(&mut tx, org).await?;
    if !goes_on(&mut tx, org, seen).await? {
        tracing::error!(%org, "the audit trail has lost a head that was signed: it is not linked any further");
        return Ok(false);
    }
    let (places, entries) = announced(&mut tx, org).await?;
    let links = chain(signer, number, head, &entries);
    let Some(newest) = links.last() else { return Ok(false) };
    insert(&mut tx, org, &links).await?;
    sqlx::query("DELETE FROM audit_pending WHERE org_id = $1 AND place = ANY($2)")
        .bind(org.uuid())
        .bind(&places)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    seen.insert(org, (newest.number, newest.head));
    tracing::info!(head = %newest.signed_head(org), links = links.len(), "the audit trail has a new head");
    Ok(places.len() >= usize::try_from(LINKS_MAX).unwrap_or(usize::MAX))
}

async fn last(db: &mut PgConnection, org: OrgId) -> Result<(i64, Digest), Error> {
    let found: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT number, head FROM audit_links WHERE org_id = $1 ORDER BY number DESC LIMIT 1")
            .bind(org.uuid())
            .fetch_optional(db)
            .await?;
    Ok(match found {
        Some((number, head)) => (number, store::digest(head)?),
        None => (0, NOTHING),
    })
}

/// Whether the chain still has the head that this process saw last.
async fn goes_on(db: &mut PgConnection, org: OrgId, seen: &Seen) -> Result<bool, Error> {
    let Some((number, head)) = seen.get(&org) else { return Ok(true) };
    let found: Option<(bool,)> =
        sqlx::query_as("SELECT head = $3 FROM audit_links WHERE org_id = $1 AND number = $2")
            .bind(org.uuid())
            .bind(number)
            .bind(head.as_slice())
            .fetch_optional(db)
            .await?;
    Ok(found.is_some_and(|(same,)| same))
}

/// What waits for its link, in order, with its places in the queue. What was announced and is not there stays announced,
/// so that the check finds it.
async fn announced(db: &mut PgConnection, org: OrgId) -> Result<(Vec<i64>, Vec<Entry>), Error> {
    let pending: Vec<(i64, Uuid)> = sqlx::query_as(
        "SELECT p.place, p.entry_id FROM audit_pending p
         WHERE p.org_id = $1 AND EXISTS (SELECT FROM audit a WHERE a.org_id = p.org_id AND a.id = p.entry_id)
         ORDER BY p.place LIMIT $2",
    )
    .bind(org.uuid())
    .bind(LINKS_MAX)
    .fetch_all(&mut *db)
    .await?;
    let ids: Vec<Uuid> = pending.iter().map(|(_, id)| *id).collect();
    let mut found: HashMap<AuditId, Entry> =
        store::entries(db, org, &ids).await?.into_iter().map(|entry| (entry.id, entry)).collect();
    let entries = ids.into_iter().filter_map(|id| found.remove(&AuditId::from_uuid(id))).collect();
    Ok((pending.into_iter().map(|(place, _)| place).collect(), entries))
}

fn chain(signer: &Signer, mut number: i64, mut head: Digest, entries: &[Entry]) -> Vec<Link> {
    let mut links = Vec::with_capacity(entries.len());
    for entry in entries {
        let link = signer.link(number, head, entry);
        (number, head) = (link.number, link.head);
        links.push(link);
    }
    links
}

async fn insert(db: &mut PgConnection, org: OrgId, links: &[Link]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO audit_links (org_id, number, entry_id, digest, previous, head, kid, signature)
         SELECT $1, * FROM unnest($2::bigint[], $3::uuid[], $4::bytea[], $5::bytea[], $6::bytea[], $7::text[], $8::bytea[])",
    )
    .bind(org.uuid())
    .bind(links.iter().map(|link| link.number).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.entry.uuid()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.digest.to_vec()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.previous.to_vec()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.head.to_vec()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.kid.clone()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.signature.clone()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}
