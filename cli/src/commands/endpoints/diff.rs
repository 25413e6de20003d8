//! `alphagate endpoints diff`: what `apply` would change, and status 1 if it would.

use super::{
    compare,
    wanted::{FromFile, Present},
};
use crate::{context::Context, exit, failure::Failure, table};
use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::{Value, json};

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  alphagate endpoints diff -f endpoint.yaml || alphagate endpoints apply -f endpoint.yaml --publish")]
pub(crate) struct Diff {
    #[command(flatten)]
    from: FromFile,
}

impl Diff {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let client = context.client()?;
        let wanted = self.from.read()?.pinned(&client).await?;
        let present = Present::find(&client, &wanted.name).await?;
        let there = present.as_ref().map(|present| present.normal(&wanted)).unwrap_or_else(|| json!({}));
        let here = wanted.normal();
        let newest = present.as_ref().and_then(|present| present.newest.as_ref()).map(|(number, _)| *number);
        let changes = compare::changes(&there, &here);
        let status = if changes.is_empty() { exit::SUCCESS } else { exit::VERDICT };
        let shown = json!({"name": wanted.name, "version": newest, "differs": !changes.is_empty(), "changes": changes});
        let from = match newest {
            Some(number) => format!("{}, version {number}", wanted.name),
            None => format!("{} (no version)", wanted.name),
        };
        if status == exit::SUCCESS && !context.output.is_json() {
            return Ok(status);
        }
        context.output.show(&shown, |_| coloured((&from, &there), (&wanted.document.name, &here)))?;
        Ok(status)
    }
}

fn coloured(before: (&str, &Value), after: (&str, &Value)) -> String {
    let diff = table::plain(&compare::unified(before, after));
    let line = |line: &str| match line.as_bytes().first() {
        Some(b'+') => format!("{ADDED}{line}{ADDED:#}\n"),
        Some(b'-') => format!("{REMOVED}{line}{REMOVED:#}\n"),
        _ => format!("{line}\n"),
    };
    diff.lines().map(line).collect()
}
