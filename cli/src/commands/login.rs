//! `alphagate login`: obtains a credential, sees whether control takes it, and keeps it.
//!
//! How a credential is obtained is one function; what is kept is a bearer and, where it can act for several, an org. A
//! further way to log in is a further arm there, and changes nothing else.

use super::{account, secret};
use crate::{
    client::Client,
    config::{Config, PROFILE_DEFAULT, Profile},
    context::{Context, URL_DEFAULT, base_url},
    credential::Credential,
    failure::Failure,
};
use clap::Args;
use serde_json::{Value, json};
use url::{Host, Url};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate login --url https://control.example.com      # asks for the key
  alphagate login --url https://control.example.com < key.txt
  alphagate login --email ada@example.org                # asks for the password
  alphagate login --profile staging --edge-url https://edge.example.com

What is kept lies in the config file, which only you can read. `--url` is http://127.0.0.1:8080 by default, where \
`cargo xtask up` serves.")]
pub(crate) struct Login {
    /// As a person, with a password, and not with a key
    #[arg(long, conflicts_with = "key")]
    email: Option<String>,
}

impl Login {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        keep(context, self.obtain(context).await?).await
    }

    /// Obtains the credential: a session by e-mail and password, or a key, given, piped or typed.
    async fn obtain(&self, context: &Context) -> Result<Credential, Failure> {
        if let Some(email) = &self.email {
            return account::sign_in(context, email).await;
        }
        let org = context.global.org.clone();
        match &context.global.key {
            Some(key) => Credential::new(key, org),
            None => Credential::new(secret::read(None, "API key: ")?.reveal(), org),
        }
        .map_err(Failure::said)
    }
}

/// Sees whether control takes a credential, and keeps it in the profile.
pub(super) async fn keep(context: &Context, credential: Credential) -> Result<(), Failure> {
    let mut config = Config::read()?;
    let name = context.global.profile.clone().unwrap_or_else(|| PROFILE_DEFAULT.to_owned());
    let url = place(context, &config)?;
    let edge_url = context.global.edge_url.as_deref().map(base_url).transpose()?.map(String::from);
    let before = config.profiles.get(&name);
    let edge_url = edge_url.or_else(|| before.and_then(|profile| profile.edge_url.clone()));
    warn_of_plain_http(context, &url);
    let client = Client::new(url.clone(), Some(credential.clone()))?;
    let org = who(&client).await?;
    let profile = Profile { url: url.to_string(), edge_url, bearer: credential.bearer, org: credential.org };
    config.profiles.insert(name.clone(), profile);
    config.current = Some(name.clone());
    let path = config.write()?;
    let shown = json!({"profile": name, "url": url.as_str(), "org": org, "config": path});
    context.output.show(&shown, |_| {
        let org = org["name"].as_str().map(|name| format!(" for {name}")).unwrap_or_default();
        format!("logged in at {url}{org}; profile `{name}` in {}", path.display())
    })
}

/// Where to log in: what the command line says, else where the profile was.
pub(super) fn place(context: &Context, config: &Config) -> Result<Url, Failure> {
    let name = context.global.profile.as_deref().unwrap_or(PROFILE_DEFAULT);
    let kept = config.profiles.get(name).map(|profile| profile.url.as_str());
    base_url(context.global.url.as_deref().or(kept).unwrap_or(URL_DEFAULT))
}

/// The org that control takes the caller for; null where the caller may not know it. Fails if control does not take it.
pub(crate) async fn who(client: &Client) -> Result<Value, Failure> {
    match client.get(&["v1", "org"], &[]).await {
        // A key that may not read its org is known all the same.
        Err(failure) if failure.refusal().is_some_and(|refusal| refusal.code == "scope_missing") => {
            Ok(Value::Null)
        }
        answer => answer,
    }
}

fn warn_of_plain_http(context: &Context, url: &Url) {
    let is_local = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    if url.scheme() == "http" && !is_local {
        context.output.note("warning: over plain http anybody on the way can read the key");
    }
}
