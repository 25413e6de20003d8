//! `alphagate endpoints fork` and `alphagate endpoints templates`: endpoints to begin with.

use crate::{
    commands::reference::{endpoint, id},
    context::Context,
    failure::Failure,
    pages::Found,
    table::{Column, text},
};
use alphagate_contract::id::EndpointId;
use clap::Args;
use serde_json::json;

const TEMPLATES: [Column; 2] =
    [("TEMPLATE", |row| text(&row["name"])), ("DESCRIPTION", |row| text(&row["description"]))];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate endpoints fork haiku haiku-2 --version 3
  alphagate endpoints fork ep_0198c0de00007000800000000000000a mine    # of the catalog: what that shows")]
pub(crate) struct Fork {
    /// Of one's own: its id or name; of the catalog: its id
    original: String,
    /// The name of the new one
    name: String,
    /// The version to begin with [default: what is live]
    #[arg(long, value_name = "N")]
    version: Option<u32>,
}

impl Fork {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let original = match self.original.parse::<EndpointId>() {
            Ok(id) => id.to_string(),
            Err(_) => id(&endpoint(&client, &self.original).await?)?.to_owned(),
        };
        let mut body = json!({"name": self.name});
        if let Some(version) = self.version {
            body["version"] = version.into();
        }
        let made = client.post(&["v1", "endpoints", &original, "fork"], &body).await?;
        context.output.record(&made)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate endpoints templates
  alphagate endpoints templates text-classifier --as inbox --credential cred_…")]
pub(crate) struct Templates {
    /// Show this one
    template: Option<String>,
    /// Make an endpoint of this name after it
    #[arg(long = "as", value_name = "NAME", requires = "template")]
    name: Option<String>,
    /// The credential of its targets
    #[arg(long, requires = "name")]
    credential: Option<String>,
    /// Another provider's base URL
    #[arg(long, requires = "name")]
    base_url: Option<String>,
    /// Another model
    #[arg(long, requires = "name")]
    model: Option<String>,
}

impl Templates {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let Some(template) = self.template else {
            let found = client.get(&["v1", "templates"], &[]).await?;
            let data = found["data"].as_array().cloned().unwrap_or_default();
            return context.output.list(&TEMPLATES, &Found { data, has_more: false });
        };
        let Some(name) = self.name else {
            return context.output.document(&client.get(&["v1", "templates", &template], &[]).await?);
        };
        let mut body = json!({"name": name});
        let given = [("credential", self.credential), ("base_url", self.base_url), ("model", self.model)];
        for (field, value) in given {
            if let Some(value) = value {
                body[field] = value.into();
            }
        }
        context.output.record(&client.post(&["v1", "templates", &template, "endpoints"], &body).await?)
    }
}
