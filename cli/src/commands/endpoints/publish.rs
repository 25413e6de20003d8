//! `alphagate endpoints publish`: moves the live pointer, and waits for the gate's verdict if asked to.

use super::wanted::newest;
use crate::{
    client::Client,
    commands::reference::{self, id},
    context::Context,
    exit,
    failure::Failure,
    progress::Bar,
    table,
};
use clap::Args;
use serde_json::{Value, json};

/// How long one call waits for the end: less than control's 55 s, and short where a bar moves.
const WAIT_S: u64 = 50;
const WAIT_WATCHED_S: u64 = 1;

/// How a pointer is moved.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Manner {
    /// Go past the gate; needs a key with the scope `force`
    #[arg(long)]
    force: bool,
    /// Wait for the gate's verdict: status 0 if it went live, 1 if it failed, 2 if there is no verdict
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate endpoints publish haiku --wait
  alphagate endpoints publish haiku --version 3 --force")]
pub(crate) struct Publish {
    /// Its id or name
    endpoint: String,
    /// The version [default: the newest]
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    #[command(flatten)]
    manner: Manner,
}

impl Publish {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let client = context.client()?;
        let endpoint = reference::endpoint(&client, &self.endpoint).await?;
        let version = match self.version {
            Some(version) => version,
            None => newest(&client, id(&endpoint)?).await?.map(|(number, _)| number).ok_or_else(|| {
                Failure::said(format!("`{}` has no version", self.endpoint))
                    .hint("alphagate endpoints apply -f FILE makes one")
            })?,
        };
        if endpoint["live"] == version {
            let shown =
                json!({"endpoint": endpoint["id"], "version": version, "state": "live", "unchanged": true});
            context.output.show(&shown, |_| format!("version {version} is live already"))?;
            return Ok(exit::SUCCESS);
        }
        let (publication, status) = publish(context, &client, &endpoint, version, self.manner).await?;
        context.output.show(&publication, text)?;
        Ok(status)
    }
}

/// Publishes a version, and gives the publication and the status to end with.
pub(super) async fn publish(
    context: &Context,
    client: &Client,
    endpoint: &Value,
    version: u64,
    manner: Manner,
) -> Result<(Value, u8), Failure> {
    let body = json!({"version": version, "expected_live": endpoint["live"], "force": manner.force});
    let publication = client.post(&["v1", "endpoints", id(endpoint)?, "publications"], &body).await?;
    finish(context, client, endpoint, publication, manner).await
}

/// Starts a canary in the same manner.
pub(super) async fn publish_canary(
    context: &Context,
    client: &Client,
    endpoint: &Value,
    (version, percent): (u64, u8),
    manner: Manner,
) -> Result<(Value, u8), Failure> {
    let body = json!({"version": version, "percent": percent, "force": manner.force});
    let publication = client.post(&["v1", "endpoints", id(endpoint)?, "canary"], &body).await?;
    finish(context, client, endpoint, publication, manner).await
}

async fn finish(
    context: &Context,
    client: &Client,
    endpoint: &Value,
    mut publication: Value,
    manner: Manner,
) -> Result<(Value, u8), Failure> {
    if manner.wait {
        publication = ended(context, client, id(endpoint)?, publication).await?;
    }
    let status = status(publication["state"].as_str().unwrap_or_default());
    Ok((publication, status))
}

/// The publication once it is not running any more.
async fn ended(
    context: &Context,
    client: &Client,
    endpoint: &str,
    mut publication: Value,
) -> Result<Value, Failure> {
    let bar = Bar::new(context.output);
    let wait_s = if context.output.is_watched() { WAIT_WATCHED_S } else { WAIT_S };
    while publication["state"] == "running" {
        let (done, total) = progress(&publication);
        bar.show(done, total, "the gate's evals".into());
        let path = ["v1", "endpoints", endpoint, "publications", id(&publication)?];
        publication = client.get(&path, &[("wait_s", wait_s.to_string())]).await?;
    }
    Ok(publication)
}

/// Items that have ended, of all that the gate's evals have.
fn progress(publication: &Value) -> (u64, u64) {
    let evals = publication["evals"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = |names: &[&str]| {
        let counts = evals.iter().flat_map(|eval| names.iter().map(|name| eval["counts"][*name].as_u64()));
        counts.map(Option::unwrap_or_default).sum()
    };
    (sum(&["passed", "failed", "errored"]), sum(&["total"]))
}

/// What a publication's end means to a script; one that is still running was not waited for.
fn status(state: &str) -> u8 {
    match state {
        "live" | "running" => exit::SUCCESS,
        "failed" => exit::VERDICT,
        _ => exit::TROUBLE,
    }
}

/// A publication, and if it did not go live, why.
pub(super) fn text(publication: &Value) -> String {
    let version = &publication["version"];
    let state = publication["state"].as_str().unwrap_or_default();
    let what = match publication["canary_percent"].as_u64() {
        Some(percent) => format!("version {version} for {percent}% of the keys"),
        None => format!("version {version}"),
    };
    let mut said = vec![match state {
        "live" if publication["edge"] == "pending" => {
            format!("{what} is live; the edge will be told as soon as it can be reached")
        }
        "live" => format!("{what} is live"),
        "running" => format!("{what} waits for its gate: publication {}", table::text(&publication["id"])),
        _ => format!("{what} did not go live: {state} ({})", table::text(&publication["reason"])),
    }];
    said.extend(publication["message"].as_str().map(|message| format!("  {}", table::plain(message))));
    for eval in publication["evals"].as_array().into_iter().flatten() {
        let verdict = table::text(&eval["verdict"]);
        let counts = &eval["counts"];
        said.push(format!(
            "  {}: {verdict}; {} of {} passed, {} failed, {} without a verdict",
            table::text(&eval["eval"]),
            counts["passed"],
            counts["total"],
            counts["failed"],
            counts["errored"]
        ));
        said.extend(eval["reasons"].as_array().into_iter().flatten().map(|reason| format!("    {reason}")));
        let failing = eval["failing"].as_array().into_iter().flatten();
        said.extend(failing.map(|item| format!("    {}", table::text(&item["url"]))));
    }
    said.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_publication_is_a_status() {
        let cases = [
            ("live", 0),
            ("running", 0),
            ("failed", 1),
            ("inconclusive", 2),
            ("superseded", 2),
            ("canceled", 2),
        ];
        for (state, expected) in cases {
            assert_eq!(status(state), expected, "{state}");
        }
    }

    #[test]
    fn progress_is_over_all_evals_of_the_gate() {
        let publication = json!({"evals": [
            {"counts": {"passed": 1, "failed": 2, "errored": 0, "total": 10}},
            {"counts": {"passed": 3, "failed": 0, "errored": 1, "total": 5}},
        ]});
        assert_eq!(progress(&publication), (7, 15));
        assert_eq!(progress(&json!({})), (0, 0));
    }
}
