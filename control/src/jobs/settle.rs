//! The end of an attempt: what it means, what becomes of the job, and who is told; one transaction.
//!
//! Under the job's lock, and for its current attempt only; so of all who say how a job ended, one is heard.

use super::{
    Ended, Owner, keep,
    owner::{self, OwnerColumns},
    verdict::{self, Because, Facts, Next},
};
use crate::{
    app::App,
    body::word,
    error::{Answer, Error},
    events::{self, Notice},
};
use alphagate_contract::{
    id::{AttemptId, JobId, OrgId},
    job::{Kind, Outcome, Report, dispatch::Held},
    problem::Code,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// How the end of an attempt came to be known.
pub(crate) enum Seen {
    /// Its runner says so.
    Report(Box<Report>),
    /// Its lease has run out.
    LostLease,
}

/// A job, locked, whose current attempt this is.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Current {
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) attempt_id: Option<Uuid>,
    attempts: i32,
    retries: i32,
    retried: i32,
    losses: i32,
    refusals: i32,
    crashes: i32,
    canceled: bool,
    expired: bool,
    /// A lease that nobody has taken over, running or not.
    leased: bool,
    pub(super) stdout_bytes: i64,
    pub(super) stderr_bytes: i64,
    #[sqlx(flatten)]
    owner: OwnerColumns,
}

impl Current {
    /// Whether `attempt` may still write.
    fn is_held_by(&self, attempt: AttemptId) -> bool {
        let open =
            matches!(self.state.as_str(), "starting" | "running") || (self.state == "queued" && self.leased);
        open && self.attempt_id == Some(attempt.uuid())
    }

    fn facts(&self, jitter: f64) -> Facts {
        let count = |number: i32| u32::try_from(number).unwrap_or(u32::MAX);
        Facts {
            losses: count(self.losses),
            refusals: count(self.refusals),
            crashes: count(self.crashes),
            retries: count(self.retries),
            retried: count(self.retried),
            canceled: self.canceled,
            jitter,
        }
    }

    /// What would follow now.
    pub(super) fn next(&self, app: &App, seen: &Seen) -> Next {
        let mut facts = self.facts(jitter(app));
        match seen {
            // A lost lease that was counted before does not count beside the attempt's own report.
            Seen::Report(report) => {
                if self.state == "queued" {
                    facts.losses = facts.losses.saturating_sub(1);
                }
                verdict::after(&facts, report)
            }
            Seen::LostLease => verdict::after_lost_lease(&facts),
        }
    }
}

fn jitter(app: &App) -> f64 {
    /// Steps between none and all of it.
    const STEPS: u32 = 1_000_000;
    let step = app.platform().up_to(u64::from(STEPS));
    f64::from(u32::try_from(step).unwrap_or(STEPS)) / f64::from(STEPS)
}

/// The job under its lock, if there is one.
pub(super) async fn lock(
    db: &mut PgConnection,
    org: OrgId,
    job: JobId,
) -> Result<Option<Current>, sqlx::Error> {
    sqlx::query_as(
        "SELECT kind, state, attempt_id, attempts, retries, retried, losses, refusals, crashes,
            cancel_asked_at IS NOT NULL AS canceled, coalesce(lease_until < now(), false) AS expired,
            lease_until IS NOT NULL AS leased, stdout_bytes, stderr_bytes,
            owner, owner_run, owner_item, owner_grader
         FROM jobs WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .fetch_optional(db)
    .await
}

/// Ends an attempt; says whether that changed anything. A report that was taken before is taken again, without effect;
/// one of an attempt that is over is refused.
pub(crate) async fn finish(app: &App, org: OrgId, held: Held, seen: Seen) -> Answer<bool> {
    let kept = match &seen {
        Seen::Report(report) => keep::ahead(app, org, held, report, &seen).await?,
        Seen::LostLease => keep::Kept::default(),
    };
    let mut tx = app.tenants().begin(org).await?;
    let current = lock(&mut tx, org, held.job).await?.ok_or(Code::AttemptSuperseded)?;
    if !current.is_held_by(held.attempt) {
        let again = matches!(seen, Seen::Report(_)) && was_reported(&mut tx, org, held).await?;
        return if again { Ok(false) } else { Err(Code::AttemptSuperseded.into()) };
    }
    if matches!(seen, Seen::LostLease) && (!current.expired || current.state == "queued") {
        return Ok(false);
    }
    end_attempt(app, &mut tx, org, held, current, seen, kept).await?;
    tx.commit().await?;
    Ok(true)
}

/// Whether this attempt's report was taken.
async fn was_reported(db: &mut PgConnection, org: OrgId, held: Held) -> Result<bool, sqlx::Error> {
    let found: Option<(bool,)> = sqlx::query_as(
        "SELECT ending IS NOT NULL FROM job_attempts WHERE org_id = $1 AND id = $2 AND job_id = $3",
    )
    .bind(org.uuid())
    .bind(held.attempt.uuid())
    .bind(held.job.uuid())
    .fetch_optional(db)
    .await?;
    Ok(found.is_some_and(|(reported,)| reported))
}

async fn end_attempt(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    held: Held,
    current: Current,
    seen: Seen,
    kept: keep::Kept,
) -> Answer<()> {
    let next = current.next(app, &seen);
    note_attempt(db, org, held, &seen).await?;
    match next {
        Next::Again { after_ms, because } => {
            again(db, org, held.job, after_ms, because, &seen, current.state == "queued").await?;
            events::notify(db, Notice::Work).await?;
        }
        Next::Done(_) | Next::Canceled | Next::Dead { .. } => {
            let report = match seen {
                Seen::Report(report) => Some(*report),
                Seen::LostLease => None,
            };
            if let Some(report) = &report {
                keep::keep(db, org, held.job, report, kept).await?;
            }
            end(app, db, org, held.job, next, report, &current).await?;
        }
    }
    events::notify(db, Notice::Job(held.job)).await?;
    // Last: the queue's lock is waited for with the job's in hand, so nothing may be waited for after it.
    charge(db, org, held.job, &current.kind).await
}

async fn note_attempt(db: &mut PgConnection, org: OrgId, held: Held, seen: &Seen) -> Answer<()> {
    let ending = match seen {
        Seen::Report(report) => Some(serde_json::to_string(&report.ending).map_err(Error::internal)?),
        Seen::LostLease => None,
    };
    sqlx::query(
        "UPDATE job_attempts SET ended_at = now(), ending = $3::text::json WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(held.attempt.uuid())
    .bind(ending)
    .execute(db)
    .await?;
    Ok(())
}

/// Back into the queue, at its old place. After a lost lease the attempt stays the current one until another begins.
async fn again(
    db: &mut PgConnection,
    org: OrgId,
    job: JobId,
    after_ms: u64,
    because: Because,
    seen: &Seen,
    was_counted: bool,
) -> Answer<()> {
    let losses =
        i32::from(because == Because::Loss) - i32::from(was_counted && matches!(seen, Seen::Report(_)));
    sqlx::query(
        "UPDATE jobs SET state = 'queued', due_at = now() + $3 * interval '1 millisecond',
            losses = losses + $4,
            refusals = refusals + $5,
            crashes = CASE WHEN $7 = 1 THEN 0 ELSE crashes + $6 END,
            retried = retried + $7,
            lease_until = CASE WHEN $8 THEN lease_until END
         WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .bind(i64::try_from(after_ms).unwrap_or(i64::MAX))
    .bind(losses)
    .bind(i32::from(because == Because::Refusal))
    .bind(i32::from(because == Because::Crash))
    .bind(i32::from(because == Because::Retry))
    .bind(matches!(seen, Seen::LostLease))
    .execute(db)
    .await?;
    Ok(())
}

/// Ends the job, and tells its owner.
async fn end(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    job: JobId,
    next: Next,
    report: Option<Report>,
    current: &Current,
) -> Answer<()> {
    let (state, outcome) = match next {
        Next::Done(outcome) => ("done", Some(outcome)),
        Next::Dead { .. } => ("dead", Some(Outcome::Infrastructure)),
        Next::Canceled | Next::Again { .. } => ("canceled", None),
    };
    sqlx::query(
        "UPDATE jobs SET state = $3, outcome = $4, ended_at = now(), lease_until = NULL WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .bind(state)
    .bind(outcome.map(word))
    .execute(&mut *db)
    .await?;
    let ended = Ended {
        job,
        owner: Owner::try_from(current.owner.clone())?,
        outcome,
        report,
        attempts: u32::try_from(current.attempts).map_err(Error::internal)?,
    };
    owner::tell(app, db, org, &ended).await
}

/// Ends a job that no runner holds, because somebody wants that.
pub(super) async fn cancel_queued(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    job: JobId,
    current: &Current,
) -> Answer<()> {
    end(app, db, org, job, Next::Canceled, None, current).await?;
    Ok(events::notify(db, Notice::Job(job)).await?)
}

/// Adds the attempt's slot time to what its org has used, and to the mean length of its attempts.
async fn charge(db: &mut PgConnection, org: OrgId, job: JobId, kind: &str) -> Answer<()> {
    sqlx::query(
        "UPDATE job_queues SET used_ms = used_ms + slot_ms, estimate_ms = (estimate_ms * 7 + slot_ms) / 8
         FROM (SELECT greatest(0, extract(epoch FROM now() - claimed_at) * 1000)::bigint AS slot_ms
            FROM jobs WHERE org_id = $1 AND id = $2 AND claimed_at IS NOT NULL) AS attempt
         WHERE org_id = $1 AND kind = $3",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .bind(kind)
    .execute(db)
    .await?;
    Ok(())
}

/// The slots that a job of this row takes.
pub(super) fn kind_of(word: &str) -> Answer<Kind> {
    crate::body::from_word(word)
}
