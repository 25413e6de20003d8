//! `alphagate endpoints rollback`: makes live again what the newest publication replaced. The gate stands there, too.

use super::publish::{Manner, publish, text};
use crate::{
    client::Client,
    commands::reference::{endpoint, id},
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
};
use clap::Args;
use serde_json::Value;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate endpoints rollback haiku
  alphagate endpoints rollback haiku --to 3 --force")]
pub(crate) struct Rollback {
    /// Its id or name
    endpoint: String,
    /// The version [default: the one that was live before this one]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    #[command(flatten)]
    manner: Manner,
}

impl Rollback {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let client = context.client()?;
        let endpoint = endpoint(&client, &self.endpoint).await?;
        let version = match self.to {
            Some(version) => version,
            None => before(&client, &endpoint).await?.ok_or_else(|| {
                Failure::said(format!("nothing was live before on `{}`", self.endpoint))
                    .hint("--to names a version")
            })?,
        };
        let (publication, status) = publish(context, &client, &endpoint, version, self.manner).await?;
        context.output.show(&publication, text)?;
        Ok(status)
    }
}

/// The version that was live before the one that is: what the publication of this one replaced.
async fn before(client: &Client, endpoint: &Value) -> Result<Option<u64>, Failure> {
    let path = ["v1", "endpoints", id(endpoint)?, "publications"];
    let found = fetch(client, &path, &[], Walk::Cursor, Paging::EVERY).await?;
    Ok(replaced(&found.data, &endpoint["live"]))
}

/// Newest first: the first that made `live` live says what it replaced.
fn replaced(publications: &[Value], live: &Value) -> Option<u64> {
    let went_live = |found: &&Value| {
        found["state"] == "live" && found["canary_percent"].is_null() && &found["version"] == live
    };
    publications.iter().find(went_live)?["replaced"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_live_before_is_what_the_newest_publication_replaced() {
        let publication = |version: u64, state: &str, replaced: Option<u64>| json!({"version": version, "state": state, "replaced": replaced});
        let list = [
            publication(4, "failed", None),
            json!({"version": 3, "state": "live", "canary_percent": 5, "replaced": null}),
            publication(3, "live", Some(1)),
            publication(1, "live", Some(2)),
            publication(2, "live", None),
        ];
        assert_eq!(replaced(&list, &json!(3)), Some(1));
        assert_eq!(replaced(&list, &json!(2)), None);
        assert_eq!(replaced(&list, &json!(null)), None);
    }
}
