//! Whose turn it is: orgs share the slots of a kind by slot time.
//!
//! An org's score is the slot time that it has used, with what it uses right now reckoned as at least the usual length
//! of its attempts; the lowest score is next. An org that begins to wait starts level with those that are being served,
//! so that idle time earns nothing, and with the highest score if nobody is.

use super::lease;
use crate::{app::App, body::word};
use alphagate_contract::{
    id::{OrgId, RunnerId},
    job::Kind,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Sandboxes of one org at once, unless the operator says otherwise: two large hosts.
pub(super) const SANDBOX_MAX: i32 = 64;
/// Samples of one org at once, unless the operator says otherwise: they wait, they do not compute.
pub(super) const SAMPLE_MAX: i32 = 64;

/// A runner that asks for work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// Who asks.
    pub(crate) runner: RunnerId,
    /// What it was registered with.
    pub(crate) token: Uuid,
    /// Its labels.
    pub(crate) labels: &'a [String],
    /// Its images.
    pub(crate) images: &'a [String],
}

/// Orgs with queued jobs; their scores; and `floor`, where one starts that begins to wait.
///
/// `$1` is the kind, `$2` the default cap. The first part hops from org to org on the index, whatever their queues' depth.
macro_rules! scores {
    ($rest:literal) => {
        concat!(
            "WITH RECURSIVE queued AS (
                (SELECT org_id FROM jobs WHERE kind = $1 AND state = 'queued' ORDER BY org_id LIMIT 1)
                UNION ALL
                SELECT (SELECT jobs.org_id FROM jobs WHERE kind = $1 AND state = 'queued' AND jobs.org_id > queued.org_id
                    ORDER BY jobs.org_id LIMIT 1)
                FROM queued WHERE queued.org_id IS NOT NULL
             ), held AS (
                SELECT org_id, count(*) AS held,
                    sum(greatest(charged_ms, extract(epoch FROM now() - claimed_at) * 1000))::bigint AS held_ms
                FROM jobs WHERE kind = $1 AND state IN ('starting', 'running') GROUP BY org_id
             ), scores AS (
                SELECT job_queues.org_id, waiting, estimate_ms, coalesce(held, 0) AS held,
                    coalesce(held_ms, 0) AS held_ms, used_ms + coalesce(held_ms, 0) AS score
                FROM job_queues LEFT JOIN held USING (org_id) WHERE kind = $1
             ), least AS (
                SELECT org_id, score FROM scores WHERE held > 0 ORDER BY score LIMIT 2
             ), likewise AS (
                SELECT org_id, score FROM scores WHERE waiting ORDER BY score LIMIT 2
             ), turns AS (
                SELECT scores.*, queued.org_id IS NOT NULL AS queued,
                    held < coalesce(CASE $1 WHEN 'sandbox' THEN sandbox_max ELSE sample_max END, $2) AS has_room,
                    coalesce(
                        (SELECT min(score) FROM least WHERE least.org_id <> scores.org_id),
                        (SELECT min(score) FROM likewise WHERE likewise.org_id <> scores.org_id),
                        (SELECT max(score) FROM scores AS all_scores)
                    ) AS floor
                FROM scores LEFT JOIN queued USING (org_id) LEFT JOIN job_settings USING (org_id)
             ) ",
            $rest
        )
    };
}

/// An org whose turn it is.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Turn {
    org_id: Uuid,
    /// Its score, not below where it starts.
    score: i64,
    /// How long its attempts take, milliseconds.
    estimate_ms: i64,
    /// What `used_ms` must at least be.
    least_used_ms: i64,
}

impl Turn {
    pub(super) const fn org(&self) -> OrgId {
        OrgId::from_uuid(self.org_id)
    }

    pub(super) const fn estimate_ms(&self) -> i64 {
        self.estimate_ms
    }

    pub(super) const fn least_used_ms(&self) -> i64 {
        self.least_used_ms
    }

    /// How many jobs it may take before it is the turn of `next`.
    pub(super) fn jobs_before(&self, next: Option<&Self>, most: u32) -> u32 {
        let Some(next) = next else { return most };
        let ahead = next.score.saturating_sub(self.score).max(0) / self.estimate_ms.max(1);
        u32::try_from(ahead.saturating_add(1)).unwrap_or(most).min(most)
    }
}

/// The default cap of a kind.
pub(super) const fn default_max(kind: Kind) -> i32 {
    match kind {
        Kind::Sandbox => SANDBOX_MAX,
        Kind::Sample => SAMPLE_MAX,
    }
}

/// The two orgs that are next among those with a job for this runner and room under their caps.
pub(super) async fn turns(
    app: &App,
    kind: Kind,
    asker: &Asker<'_>,
    skip: &[Uuid],
) -> Result<Vec<Turn>, sqlx::Error> {
    sqlx::query_as(scores!(
        "SELECT org_id, CASE WHEN waiting THEN score ELSE greatest(score, floor) END AS score, estimate_ms,
            CASE WHEN waiting THEN score ELSE greatest(score, floor) END - held_ms AS least_used_ms
         FROM turns
         WHERE queued AND has_room AND org_id <> ALL($6) AND EXISTS (
            SELECT FROM jobs
            WHERE jobs.org_id = turns.org_id AND kind = $1 AND state = 'queued' AND due_at <= now()
                AND labels <@ $3 AND (image IS NULL OR image = ANY($4))
                AND (lease_until IS NULL OR runner_id <> $5 OR lease_until < now() - $7 * interval '1 millisecond')
         )
         ORDER BY 2, 1 LIMIT 2"
    ))
    .bind(word(kind))
    .bind(default_max(kind))
    .bind(asker.labels)
    .bind(asker.images)
    .bind(asker.runner.uuid())
    .bind(skip)
    .bind(lease::forsaken_ms(app))
    .fetch_all(app.system())
    .await
}

/// Notes who waits for a slot since when; an org that has begun to wait starts level with the others.
pub(super) async fn note_waiting(db: &mut PgConnection, kind: Kind) -> Result<u64, sqlx::Error> {
    let noted = sqlx::query(scores!(
        ", now_waiting AS (
            SELECT org_id, floor, held_ms, queued AND has_room AND EXISTS (
                SELECT FROM jobs
                WHERE jobs.org_id = turns.org_id AND kind = $1 AND state = 'queued' AND due_at <= now()
            ) AS waits
            FROM turns
         )
         UPDATE job_queues SET waiting = waits,
            used_ms = CASE WHEN waits THEN greatest(used_ms, floor - held_ms) ELSE used_ms END
         FROM now_waiting
         WHERE job_queues.org_id = now_waiting.org_id AND kind = $1 AND waiting <> waits"
    ))
    .bind(word(kind))
    .bind(default_max(kind))
    .execute(db)
    .await?;
    Ok(noted.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(score: i64, estimate_ms: i64) -> Turn {
        Turn { org_id: Uuid::nil(), score, estimate_ms, least_used_ms: score }
    }

    #[test]
    fn an_org_takes_jobs_until_it_is_the_others_turn() {
        let cases = [
            (turn(0, 1_000), Some(turn(0, 1)), 1),
            (turn(0, 1_000), Some(turn(999, 1)), 1),
            (turn(0, 1_000), Some(turn(2_500, 1)), 3),
            (turn(0, 0), Some(turn(i64::MAX, 1)), 8),
            (turn(5, 10), Some(turn(0, 1)), 1),
            (turn(0, 1_000), None, 8),
        ];
        for (first, next, jobs) in cases {
            assert_eq!(first.jobs_before(next.as_ref(), 8), jobs, "{first:?} {next:?}");
        }
    }
}
