//! What a client can do, what the provider's model does then, and what must be seen at both ends.

use alphagate_bed::provider::{Seen, png};
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// What the provider says: beyond ASCII, so that bytes that are lost show.
const TEXT: &str = "The café’s last cup —\nsplash! 🌸 風 again";
/// What it says once it has the tools' outputs.
const TEXT_AFTER_TOOLS: &str = "Fine in both, says the café.";
/// The second question of a conversation.
pub const THEN: &str = "And what then?";
/// Size of the image, bytes; its request is kept whole by the provider.
const IMAGE_BYTES: u32 = 2_000;

/// One column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// An answer at once.
    Text,
    /// The same answer in pieces.
    Stream,
    /// Two tools called in one turn, and the answer to their outputs.
    Tools,
    /// The same calls and the same answer, each in a stream.
    StreamedTools,
    /// An image in the question.
    Image,
    /// An answer that is JSON of a schema.
    Schema,
    /// A second question, after the first and its answer.
    Turns,
}

/// The columns in order.
pub const CAPABILITIES: [Capability; 7] = [
    Capability::Text,
    Capability::Stream,
    Capability::Tools,
    Capability::StreamedTools,
    Capability::Image,
    Capability::Schema,
    Capability::Turns,
];

/// What a model of the provider does, whoever calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Says the text.
    Says,
    /// Calls two tools, and says another text once it has their outputs.
    Calls,
    /// Reports in JSON.
    Reports,
}

/// All parts.
pub const PARTS: [Part; 3] = [Part::Says, Part::Calls, Part::Reports];

impl Part {
    /// The provider's knobs for it.
    pub fn knobs(self) -> Value {
        match self {
            Self::Says => json!({"text": TEXT}),
            Self::Calls => {
                let calls: Vec<Value> = called()
                    .iter()
                    .map(|call| json!({"name": call[0], "arguments": call[1].to_string()}))
                    .collect();
                json!({"tool_calls": calls, "text_after_tools": TEXT_AFTER_TOOLS})
            }
            Self::Reports => json!({"text": report().to_string()}),
        }
    }
}

fn report() -> Value {
    json!({"city": "Zürich", "degrees": [3, -1]})
}

/// Names and arguments of the calls.
fn called() -> [Value; 2] {
    [json!(["weather", {"city": "Zürich"}]), json!(["time", {"city": "Bern"}])]
}

/// The tools that clients without functions of their own offer.
pub fn tools() -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": false});
    let tool = |name: &str| json!({"name": name, "description": "Looks it up.", "parameters": parameters});
    json!([tool("weather"), tool("time")])
}

/// The schema that clients without types of their own ask for.
pub fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}, "degrees": {"type": "array", "items": {"type": "integer"}}},
        "required": ["city", "degrees"], "additionalProperties": false})
}

fn image() -> String {
    STANDARD.encode(png(IMAGE_BYTES))
}

/// The image as clients take it.
pub fn image_url() -> String {
    format!("data:image/png;base64,{}", image())
}

impl Capability {
    /// The word for it in the table and in the client programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Stream => "stream",
            Self::Tools => "tools",
            Self::StreamedTools => "streamed_tools",
            Self::Image => "image",
            Self::Schema => "schema",
            Self::Turns => "turns",
        }
    }

    /// What the model does.
    pub const fn part(self) -> Part {
        match self {
            Self::Tools | Self::StreamedTools => Part::Calls,
            Self::Schema => Part::Reports,
            Self::Text | Self::Stream | Self::Image | Self::Turns => Part::Says,
        }
    }

    /// How many calls reach the provider: more would be retries, fewer nothing that was tested.
    const fn calls(self) -> usize {
        match self {
            Self::Tools | Self::StreamedTools | Self::Turns => 2,
            Self::Text | Self::Stream | Self::Image | Self::Schema => 1,
        }
    }

    /// What the client's user sees is what the provider was told to say.
    pub fn check_seen(self, line: &Value) -> Result<()> {
        ensure!(line["error"].is_null(), "{}", line["error"]);
        let saw = &line["saw"];
        match self {
            Self::Stream => {
                let pieces: Vec<&str> =
                    saw.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                ensure!(pieces.len() > 1 && pieces.concat() == TEXT, "the stream was {saw}");
            }
            Self::Tools | Self::StreamedTools => {
                ensure!(line["calls"] == json!(called()), "the calls were {}", line["calls"]);
                ensure!(saw == TEXT_AFTER_TOOLS, "after the tools came {saw}");
            }
            Self::Schema => ensure!(*saw == report(), "the report was {saw}"),
            Self::Text | Self::Image | Self::Turns => ensure!(saw == TEXT, "the text was {saw}"),
        }
        Ok(())
    }

    /// What reached the provider is what the client's user gave, in its order. `prompt` is the first question.
    pub fn check_asked(self, calls: &[Seen], prompt: &str) -> Result<()> {
        ensure!(calls.len() == self.calls(), "{} calls reached the provider", calls.len());
        let streamed = matches!(self, Self::Stream | Self::StreamedTools);
        ensure!(calls.iter().all(|call| is_streamed(call) == streamed), "a call is streamed, or is not");
        let last = calls.last().and_then(Seen::json).context("no call")?.to_string();
        let wanted = match self {
            Self::Text | Self::Stream => vec![prompt.to_owned()],
            Self::Tools | Self::StreamedTools => {
                vec![prompt.to_owned(), "weather of Zürich: fine".into(), "time of Bern: fine".into()]
            }
            Self::Image => vec![prompt.to_owned(), image()],
            Self::Schema => return check_schema(&last),
            Self::Turns => vec![prompt.to_owned(), in_json(TEXT), THEN.into()],
        };
        let mut rest = last.as_str();
        for wanted in wanted {
            let (_, after) = rest.split_once(&wanted).with_context(|| format!("no {wanted} in {rest}"))?;
            rest = after;
        }
        Ok(())
    }
}

/// Whether a stream was asked for: in the body, but of Gemini in the path.
fn is_streamed(call: &Seen) -> bool {
    call.path.contains(":streamGenerateContent") || call.json().is_some_and(|body| body["stream"] == true)
}

fn check_schema(body: &str) -> Result<()> {
    ensure!(["degrees", "integer"].iter().all(|word| body.contains(word)), "no schema in {body}");
    Ok(())
}

/// A text as it stands in JSON, without its quotes.
fn in_json(text: &str) -> String {
    json!(text).to_string().trim_matches('"').to_owned()
}
