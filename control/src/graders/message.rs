//! Messages to a judge: OpenAI's `EvalItem`, read strictly, kept as it was written.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

/// One message to a judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JudgeMessage)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// Always `message`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageKind>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person.
    User,
    /// The model, earlier.
    Assistant,
    /// The operator.
    System,
    /// The operator, by its newer name.
    Developer,
}

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A message.
    Message,
}

/// What a message says: a template, a part, or a list of both.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = MessageContent)]
pub enum Content {
    /// A template.
    Text(String),
    /// One part.
    Part(Part),
    /// Several.
    Pieces(Vec<Piece>),
}

/// One of several parts of a message.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = MessagePiece)]
pub enum Piece {
    /// A template.
    Text(String),
    /// A part.
    Part(Part),
}

/// A part of a message; its texts are templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = MessagePart)]
pub enum Part {
    /// Text to the model.
    InputText {
        /// A template.
        text: String,
    },
    /// Text from the model.
    OutputText {
        /// A template.
        text: String,
    },
    /// A picture.
    InputImage {
        /// A template: `https:` or `data:`.
        image_url: String,
        /// `high`, `low` or `auto`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<Detail>,
    },
    /// Sound.
    InputAudio {
        /// The bytes and their format.
        input_audio: Audio,
    },
}

/// How closely a picture is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImageDetail)]
pub enum Detail {
    /// Closely.
    High,
    /// Roughly.
    Low,
    /// As the model likes.
    #[default]
    Auto,
}

/// Sound in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// A template: base64.
    pub data: String,
    /// `mp3` or `wav`.
    pub format: AudioFormat,
}

/// The format of a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioFormat {
    /// MPEG layer 3.
    Mp3,
    /// RIFF.
    Wav,
}

impl Content {
    /// Every template in it, with the path below `content`.
    pub(crate) fn templates(&self) -> Vec<(String, &str)> {
        match self {
            Self::Text(text) => vec![(String::new(), text)],
            Self::Part(part) => {
                part.templates().into_iter().map(|(key, text)| (format!(".{key}"), text)).collect()
            }
            Self::Pieces(pieces) => {
                pieces.iter().enumerate().flat_map(|(at, piece)| piece.templates(at)).collect()
            }
        }
    }
}

impl Piece {
    fn templates(&self, at: usize) -> Vec<(String, &str)> {
        match self {
            Self::Text(text) => vec![(format!("[{at}]"), text)],
            Self::Part(part) => {
                part.templates().into_iter().map(|(key, text)| (format!("[{at}].{key}"), text)).collect()
            }
        }
    }
}

impl Part {
    fn templates(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::InputText { text } | Self::OutputText { text } => vec![("text", text)],
            Self::InputImage { image_url, .. } => vec![("image_url", image_url)],
            Self::InputAudio { input_audio } => vec![("input_audio.data", &input_audio.data)],
        }
    }
}

// By hand, not untagged: so that an error keeps the path of the field that it is about.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a part of a message, or an array of them")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                Part::deserialize(MapAccessDeserializer::new(map)).map(Content::Part)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
                let mut pieces = Vec::new();
                while let Some(piece) = seq.next_element()? {
                    pieces.push(piece);
                }
                Ok(Content::Pieces(pieces))
            }
        }
        deserializer.deserialize_any(Look)
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Piece;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a part of a message")
            }

            fn visit_str<E>(self, text: &str) -> Result<Piece, E> {
                Ok(Piece::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Piece, A::Error> {
                Part::deserialize(MapAccessDeserializer::new(map)).map(Piece::Part)
            }
        }
        deserializer.deserialize_any(Look)
    }
}
