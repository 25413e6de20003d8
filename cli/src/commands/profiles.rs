//! `alphagate logout` and `alphagate whoami`: what is kept, and what it is worth.

use super::login::who;
use crate::{
    client::Client,
    config::{Config, Profile},
    context::{Context, base_url},
    credential::{Credential, SESSION},
    failure::Failure,
    table,
};
use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Every profile
    #[arg(long)]
    all: bool,
}

impl Logout {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut config = Config::read()?;
        let gone: Vec<String> = if self.all {
            config.profiles.keys().cloned().collect()
        } else {
            context.profile(&config)?;
            context.global.profile.clone().or_else(|| config.current.clone()).into_iter().collect()
        };
        for profile in gone.iter().filter_map(|name| config.profiles.get(name)) {
            end_session(context, profile).await;
        }
        config.profiles.retain(|name, _| !gone.contains(name));
        config.current.take_if(|current| gone.contains(current));
        if !gone.is_empty() {
            config.write()?;
        }
        let shown = json!({"forgotten": gone});
        context.output.show(&shown, |_| match gone.is_empty() {
            true => "nobody was logged in".into(),
            false => format!(
                "forgotten: {}. Sessions are ended; a key itself goes on, until `alphagate keys revoke`.",
                gone.join(", ")
            ),
        })
    }
}

/// A session ends with its profile. One that cannot be ended now ends by itself, and is forgotten here all the same.
async fn end_session(context: &Context, profile: &Profile) {
    let end = async || {
        let credential = Credential::new(profile.bearer.reveal(), None).map_err(Failure::said)?;
        if credential.kind() != SESSION {
            return Ok(());
        }
        let client = Client::new(base_url(&profile.url)?, Some(credential))?;
        client.post_once(&["v1", "auth", "sign-out"]).await.map(drop)
    };
    if let Err(failure) = end().await {
        context.output.note(&format!("the session could not be ended: {}", table::plain(&failure.text())));
    }
}

/// Asks control who this is.
pub(crate) async fn whoami(context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let org = who(&client).await?;
    let kind = client.credential().map(Credential::kind);
    let user = if kind == Some(SESSION) { client.get(&["v1", "me"], &[]).await? } else { Value::Null };
    let config = Config::read()?;
    let from_flags = context.global.key.is_some();
    let profile = context.global.profile.clone().or(config.current).filter(|_| !from_flags);
    let shown = json!({
        "url": client.base().as_str(), "edge_url": context.edge_url()?.map(String::from), "profile": profile, "org": org,
        "user": user, "credential": kind,
    });
    context.output.show(&shown, |shown| {
        let mut shown = shown.clone();
        shown["org"] = match org["name"].as_str() {
            Some(name) => format!("{name} ({})", table::text(&org["id"])).into(),
            None => "unknown: the key has no scope `admin`".into(),
        };
        if let Some(name) = user["name"].as_str() {
            shown["user"] = format!("{name}, {}", table::text(&user["email"])).into();
        }
        table::record(&shown)
    })
}
