//! Templates: configurations to begin with. They are part of the program, and versions like any other once they are used.

mod create;
mod read;

pub(crate) use create::create;
pub(crate) use read::{get, list};

use crate::error::Error;
use alphagate_contract::{endpoint::VersionConfig, problem::Code};
use serde::Serialize;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(read::list, read::get, create::create))]
pub(crate) struct Docs;

/// A template as it lies in this program.
struct Source {
    name: &'static str,
    description: &'static str,
    tags: &'static [&'static str],
    version: &'static str,
}

/// Every template, by name.
const TEMPLATES: [Source; 3] = [
    Source {
        name: "chat-assistant",
        description: "Answers questions, shortly and plainly.",
        tags: &["chat"],
        version: include_str!("chat-assistant.json"),
    },
    Source {
        name: "text-classifier",
        description: "Puts a text into one of a few categories, in a strict schema.",
        tags: &["classification", "structured-output"],
        version: include_str!("text-classifier.json"),
    },
    Source {
        name: "vision-screencast-evaluator",
        description: "Evaluates screenshots and telemetry of time at a screen, in a strict schema.",
        tags: &["structured-output", "vision"],
        version: include_str!("../../../examples/screentime/version.json"),
    },
];

/// A configuration to begin with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EndpointTemplate)]
pub(crate) struct Template {
    name: &'static str,
    description: &'static str,
    tags: Vec<&'static str>,
    /// The version that is made; its targets lack only a credential.
    version: VersionConfig,
}

impl Source {
    fn read(&self) -> Result<Template, Error> {
        let version = serde_json::from_str(self.version).map_err(Error::internal)?;
        Ok(Template { name: self.name, description: self.description, tags: self.tags.to_vec(), version })
    }
}

/// The template of this name.
fn find(name: &str) -> Result<Template, Error> {
    let found = TEMPLATES.iter().find(|template| template.name == name);
    found.ok_or(Code::NotFound)?.read()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoints::Tags, text::Description};
    use alphagate_contract::name::EndpointName;

    #[test]
    fn every_template_can_be_an_endpoint_and_a_version() {
        for source in &TEMPLATES {
            let template = source.read().unwrap();
            template.version.check().unwrap();
            assert!(template.version.targets.iter().all(|target| target.credential.is_none()));
            assert!(template.name.parse::<EndpointName>().is_ok());
            assert!(Description::try_from(template.description.to_owned()).is_ok());
            let tags: Vec<String> = template.tags.iter().map(|tag| (*tag).to_owned()).collect();
            assert_eq!(Tags::try_from(tags.clone()).unwrap().as_slice(), tags);
        }
        assert!(TEMPLATES.is_sorted_by_key(|template| template.name));
    }
}
