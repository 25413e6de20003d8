//! A run's `data_source`: where its data come from, and how the endpoint under test is asked about each.
//!
//! Read strictly, kept as it was sent. What needs answers that somebody stored earlier is refused: we store none.

use super::sampling::Sampling;
use crate::{
    body::{self, param},
    error::Error,
    graders::{Message, Template},
};
use alphagate_contract::{
    id::FileId,
    problem::{Code, Problem},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};

/// Most messages of a template: a long conversation.
const MESSAGES_MAX: usize = 256;
/// Longest name of a model, in characters: a name, `@` and a number fit many times.
const MODEL_MAX_LEN: usize = 200;

/// Where a run's data come from, and how the endpoint is asked.
#[derive(Debug)]
pub(super) struct DataSource {
    pub(super) source: Source,
    /// None: the data bring their samples, or need none.
    pub(super) ask: Option<Ask>,
}

/// Where the data come from.
#[derive(Debug)]
pub(super) enum Source {
    /// From the request.
    Content(Vec<Box<RawValue>>),
    /// From a file.
    File(FileId),
}

/// How the endpoint under test is asked.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) messages: InputMessages,
    pub(super) sampling: Sampling,
}

/// What the endpoint is told.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum InputMessages {
    /// Messages with references in them.
    Template {
        /// The messages.
        template: Vec<Message>,
    },
    /// Messages that stand in the item.
    ItemReference {
        /// `item.name`.
        item_reference: String,
    },
}

/// Any of the three data sources.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    r#type: Kind,
    source: Box<RawValue>,
    #[serde(default)]
    input_messages: Option<Box<RawValue>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    sampling_params: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Jsonl,
    Completions,
    Responses,
}

/// The type of something, whatever else it says.
#[derive(Deserialize)]
struct Tag {
    r#type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileContent {
    #[serde(rename = "type")]
    _type: String,
    content: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileById {
    #[serde(rename = "type")]
    _type: String,
    id: String,
}

/// Reads a part of a body whose syntax was looked at before; errors are told below `under`.
pub(super) fn read<T: DeserializeOwned>(text: &str, under: &str) -> Result<T, Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let message = error.inner().to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let path = param(&error.path().to_string(), message);
        let path = if path.is_empty() { under.to_owned() } else { format!("{under}.{path}") };
        Error::field(path, message)
    })
}

/// Reads a data source. `model` stands for the one that it does not name.
pub(super) fn data_source(text: &str, model: Option<&str>) -> Result<DataSource, Error> {
    let raw: Raw = read(text, "data_source")?;
    let source = source(raw.source.get())?;
    let model = raw.model.as_deref().or(model.filter(|_| raw.r#type != Kind::Jsonl));
    let ask = match (raw.r#type, model, raw.input_messages) {
        (Kind::Jsonl, None, None) => {
            if raw.sampling_params.is_some() {
                return Err(unknown("sampling_params"));
            }
            None
        }
        (Kind::Jsonl, Some(_), _) => return Err(unknown("model")),
        (Kind::Jsonl, _, Some(_)) => return Err(unknown("input_messages")),
        (_, None, None) => {
            if raw.sampling_params.is_some() {
                return Err(missing("model"));
            }
            None
        }
        (_, None, Some(_)) => return Err(missing("model")),
        (_, Some(_), None) => return Err(missing("input_messages")),
        (kind, Some(model), Some(messages)) => Some(Ask {
            model: check_model(model)?,
            messages: input_messages(messages.get())?,
            sampling: Sampling::accept(kind, raw.sampling_params.unwrap_or_default())?,
        }),
    };
    Ok(DataSource { source, ask })
}

fn unknown(field: &str) -> Error {
    Error::field(
        format!("data_source.{field}"),
        "a `jsonl` data source is not sampled: use `completions` or `responses`",
    )
}

fn missing(field: &str) -> Error {
    Error::field(
        format!("data_source.{field}"),
        format!("missing field `{field}`: a sampled data source has `model` and `input_messages`"),
    )
}

fn check_model(model: &str) -> Result<String, Error> {
    if (1..=MODEL_MAX_LEN).contains(&model.chars().count()) {
        return Ok(model.to_owned());
    }
    Err(Error::field("data_source.model", "is the name of an endpoint, or `name@version`"))
}

fn source(text: &str) -> Result<Source, Error> {
    let under = "data_source.source";
    let tag: Tag = read(text, under)?;
    match tag.r#type.as_str() {
        "file_content" => {
            let content: FileContent = read(text, under)?;
            if content.content.is_empty() {
                return Err(Error::field("data_source.source.content", "has no lines"));
            }
            Ok(Source::Content(content.content))
        }
        "file_id" => {
            let file: FileById = read(text, under)?;
            let id = file.id.parse().map_err(|_| no_file())?;
            Ok(Source::File(id))
        }
        "stored_completions" | "responses" | "logs" => {
            let message = "Past responses are not stored here, so they cannot be a source: send your data as \
                `file_content`, or upload them and name the `file_id`.";
            let problem = Problem::new(Code::ParameterUnsupported).param("data_source.source.type");
            Err(problem.message(message).into())
        }
        _ => Err(Error::field("data_source.source.type", "is `file_content` or `file_id`")),
    }
}

/// A file that is not there, another org's, or no id of a file at all: all the same.
pub(super) fn no_file() -> Error {
    Error::field("data_source.source.id", "there is no such file")
}

fn input_messages(text: &str) -> Result<InputMessages, Error> {
    let under = "data_source.input_messages";
    let messages: InputMessages = read(text, under)?;
    match &messages {
        InputMessages::Template { template } => {
            if !(1..=MESSAGES_MAX).contains(&template.len()) {
                return Err(Error::field(
                    format!("{under}.template"),
                    format!("there are 1 to {MESSAGES_MAX} messages"),
                ));
            }
            for (at, message) in template.iter().enumerate() {
                for (path, text) in message.content.templates() {
                    let param = || format!("{under}.template[{at}].content{path}");
                    let template =
                        Template::parse(text).map_err(|error| Error::field(param(), error.to_string()))?;
                    if let Some(sample) =
                        template.references().find(|found| found.root() == crate::graders::Root::Sample)
                    {
                        let message = format!("`{sample}`: there is no sample before the model was asked");
                        return Err(Error::field(param(), message));
                    }
                }
            }
        }
        InputMessages::ItemReference { item_reference } => {
            let template = Template::parse(&format!("{{{{{item_reference}}}}}"));
            let whole = template
                .ok()
                .filter(|template| item_reference.starts_with("item.") && template.references().count() == 1);
            if whole.is_none() {
                return Err(Error::field(format!("{under}.item_reference"), "has the form `item.name`"));
            }
        }
    }
    Ok(messages)
}

/// The entries of `content` as lines of a file. A line end between tokens becomes a space; it cannot stand inside one.
pub(super) fn lines(content: &[Box<RawValue>]) -> impl Iterator<Item = Vec<u8>> + Send + '_ {
    content.iter().map(|entry| {
        let plain = entry.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
        plain.chain([b'\n']).collect()
    })
}

/// Looks at the syntax of a text that did not come as a body.
pub(super) fn inspect(text: &str) -> Result<(), Error> {
    match body::inspect(text.as_bytes()) {
        Ok(None) => Ok(()),
        Ok(Some(path)) => {
            Err(Error::field(format!("data_source.{path}"), "must not contain the character NUL"))
        }
        Err(error) => Err(Error::field("data_source", error.to_string())),
    }
}
