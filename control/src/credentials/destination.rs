//! Where a credential is sent: it must be the org's own, and for the origin of the URL that it goes to.

use super::origins;
use crate::{app::App, error::Error};
use alphagate_contract::{
    id::{CredentialId, OrgId},
    policy::Moderation,
};
use sqlx::PgConnection;

/// A URL in a document, and the credential that is sent there.
#[derive(Debug, Clone)]
pub(crate) struct Destination<'a> {
    /// Where it stands in the document, e.g. `targets[0]`.
    pub(crate) path: String,
    /// The URL.
    pub(crate) base_url: &'a str,
    /// The credential.
    pub(crate) credential: Option<CredentialId>,
}

impl<'a> Destination<'a> {
    /// Of a moderation, by its place; `before` is the path of the document that it stands in.
    pub(crate) fn of_moderation(before: &str, at: usize, moderation: &'a Moderation) -> Self {
        let Moderation { base_url, credential, .. } = moderation;
        Self { path: format!("{before}moderation[{at}]"), base_url, credential: *credential }
    }
}

/// The origin of each, in order; refuses those that the operator does not allow.
pub(crate) fn origins_of(app: &App, destinations: &[Destination<'_>]) -> Result<Vec<String>, Error> {
    let rules = app.upstreams();
    let origin = |to: &Destination<'_>| {
        rules.origin_of(to.base_url).map_err(|message| Error::field(format!("{}.base_url", to.path), message))
    };
    destinations.iter().map(origin).collect()
}

/// Refuses a credential that is not the org's own, or not for the origin of its URL.
pub(crate) async fn check_destinations(
    db: &mut PgConnection,
    org: OrgId,
    destinations: &[Destination<'_>],
    origins_of: &[String],
) -> Result<(), Error> {
    let used: Vec<CredentialId> = destinations.iter().filter_map(|to| to.credential).collect();
    let known = origins(db, org, &used).await?;
    for (to, origin) in destinations.iter().zip(origins_of) {
        let Some(credential) = to.credential else { continue };
        match known.get(&credential) {
            Some(allowed) if allowed == origin => {}
            Some(allowed) => {
                let message = format!("its origin must be the one that its credential is for, `{allowed}`");
                return Err(Error::field(format!("{}.base_url", to.path), message));
            }
            None => {
                let message = "there is no such credential in your org";
                return Err(Error::field(format!("{}.credential", to.path), message));
            }
        }
    }
    Ok(())
}
