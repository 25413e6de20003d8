//! `alphagate logout` and `alphagate whoami`: what is kept, and what it is worth.

use super::login::who;
use crate::{config::Config, context::Context, failure::Failure, table};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Every profile
    #[arg(long)]
    all: bool,
}

impl Logout {
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut config = Config::read()?;
        let gone: Vec<String> = if self.all {
            config.profiles.keys().cloned().collect()
        } else {
            context.profile(&config)?;
            context.global.profile.clone().or_else(|| config.current.clone()).into_iter().collect()
        };
        config.profiles.retain(|name, _| !gone.contains(name));
        config.current.take_if(|current| gone.contains(current));
        if !gone.is_empty() {
            config.write()?;
        }
        let shown = json!({"forgotten": gone});
        context.output.show(&shown, |_| match gone.is_empty() {
            true => "nobody was logged in".into(),
            false => format!(
                "forgotten: {}. The keys themselves go on; `alphagate keys revoke` ends one.",
                gone.join(", ")
            ),
        })
    }
}

/// Asks control who this is.
pub(crate) async fn whoami(context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let org = who(&client).await?;
    let config = Config::read()?;
    let from_flags = context.global.key.is_some();
    let profile = context.global.profile.clone().or(config.current).filter(|_| !from_flags);
    let shown = json!({
        "url": client.base().as_str(), "edge_url": context.edge_url()?.map(String::from), "profile": profile, "org": org,
        "credential": client.credential().map(|credential| credential.kind()),
    });
    context.output.show(&shown, |shown| {
        let mut shown = shown.clone();
        shown["org"] = match org["name"].as_str() {
            Some(name) => format!("{name} ({})", table::text(&org["id"])).into(),
            None => "unknown: the key has no scope `admin`".into(),
        };
        table::record(&shown)
    })
}
