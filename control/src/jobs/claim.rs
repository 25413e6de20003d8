//! A runner gets jobs: the next org's, the first of its queue that fit.
//!
//! An org's jobs are claimed under the lock of its queue, and what is held is counted under it: concurrent claims never
//! pass its cap. The system role claims; what a job runs is read in the org's own transaction afterwards. If that never
//! reaches the runner, the claim is taken back at its next renewal and has cost nothing.

use super::{
    lease, owner,
    settle::{self, Seen},
    share::{self, Asker, Turn},
};
use crate::{
    app::App,
    body::word,
    error::{Answer, Error},
    orgs,
};
use alphagate_contract::{
    id::{AttemptId, JobId, OrgId, RunId},
    job::{
        Ending, Kind, Report, SampleSpec, SandboxSpec,
        dispatch::{Claimed, Held, Slots, Work},
    },
};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Most jobs of an org in one transaction.
const PICK_MAX: u32 = 8;
/// From then on an answer is full, bytes of specifications; the slots that are left are asked for anew. With the picks
/// that may come on top it stays below 100 MiB.
const ANSWER_FULL_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, sqlx::FromRow)]
struct Picked {
    job_id: Uuid,
    id: Uuid,
    number: i32,
}

/// Jobs for these free slots; fewer, or none, if there are no more for this runner now.
pub(crate) async fn claim(app: &App, asker: &Asker<'_>, free: Slots) -> Answer<Vec<Claimed>> {
    let (mut claimed, mut bytes) = (Vec::new(), 0);
    for kind in [Kind::Sandbox, Kind::Sample] {
        let mut left = free.of(kind);
        let mut skip = Vec::new();
        while left > 0 && bytes < ANSWER_FULL_BYTES {
            let turns = share::turns(app, kind, asker, &skip).await?;
            let Some(turn) = turns.first() else { break };
            let jobs = turn.jobs_before(turns.get(1), left.min(PICK_MAX));
            let picked = pick(app, kind, asker, turn, jobs).await?;
            if picked.is_empty() {
                // Somebody else took them, or the org may not run anything now.
                skip.push(turn.org().uuid());
                continue;
            }
            left = left.saturating_sub(u32::try_from(picked.len()).unwrap_or(left));
            bytes += load(app, turn.org(), kind, &picked, &mut claimed).await?;
        }
    }
    Ok(claimed)
}

/// Takes the first jobs of an org's queue that fit.
async fn pick(app: &App, kind: Kind, asker: &Asker<'_>, turn: &Turn, jobs: u32) -> Answer<Vec<Picked>> {
    let mut tx = app.system().begin().await?;
    let org = turn.org();
    if orgs::is_suspended(&mut tx, org).await? {
        return Ok(Vec::new());
    }
    sqlx::query("SELECT FROM job_queues WHERE org_id = $1 AND kind = $2 FOR NO KEY UPDATE")
        .bind(org.uuid())
        .bind(word(kind))
        .execute(&mut *tx)
        .await?;
    let fresh: Vec<Uuid> = (0..jobs).map(|_| app.new_id(AttemptId::new).uuid()).collect();
    let mut picked = take(&mut tx, app, kind, asker, turn, &fresh).await?;
    picked.sort_by_key(|picked| fresh.iter().position(|attempt| *attempt == picked.id));
    if !picked.is_empty() {
        sqlx::query(
            "UPDATE job_queues SET used_ms = greatest(used_ms, $3), waiting = true WHERE org_id = $1 AND kind = $2",
        )
        .bind(org.uuid())
        .bind(word(kind))
        .bind(turn.least_used_ms())
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(picked)
}

/// Under the queue's lock: the statement sees every claim that was committed before.
async fn take(
    db: &mut PgConnection,
    app: &App,
    kind: Kind,
    asker: &Asker<'_>,
    turn: &Turn,
    fresh: &[Uuid],
) -> Result<Vec<Picked>, sqlx::Error> {
    sqlx::query_as(
        "WITH fitting AS (
            SELECT id FROM jobs
            WHERE org_id = $1 AND kind = $2 AND state = 'queued' AND due_at <= now()
                AND labels <@ $3 AND (image IS NULL OR image = ANY($4))
                AND (lease_until IS NULL OR runner_id <> $5 OR lease_until < now() - $11 * interval '1 millisecond')
            ORDER BY effective_at, id
            LIMIT least(cardinality($6::uuid[]), greatest(0,
                coalesce((SELECT CASE $2 WHEN 'sandbox' THEN sandbox_max ELSE sample_max END
                    FROM job_settings WHERE org_id = $1), $7)
                - (SELECT count(*) FROM jobs WHERE org_id = $1 AND kind = $2 AND state IN ('starting', 'running'))))
            FOR NO KEY UPDATE SKIP LOCKED
         ), numbered AS (
            SELECT id, row_number() OVER () AS place FROM fitting
         ), taken AS (
            UPDATE jobs SET state = 'starting', attempts = attempts + 1, attempt_id = fresh.attempt, runner_id = $5,
                token_id = $8, claimed_at = now(), lease_until = now() + $9 * interval '1 millisecond',
                acknowledged = false, charged_ms = $10, started_at = NULL, next_chunk = 0, stdout_bytes = 0,
                stderr_bytes = 0, truncated = false, stdout_preview = '', stderr_preview = ''
            FROM numbered JOIN unnest($6) WITH ORDINALITY AS fresh (attempt, place) USING (place)
            WHERE jobs.org_id = $1 AND jobs.id = numbered.id
            RETURNING jobs.id, jobs.attempt_id, jobs.attempts
         )
         INSERT INTO job_attempts (org_id, id, job_id, number, runner_id)
         SELECT $1, attempt_id, id, attempts, $5 FROM taken
         RETURNING job_id, id, number",
    )
    .bind(turn.org().uuid())
    .bind(word(kind))
    .bind(asker.labels)
    .bind(asker.images)
    .bind(asker.runner.uuid())
    .bind(fresh)
    .bind(share::default_max(kind))
    .bind(asker.token)
    .bind(i64::try_from(app.settings().lease.as_millis()).unwrap_or(i64::MAX))
    .bind(turn.estimate_ms())
    .bind(lease::forsaken_ms(app))
    .fetch_all(db)
    .await
}

#[derive(sqlx::FromRow)]
struct Spec {
    id: Uuid,
    spec: String,
    owner_run: Option<Uuid>,
}

/// Reads what the jobs run, and drops what earlier attempts wrote; gives the bytes of the specifications.
async fn load(
    app: &App,
    org: OrgId,
    kind: Kind,
    picked: &[Picked],
    claimed: &mut Vec<Claimed>,
) -> Answer<usize> {
    let mut tx = app.tenants().begin(org).await?;
    let jobs: Vec<Uuid> = picked.iter().map(|picked| picked.job_id).collect();
    let attempts: Vec<Uuid> = picked.iter().map(|picked| picked.id).collect();
    if picked.iter().any(|picked| picked.number > 1) {
        sqlx::query(
            "DELETE FROM job_output WHERE org_id = $1 AND job_id = ANY($2) AND attempt_id <> ALL($3)",
        )
        .bind(org.uuid())
        .bind(&jobs)
        .bind(&attempts)
        .execute(&mut *tx)
        .await?;
    }
    let specs: Vec<Spec> = sqlx::query_as(
        "SELECT id, spec::text AS spec, owner_run FROM jobs WHERE org_id = $1 AND id = ANY($2) AND attempt_id = ANY($3)",
    )
    .bind(org.uuid())
    .bind(&jobs)
    .bind(&attempts)
    .fetch_all(&mut *tx)
    .await?;
    let mut specs: HashMap<Uuid, Spec> = specs.into_iter().map(|spec| (spec.id, spec)).collect();
    let (mut bytes, mut unfit) = (0, Vec::new());
    for picked in picked {
        let held = Held { job: JobId::from_uuid(picked.job_id), attempt: AttemptId::from_uuid(picked.id) };
        let Some(spec) = specs.remove(&picked.job_id) else { continue };
        bytes += spec.spec.len();
        match work(app, &mut tx, org, kind, &spec).await {
            Ok(work) => claimed.push(Claimed {
                job: held.job,
                attempt: held.attempt,
                number: u32::try_from(picked.number).map_err(Error::internal)?,
                work,
            }),
            Err(Error::Store(error)) => return Err(error.into()),
            Err(error) => unfit.push((held, error.to_string())),
        }
    }
    tx.commit().await?;
    for (held, why) in unfit {
        tracing::warn!(%org, job = %held.job, why, "a job cannot be handed out");
        let report = not_run(why);
        settle::finish(app, org, held, Seen::Report(Box::new(report))).await?;
    }
    Ok(bytes)
}

async fn work(app: &App, db: &mut PgConnection, org: OrgId, kind: Kind, row: &Spec) -> Answer<Work> {
    match kind {
        Kind::Sandbox => {
            let spec: SandboxSpec = serde_json::from_str(&row.spec).map_err(Error::internal)?;
            Ok(Work::Sandbox(Box::new(spec)))
        }
        Kind::Sample => {
            let spec: SampleSpec = serde_json::from_str(&row.spec).map_err(Error::internal)?;
            let run = row
                .owner_run
                .map(RunId::from_uuid)
                .ok_or_else(|| Error::internal("a sample without a run"))?;
            let key = owner::sampling_key(app, db, org, run).await?;
            Ok(Work::Sample { spec, key })
        }
    }
}

fn not_run(why: String) -> Report {
    Report::of(Ending::NotRun { code: "not_handed_out".to_owned(), message: why })
}
