//! `alphagate dev`: the code that calls an endpoint, with the SDKs that people have.
//!
//! The key is not printed: the code reads it from the environment, where it belongs.

use crate::{
    client::Client,
    context::Context,
    credential::Credential,
    failure::Failure,
    pages::{Paging, Walk, fetch},
};
use alphagate_contract::name::EndpointName;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use url::Url;

/// Where `cargo xtask up` serves the edge, unless that port was taken.
const EDGE_URL_DEFAULT: &str = "http://127.0.0.1:8787";

/// What the code is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// The `openai` package for Python
    Python,
    /// The `openai` package for Node
    Node,
    /// A shell with curl
    Curl,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate dev poet
  alphagate dev poet --lang node --edge-url https://edge.example.com > ask.mjs
  ALPHAGATE_API_KEY=ag_live_… python <(alphagate dev poet)")]
pub(crate) struct Dev {
    /// The name of an endpoint or an install
    name: EndpointName,
    /// What the code is written in
    #[arg(long, value_enum, default_value = "python")]
    lang: Language,
    /// Do not see whether there is such a name
    #[arg(long)]
    no_check: bool,
}

impl Dev {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let edge = context.edge_url()?;
        let edge = match edge {
            Some(edge) => edge,
            None => EDGE_URL_DEFAULT.parse().map_err(|_| Failure::said("the edge has no URL"))?,
        };
        if !self.no_check {
            self.check(context, &edge).await?;
        }
        let base_url = format!("{}/v1", edge.as_str().trim_end_matches('/'));
        let code = snippet(self.lang, &base_url, self.name.as_str());
        let shown = json!({"base_url": base_url, "model": self.name.as_str(), "code": code});
        context.output.show(&shown, |_| code.clone())
    }

    /// Refuses a name that calls nothing, and says which ones do.
    async fn check(&self, context: &Context, edge: &Url) -> Result<(), Failure> {
        let client = context.client()?;
        let names = names(&client, edge).await?;
        if names.iter().any(|name| name == self.name.as_str()) {
            return Ok(());
        }
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(Failure::said(format!("`{}` calls nothing; there are: {known}", self.name.as_str()))
            .hint("alphagate catalog, then alphagate installs create"))
    }
}

/// The names that the caller's org can call: asked of control, or of the edge where the key may only call.
async fn names(client: &Client, edge: &Url) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for list in ["endpoints", "installs"] {
        match fetch(client, &["v1", list], &[], Walk::Cursor, Paging::EVERY).await {
            Ok(found) => names.extend(found.data.iter().filter_map(name)),
            Err(failure) if failure.refusal().is_some_and(|refusal| refusal.code == "scope_missing") => {
                return names_at_edge(client.credential(), edge).await;
            }
            Err(failure) => return Err(failure),
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn name(row: &Value) -> Option<String> {
    let is_live = row.get("live").is_none_or(|live| !live.is_null()) && row["withdrawn_at"].is_null();
    row["name"].as_str().filter(|_| is_live).map(str::to_owned)
}

async fn names_at_edge(credential: Option<&Credential>, edge: &Url) -> Result<Vec<String>, Failure> {
    let edge = Client::new(edge.clone(), credential.cloned())?;
    let models = edge.get(&["v1", "models"], &[]).await?;
    let models = models["data"].as_array().into_iter().flatten();
    Ok(models.filter_map(|model| model["id"].as_str().map(str::to_owned)).collect())
}

/// The code. Names of endpoints and URLs are quoted as JSON, which all three languages read.
fn snippet(language: Language, base_url: &str, name: &str) -> String {
    let (url, model) = (json!(base_url), json!(name));
    match language {
        Language::Python => format!(
            r#"import os

from openai import OpenAI  # pip install openai

client = OpenAI(base_url={url}, api_key=os.environ["ALPHAGATE_API_KEY"])
for event in client.responses.create(model={model}, input="Hello", stream=True):
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()"#
        ),
        Language::Node => format!(
            r#"import OpenAI from "openai"; // npm install openai

const client = new OpenAI({{ baseURL: {url}, apiKey: process.env.ALPHAGATE_API_KEY }});
const stream = await client.responses.create({{ model: {model}, input: "Hello", stream: true }});
for await (const event of stream) {{
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
}}
console.log();"#
        ),
        Language::Curl => format!(
            r#"curl -N {base_url}/responses \
  -H "Authorization: Bearer $ALPHAGATE_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{{"model": {model}, "input": "Hello", "stream": true}}'"#
        ),
    }
}
