//! `alphagate login`: obtains a credential, sees whether control takes it, and keeps it.
//!
//! How a credential is obtained is one function; what is kept is a bearer and, where it can act for several, an org. A
//! further way to log in is a further arm there, and changes nothing else.

use super::secret;
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
  alphagate login --profile staging --edge-url https://edge.example.com

The key is kept in the config file, which only you can read. `--url` is http://127.0.0.1:8080 by default, where \
`cargo xtask up` serves.")]
pub(crate) struct Login {}

impl Login {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut config = Config::read()?;
        let name = context.global.profile.clone().unwrap_or_else(|| PROFILE_DEFAULT.to_owned());
        let before = config.profiles.get(&name);
        let kept = before.map(|profile| profile.url.as_str());
        let url = base_url(context.global.url.as_deref().or(kept).unwrap_or(URL_DEFAULT))?;
        let edge_url = context.global.edge_url.as_deref().map(base_url).transpose()?;
        let edge_url = edge_url.map(|url| url.to_string());
        let edge_url = edge_url.or_else(|| before.and_then(|profile| profile.edge_url.clone()));
        warn_of_plain_http(context, &url);
        let credential = obtain(context)?;
        let client = Client::new(url.clone(), Some(credential.clone()))?;
        let org = who(&client).await?;
        let profile =
            Profile { url: url.to_string(), edge_url, bearer: credential.bearer, org: credential.org };
        config.profiles.insert(name.clone(), profile);
        config.current = Some(name.clone());
        let path = config.write()?;
        let shown = json!({"profile": name, "url": url.as_str(), "org": org, "config": path});
        context.output.show(&shown, |_| {
            let org = org["name"].as_str().map(|name| format!(" for {name}")).unwrap_or_default();
            format!("logged in at {url}{org}; profile `{name}` in {}", path.display())
        })
    }
}

/// Obtains the credential: today a key, given, piped or typed.
fn obtain(context: &Context) -> Result<Credential, Failure> {
    let org = context.global.org.clone();
    match &context.global.key {
        Some(key) => Credential::new(key, org),
        None => Credential::new(secret::read(None, "API key: ")?.reveal(), org),
    }
    .map_err(Failure::said)
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
