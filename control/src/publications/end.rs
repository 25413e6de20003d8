//! The end of a publication: written once, under the endpoint's lock, and said to whoever waits.
//!
//! Its runs are stopped afterwards, by the sweep: an end does not depend on anything else going well.

use super::{Row, State, Why, running};
use crate::{
    body::word,
    endpoints,
    error::Error,
    events::{Notice, notify},
    versions,
};
use alphagate_contract::id::{EndpointId, OrgId, PublicationId};
use sqlx::PgConnection;

/// How a publication ends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub(super) state: State,
    pub(super) why: Option<Why>,
    pub(super) message: Option<String>,
}

impl End {
    pub(super) const fn new(state: State, why: Why) -> Self {
        Self { state, why: Some(why), message: None }
    }
}

/// Makes a publication's version live, or the canary: the only place that moves either pointer forward. The endpoint is locked, and what is
/// live is what was expected.
pub(super) async fn go_live(db: &mut PgConnection, org: OrgId, publication: &Row) -> Result<(), Error> {
    let (endpoint, version) = (publication.endpoint(), publication.version()?);
    let live = End { state: State::Live, why: None, message: None };
    if let Some(canary) = publication.canary()? {
        // It stays a draft: what others can pin has been live for everybody.
        endpoints::set_canary(db, org, endpoint, Some(canary)).await?;
        return end(db, org, publication.id(), &live).await;
    }
    if !versions::mark_live(db, org, endpoint, version).await? {
        return Err(Error::internal("a publication of a version that is not there"));
    }
    endpoints::set_live(db, org, endpoint, version).await?;
    end(db, org, publication.id(), &live).await
}

/// Ends a running publication of a locked endpoint.
pub(super) async fn end(
    db: &mut PgConnection,
    org: OrgId,
    publication: PublicationId,
    end: &End,
) -> Result<(), Error> {
    let ended = sqlx::query(
        "UPDATE publications SET state = $3, reason = $4, message = $5, ended_at = now()
         WHERE org_id = $1 AND id = $2 AND state = 'running'",
    )
    .bind(org.uuid())
    .bind(publication.uuid())
    .bind(word(end.state))
    .bind(end.why.map(word))
    .bind(&end.message)
    .execute(&mut *db)
    .await?;
    if ended.rows_affected() != 1 {
        return Err(Error::internal("a publication ends once"));
    }
    notify(db, Notice::Publication(publication)).await?;
    notify(db, Notice::Sweep).await?;
    Ok(())
}

/// Ends whatever publication of a locked endpoint is running, as superseded; gives which it was.
pub(crate) async fn end_running(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    why: Why,
) -> Result<Option<PublicationId>, Error> {
    let Some(row) = running(db, org, endpoint).await? else { return Ok(None) };
    end(db, org, row.id(), &End::new(State::Superseded, why)).await?;
    Ok(Some(row.id()))
}
