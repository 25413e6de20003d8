//! What becomes of a running publication, now.
//!
//! Everything is asked anew each time: the live version, the deadline, what the gate demands, and what has been measured
//! for exactly that. So a gate or an eval that changes while a publication is running changes what it waits for, and a
//! verdict that stands from before is used at once. A decision is taken under the endpoint's lock, in one transaction
//! with the move of the pointer.

use super::{
    Row, State, Why,
    end::{End, end, go_live},
    verdicts::{self, Subject},
};
use crate::{app::App, endpoints::Endpoint, error::Error, gates, gates::Verdict};
use alphagate_contract::id::OrgId;
use sqlx::PgConnection;

/// What follows from the verdicts.
#[derive(Debug, PartialEq)]
enum Conclusion {
    Live,
    Wait,
    End(End),
}

/// Looks at a running publication of a locked endpoint, and ends it if it can be decided.
pub(super) async fn decide(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    endpoint: &Endpoint,
    publication: &Row,
) -> Result<(), Error> {
    let conclusion = match standing(endpoint, publication)? {
        Some(ended) => Conclusion::End(ended),
        None => weigh(app, db, org, endpoint, publication).await?,
    };
    match conclusion {
        Conclusion::Live => go_live(db, org, publication).await,
        Conclusion::End(ended) => end(db, org, publication.id(), &ended).await,
        Conclusion::Wait => Ok(()),
    }
}

/// What ends a publication whatever its verdicts are.
fn standing(endpoint: &Endpoint, publication: &Row) -> Result<Option<End>, Error> {
    Ok(if endpoint.withdrawn_at.is_some() {
        Some(End::new(State::Superseded, Why::Withdrawn))
    } else if endpoint.live != publication.expected()? {
        Some(End::new(State::Superseded, Why::LiveMoved))
    } else if publication.overdue {
        Some(End::new(State::Inconclusive, Why::Deadline))
    } else {
        None
    })
}

/// Asks for the verdict of each eval that the gate demands, starts the runs that are missing, and writes all of it down.
async fn weigh(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    endpoint: &Endpoint,
    publication: &Row,
) -> Result<Conclusion, Error> {
    let gate = gates::find(db, org, endpoint.id).await?;
    let subject = Subject {
        org,
        publication: publication.id(),
        endpoint: endpoint.id,
        name: endpoint.name.as_str(),
        version: publication.version()?,
    };
    let mut asked = Vec::new();
    for demand in &gate.evals {
        asked.push(verdicts::ask(app, db, &subject, demand).await?);
    }
    verdicts::write(db, &subject, gate.revision, &asked).await?;
    Ok(conclude(asked.iter().map(|asked| asked.verdict.as_ref())))
}

/// One failure decides at once: nothing can mend it. Otherwise all runs are waited for, and all of them have to pass.
fn conclude<'a>(verdicts: impl Iterator<Item = Option<&'a Verdict>>) -> Conclusion {
    let (mut pending, mut open) = (false, false);
    for verdict in verdicts {
        match verdict {
            Some(Verdict::Failed { .. }) => {
                return Conclusion::End(End::new(State::Failed, Why::ThresholdsMissed));
            }
            Some(Verdict::Inconclusive { .. }) => open = true,
            Some(Verdict::Passed) => {}
            None => pending = true,
        }
    }
    match (pending, open) {
        (true, _) => Conclusion::Wait,
        (false, true) => Conclusion::End(End::new(State::Inconclusive, Why::NoVerdict)),
        (false, false) => Conclusion::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::Reason;

    #[test]
    fn one_failure_decides_a_doubt_waits_for_the_others_and_only_passes_go_live() {
        let passed = || Some(Verdict::Passed);
        let failed = || Some(Verdict::Failed { reasons: vec![Reason::NothingScored] });
        let doubt = || Some(Verdict::Inconclusive { reason: Reason::NothingScored });
        let failure = Conclusion::End(End::new(State::Failed, Why::ThresholdsMissed));
        let no_verdict = Conclusion::End(End::new(State::Inconclusive, Why::NoVerdict));
        let cases = [
            (vec![], Conclusion::Live),
            (vec![passed(), passed()], Conclusion::Live),
            (vec![passed(), None], Conclusion::Wait),
            (vec![doubt(), None], Conclusion::Wait),
            (vec![doubt(), passed()], no_verdict),
            (vec![None, doubt(), failed()], failure),
        ];
        for (verdicts, expected) in cases {
            assert_eq!(conclude(verdicts.iter().map(Option::as_ref)), expected, "{verdicts:?}");
        }
    }
}
