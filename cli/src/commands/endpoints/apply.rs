//! `alphagate endpoints apply`: makes what a document says be so, and nothing besides. A second time it does nothing.

use super::{
    publish::{Manner, publish},
    wanted::{FromFile, Present, VERSION, Wanted},
};
use crate::{client::Client, commands::reference::id, context::Context, exit, failure::Failure};
use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate endpoints apply -f endpoint.yaml
  alphagate endpoints apply -f endpoint.yaml --publish --wait
  alphagate endpoints apply -f endpoint.yaml --set version.targets[0].credential=cred_0198…

The file holds what the API takes: an endpoint's fields (name, description, visibility, installs) and, as `version`, a \
version's. A version is made only if it is not the newest one already.")]
pub(crate) struct Apply {
    #[command(flatten)]
    from: FromFile,
    /// Then make that version live, unless it is
    #[arg(long)]
    publish: bool,
    #[command(flatten)]
    manner: Manner,
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    endpoint: Value,
    created: bool,
    changed: Vec<String>,
    version: Option<u64>,
    new_version: bool,
}

impl Apply {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let client = context.client()?;
        let wanted = self.from.read()?.pinned(&client).await?;
        let done = Done::make(&client, &wanted).await?;
        let live = done.endpoint["live"].as_u64();
        let version = done.version.filter(|version| self.publish && live != Some(*version));
        let published = match version {
            Some(version) => Some(publish(context, &client, &done.endpoint, version, self.manner).await?),
            None => None,
        };
        let status = published.as_ref().map_or(exit::SUCCESS, |(_, status)| *status);
        let publication = published.map(|(publication, _)| publication);
        let live = match &publication {
            Some(publication) if publication["state"] == "live" => version,
            _ => live,
        };
        let shown = json!({
            "endpoint": done.endpoint["id"], "name": wanted.name, "created": done.created,
            "changed": done.changed, "version": done.version, "new_version": done.new_version, "live": live,
            "publication": publication,
        });
        context.output.show(&shown, |_| done.text(&wanted.name, publication.as_ref()))?;
        Ok(status)
    }
}

impl Done {
    async fn make(client: &Client, wanted: &Wanted) -> Result<Self, Failure> {
        let present = Present::find(client, &wanted.name).await?;
        let newest = present.as_ref().and_then(|present| present.newest.clone());
        let mut done = match present {
            Some(present) => Self::change(client, wanted, present).await?,
            None => Self::create(client, wanted).await?,
        };
        done.version = newest.as_ref().map(|(number, _)| *number);
        if let Some(config) = &wanted.version
            && !wanted.has_version(newest.as_ref())
        {
            let path = ["v1", "endpoints", id(&done.endpoint)?, "versions"];
            let made = client.post(&path, config).await;
            let made = made.map_err(|failure| wanted.document.locate(VERSION, failure))?;
            done.version = made["version"].as_u64();
            done.new_version = true;
        }
        Ok(done)
    }

    async fn create(client: &Client, wanted: &Wanted) -> Result<Self, Failure> {
        let made = client.post(&["v1", "endpoints"], &wanted.document.value).await;
        let endpoint = made.map_err(|failure| wanted.document.locate("", failure))?;
        Ok(Self { endpoint, created: true, ..Self::default() })
    }

    async fn change(client: &Client, wanted: &Wanted, present: Present) -> Result<Self, Failure> {
        let changes = wanted.changes(&present.endpoint);
        let changed: Vec<String> = changes.keys().cloned().collect();
        if changed.is_empty() {
            return Ok(Self { endpoint: present.endpoint, ..Self::default() });
        }
        let path = ["v1", "endpoints", id(&present.endpoint)?];
        let made = client.patch(&path, &Value::Object(changes)).await;
        let endpoint = made.map_err(|failure| wanted.document.locate("", failure))?;
        Ok(Self { endpoint, changed, ..Self::default() })
    }

    fn text(&self, name: &str, publication: Option<&Value>) -> String {
        let mut said = Vec::new();
        if self.created {
            said.push(format!("{name} is made"));
        }
        if !self.changed.is_empty() {
            said.push(format!("{name}: changed {}", self.changed.join(", ")));
        }
        match self.version {
            Some(version) if self.new_version => said.push(format!("version {version} is made")),
            Some(version) => said.push(format!("version {version} is as the file says")),
            None => {}
        }
        match publication {
            Some(publication) => said.push(super::publish::text(publication)),
            None if !self.created && !self.new_version && self.changed.is_empty() => {
                said.push("nothing was changed".into());
            }
            None => {}
        }
        said.join("\n")
    }
}
