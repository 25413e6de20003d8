//! The verdicts of a publication: asked for exactly what the gate demands, and written down with what they rest on.
//!
//! A verdict rests on one ended run of this version, by these criteria, over these data; the thresholds are those of the
//! gate as it is now. The first run that settles the question settles it for good: asking again, in another publication,
//! asks the same run, so nobody publishes again and again until a version is lucky.

use super::runs::{self, GateRun, Key};
use crate::{
    app::App,
    error::Error,
    evals,
    gates::{Demand, Reason, Thresholds, Verdict, verdict},
};
use alphagate_contract::id::{EndpointId, OrgId, PublicationId, RunId};
use sqlx::{PgConnection, types::Json};

/// Who asks: a publication of a version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) org: OrgId,
    pub(super) publication: PublicationId,
    pub(super) endpoint: EndpointId,
    pub(super) name: &'a str,
    pub(super) version: u32,
}

/// The answer for one eval of the gate.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    key: Key,
    thresholds: &'a Thresholds,
    run: RunId,
    /// None: the run goes on.
    pub(super) verdict: Option<Verdict>,
}

/// The verdict that stands, the run that is to bring it, or a new run.
pub(super) async fn ask<'a>(
    app: &App,
    db: &mut PgConnection,
    subject: &Subject<'_>,
    demand: &'a Demand,
) -> Result<Asked<'a>, Error> {
    // Read before the run starts: revisions only grow, so a run that began with newer criteria than these counts for
    // criteria that nobody demands any more, and another one is started.
    let revision = evals::revision(db, subject.org, demand.eval).await?;
    let key = Key {
        eval: demand.eval,
        revision: revision.ok_or_else(|| Error::internal("a gate names an eval that is not there"))?,
        digest: demand.data_digest,
    };
    let thresholds = &demand.thresholds;
    let known = runs::find(db, subject, &key).await?;
    if let Some((run, verdict)) = settled(subject.publication, &known, thresholds) {
        return Ok(Asked { key, thresholds, run, verdict });
    }
    let run = runs::start(app, db, subject, &key, &demand.data_source).await?;
    let known = runs::find(db, subject, &key).await?;
    let (run, verdict) = settled(subject.publication, &known, thresholds).unwrap_or((run, None));
    Ok(Asked { key, thresholds, run, verdict })
}

/// The oldest run that settles the question; else the own one that goes on, or that could not say. Other publications'
/// runs that could not say are no answer: what was our fault yesterday is asked again.
fn settled(
    publication: PublicationId,
    known: &[GateRun],
    thresholds: &Thresholds,
) -> Option<(RunId, Option<Verdict>)> {
    let mut own = None;
    for run in known {
        let said = run.measured.as_ref().map(|measured| verdict(measured, thresholds));
        match said {
            Some(verdict @ (Verdict::Passed | Verdict::Failed { .. })) => {
                return Some((run.run, Some(verdict)));
            }
            said if run.publication == publication => own = Some((run.run, said)),
            _ => {}
        }
    }
    own
}

/// Writes what was asked and answered in place of what was before.
pub(super) async fn write(
    db: &mut PgConnection,
    subject: &Subject<'_>,
    gate_revision: i64,
    asked: &[Asked<'_>],
) -> Result<(), Error> {
    sqlx::query("UPDATE publications SET gate_revision = $3, due = false WHERE org_id = $1 AND id = $2")
        .bind(subject.org.uuid())
        .bind(subject.publication.uuid())
        .bind(gate_revision)
        .execute(&mut *db)
        .await?;
    sqlx::query("DELETE FROM verdicts WHERE org_id = $1 AND publication_id = $2")
        .bind(subject.org.uuid())
        .bind(subject.publication.uuid())
        .execute(&mut *db)
        .await?;
    for (position, asked) in asked.iter().enumerate() {
        let (word, reasons) = columns(asked.verdict.as_ref());
        sqlx::query(
            "INSERT INTO verdicts (org_id, publication_id, position, eval_id, eval_revision, data_digest, thresholds,
                run_id, verdict, reasons)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(subject.org.uuid())
        .bind(subject.publication.uuid())
        .bind(i32::try_from(position).map_err(Error::internal)?)
        .bind(asked.key.eval.uuid())
        .bind(asked.key.revision)
        .bind(asked.key.digest)
        .bind(Json(asked.thresholds))
        .bind(asked.run.uuid())
        .bind(word)
        .bind(Json(reasons))
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

fn columns(verdict: Option<&Verdict>) -> (Option<&'static str>, Vec<Reason>) {
    match verdict {
        None => (None, Vec::new()),
        Some(Verdict::Passed) => (Some("passed"), Vec::new()),
        Some(Verdict::Failed { reasons }) => (Some("failed"), reasons.clone()),
        Some(Verdict::Inconclusive { reason }) => (Some("inconclusive"), vec![reason.clone()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evals::RunStatus, gates::Measured};

    fn run(number: u8, publication: PublicationId, counts: Option<(i64, i64, i64)>) -> GateRun {
        let measured = counts.map(|(passed, failed, errored)| Measured {
            status: RunStatus::Completed,
            passed,
            failed,
            errored,
            infrastructure: errored,
            total: passed + failed + errored,
            mean_scores: Default::default(),
        });
        GateRun { run: RunId::new(1, [number; 10]), publication, measured }
    }

    #[test]
    fn the_first_run_that_settles_the_question_stands_and_doubts_of_others_do_not() {
        let (own, other) = (PublicationId::new(1, [1; 10]), PublicationId::new(1, [2; 10]));
        let thresholds = Thresholds { pass_rate: Some(1.0), ..Thresholds::default() };
        let (passed, failed, doubt) = (Some((1, 0, 0)), Some((0, 1, 0)), Some((1, 0, 1)));
        let table = [
            (vec![], None),
            (vec![run(1, other, doubt)], None),
            (vec![run(1, other, None)], None),
            (vec![run(1, other, doubt), run(2, own, None)], Some((2, None))),
            (vec![run(1, own, doubt)], Some((1, Some("inconclusive")))),
            (
                vec![run(1, other, doubt), run(2, other, failed), run(3, other, passed)],
                Some((2, Some("failed"))),
            ),
            (vec![run(1, other, passed), run(2, own, None)], Some((1, Some("passed")))),
        ];
        for (known, expected) in table {
            let found = settled(own, &known, &thresholds);
            let found = found.map(|(run, verdict)| (run, columns(verdict.as_ref()).0));
            assert_eq!(
                found,
                expected.map(|(number, word)| (RunId::new(1, [number; 10]), word)),
                "{known:?}"
            );
        }
    }

    #[test]
    fn more_tolerance_settles_what_was_open() {
        let (own, other) = (PublicationId::new(1, [1; 10]), PublicationId::new(1, [2; 10]));
        let thresholds = Thresholds { pass_rate: Some(1.0), max_errors: 1, ..Thresholds::default() };
        let known = [run(1, other, Some((1, 0, 1)))];
        assert_eq!(settled(own, &known, &thresholds), Some((RunId::new(1, [1; 10]), Some(Verdict::Passed))));
    }
}
