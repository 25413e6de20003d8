//! Who owns a job, and so who is told when it ends, in the transaction that ends it.

use super::Ended;
use crate::{app::App, error::Error, evals, keys};
use alphagate_contract::{
    id::{OrgId, OutputItemId, RunId},
    secret::Secret,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Who is told when a job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Whoever made it reads it when it likes.
    Caller,
    /// An output item waits for its answer.
    Sample {
        /// The run.
        run: RunId,
        /// The item.
        item: OutputItemId,
    },
    /// An output item waits for its grade.
    Grade {
        /// The run.
        run: RunId,
        /// The item.
        item: OutputItemId,
        /// Which of the eval's graders.
        grader: u16,
    },
    /// A grader that is tried out; the call [waits](super::wait).
    GraderRun,
}

/// The owner as the columns hold it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct OwnerColumns {
    pub(super) owner: String,
    pub(super) owner_run: Option<Uuid>,
    pub(super) owner_item: Option<Uuid>,
    pub(super) owner_grader: Option<i32>,
}

impl From<Owner> for OwnerColumns {
    fn from(owner: Owner) -> Self {
        let (word, run, item, grader) = match owner {
            Owner::Caller => ("caller", None, None, None),
            Owner::Sample { run, item } => ("sample", Some(run), Some(item), None),
            Owner::Grade { run, item, grader } => ("grade", Some(run), Some(item), Some(grader)),
            Owner::GraderRun => ("grader_run", None, None, None),
        };
        Self {
            owner: word.to_owned(),
            owner_run: run.map(RunId::uuid),
            owner_item: item.map(OutputItemId::uuid),
            owner_grader: grader.map(i32::from),
        }
    }
}

impl TryFrom<OwnerColumns> for Owner {
    type Error = Error;

    fn try_from(row: OwnerColumns) -> Result<Self, Error> {
        let run =
            || row.owner_run.map(RunId::from_uuid).ok_or_else(|| Error::internal("a job without its run"));
        let item = || {
            row.owner_item
                .map(OutputItemId::from_uuid)
                .ok_or_else(|| Error::internal("a job without its item"))
        };
        match row.owner.as_str() {
            "caller" => Ok(Self::Caller),
            "grader_run" => Ok(Self::GraderRun),
            "sample" => Ok(Self::Sample { run: run()?, item: item()? }),
            "grade" => {
                let grader = row.owner_grader.and_then(|number| u16::try_from(number).ok());
                let grader = grader.ok_or_else(|| Error::internal("a job without its grader"))?;
                Ok(Self::Grade { run: run()?, item: item()?, grader })
            }
            other => Err(Error::internal(format!("a job of an unknown owner: {other}"))),
        }
    }
}

/// Tells the owner, in the transaction that ends the job.
pub(super) async fn tell(app: &App, db: &mut PgConnection, org: OrgId, ended: &Ended) -> Result<(), Error> {
    match ended.owner {
        Owner::Caller | Owner::GraderRun => Ok(()),
        Owner::Sample { .. } | Owner::Grade { .. } => evals::job_ended(app, db, org, ended).await,
    }
}

/// The key that a sample of this run is asked with.
pub(super) async fn sampling_key(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
) -> Result<Secret<String>, Error> {
    keys::run_key(app, db, org, run).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_survives_its_columns() {
        let (run, item) = (RunId::new(1, [1; 10]), OutputItemId::new(1, [2; 10]));
        for owner in [
            Owner::Caller,
            Owner::GraderRun,
            Owner::Sample { run, item },
            Owner::Grade { run, item, grader: u16::MAX },
        ] {
            assert_eq!(Owner::try_from(OwnerColumns::from(owner)).unwrap(), owner);
        }
        let broken = OwnerColumns { owner_run: None, ..Owner::Sample { run, item }.into() };
        assert!(Owner::try_from(broken).is_err());
    }
}
