//! `sampling_params` of a run, and what of them a request of the Responses API says.
//!
//! Chat's names are read where the data source is `completions`. What cannot be said to an endpoint is refused by name;
//! only `seed`, which the Responses API lacks and every old script carries, is kept, not sent, and the run says so.

use super::source::Kind;
use crate::error::Error;
use alphagate_contract::problem::{Code, Problem};
use serde_json::{Map, Value, json};

/// Most tokens of an answer: beyond what any model writes.
const TOKENS_MAX: u64 = 1_000_000;
/// Most tools: OpenAI's bound for functions.
const TOOLS_MAX: usize = 128;
/// What a run says of a seed.
pub(super) const SEED_NOTE: &str = "`sampling_params.seed` is kept but not sent: the Responses API, by which endpoints are asked, has no seed.";

/// How the endpoint under test samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sampling {
    /// Fields of the request, as the Responses API has them.
    fields: Map<String, Value>,
    pub(super) max_completion_tokens: Option<u64>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) seed: Option<i64>,
}

impl Sampling {
    /// Reads and checks the parameters.
    pub(super) fn accept(kind: Kind, params: Map<String, Value>) -> Result<Self, Error> {
        let mut found = Self::default();
        for (name, value) in params {
            // The SDKs leave out what they do not say; some callers write null.
            if !value.is_null() {
                found.take(kind, &name, value)?;
            }
        }
        Ok(found)
    }

    fn take(&mut self, kind: Kind, name: &str, value: Value) -> Result<(), Error> {
        match (name, kind) {
            ("max_completion_tokens" | "max_completions_tokens", _) => {
                let tokens = value.as_u64().filter(|tokens| (1..=TOKENS_MAX).contains(tokens));
                let tokens =
                    tokens.ok_or_else(|| wrong(name, &format!("lies between 1 and {TOKENS_MAX}")))?;
                self.max_completion_tokens = Some(tokens);
                self.put("max_output_tokens", tokens.into());
            }
            ("temperature", _) => {
                self.temperature = Some(between(name, &value, 2.0)?);
                self.put(name, value);
            }
            ("top_p", _) => {
                self.top_p = Some(between(name, &value, 1.0)?);
                self.put(name, value);
            }
            ("seed", _) => self.seed = Some(value.as_i64().ok_or_else(|| wrong(name, "is a whole number"))?),
            ("reasoning_effort", _) => {
                let efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
                if !value.as_str().is_some_and(|effort| efforts.contains(&effort)) {
                    return Err(wrong(name, "is none, minimal, low, medium, high, xhigh or max"));
                }
                self.put("reasoning", json!({"effort": value}));
            }
            ("response_format", Kind::Completions) => {
                let format = flat_format(value)
                    .ok_or_else(|| wrong(name, "has a `type`, and for `json_schema` the `json_schema`"))?;
                self.put("text", json!({"format": format}));
            }
            ("text", Kind::Responses) => {
                if !value.is_object() {
                    return Err(wrong(name, "is an object"));
                }
                self.put(name, value);
            }
            ("tools", _) => {
                let tools = tools(kind, value)?;
                self.put(name, tools);
            }
            _ => return Err(unsupported(name)),
        }
        Ok(())
    }

    fn put(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// The request of the Responses API with these messages.
    pub(super) fn request(&self, model: &str, input: Vec<Value>) -> Value {
        let mut body = self.fields.clone();
        body.insert("model".into(), model.into());
        body.insert("input".into(), input.into());
        Value::Object(body)
    }

    /// What the run's reader should know.
    pub(super) fn notes(&self) -> Vec<&'static str> {
        self.seed.map(|_| SEED_NOTE).into_iter().collect()
    }
}

fn wrong(name: &str, message: &str) -> Error {
    Error::field(format!("data_source.sampling_params.{name}"), message)
}

fn unsupported(name: &str) -> Error {
    let message = format!("`{name}` cannot be passed on to an endpoint.");
    let problem =
        Problem::new(Code::ParameterUnsupported).param(format!("data_source.sampling_params.{name}"));
    problem.message(message).into()
}

fn between(name: &str, value: &Value, most: f64) -> Result<f64, Error> {
    let number = value.as_f64().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| wrong(name, &format!("lies between 0 and {most}")))
}

/// Chat's `response_format` as the Responses API's `text.format`.
fn flat_format(format: Value) -> Option<Value> {
    let Value::Object(mut format) = format else { return None };
    match format.get("type")?.as_str()? {
        "text" | "json_object" => Some(Value::Object(format)),
        "json_schema" => {
            let Some(Value::Object(mut inner)) = format.remove("json_schema") else { return None };
            inner.insert("type".into(), "json_schema".into());
            Some(Value::Object(inner))
        }
        _ => None,
    }
}

/// Chat nests a function; the Responses API does not.
fn tools(kind: Kind, tools: Value) -> Result<Value, Error> {
    let Value::Array(tools) = tools else { return Err(wrong("tools", "is an array")) };
    if tools.len() > TOOLS_MAX {
        return Err(wrong("tools", &format!("has at most {TOOLS_MAX}")));
    }
    if kind == Kind::Responses {
        return Ok(Value::Array(tools));
    }
    let flat = |(at, tool): (usize, Value)| {
        let function = tool.get("function").and_then(Value::as_object);
        let (Some("function"), Some(function)) = (tool.get("type").and_then(Value::as_str), function) else {
            return Err(wrong(&format!("tools[{at}]"), "is a `function`"));
        };
        let mut flat = function.clone();
        flat.insert("type".into(), "function".into());
        Ok(Value::Object(flat))
    };
    tools.into_iter().enumerate().map(flat).collect::<Result<_, _>>().map(Value::Array)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(kind: Kind, params: Value) -> Result<Value, String> {
        let params = params.as_object().unwrap().clone();
        match Sampling::accept(kind, params) {
            Ok(sampling) => Ok(sampling.request("m", Vec::new())),
            Err(Error::Problem(problem)) => {
                Err(format!("{} {}", problem.code.as_str(), problem.param.unwrap_or_default()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn chats_words_become_those_of_the_responses_api() {
        let chat = json!({
            "max_completion_tokens": 9, "temperature": 1, "top_p": 0.5, "seed": 42, "reasoning_effort": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {}}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        });
        let expected = json!({
            "model": "m", "input": [], "max_output_tokens": 9, "temperature": 1, "top_p": 0.5, "reasoning": {"effort": "low"},
            "text": {"format": {"type": "json_schema", "name": "n", "strict": true, "schema": {}}},
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
        });
        assert_eq!(accept(Kind::Completions, chat), Ok(expected));
        let text = json!({"text": {"format": {"type": "text"}}, "tools": [{"type": "function", "name": "f"}], "seed": null});
        let expected = json!({"model": "m", "input": [], "text": {"format": {"type": "text"}}, "tools": [{"type": "function", "name": "f"}]});
        assert_eq!(accept(Kind::Responses, text), Ok(expected));
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused_by_name() {
        let under = "data_source.sampling_params";
        for (kind, params, refusal) in [
            (
                Kind::Completions,
                json!({"logit_bias": {}}),
                format!("unsupported_parameter {under}.logit_bias"),
            ),
            (Kind::Completions, json!({"text": {}}), format!("unsupported_parameter {under}.text")),
            (
                Kind::Responses,
                json!({"response_format": {}}),
                format!("unsupported_parameter {under}.response_format"),
            ),
            (Kind::Completions, json!({"temperature": 3}), format!("unprocessable {under}.temperature")),
            (Kind::Completions, json!({"top_p": "1"}), format!("unprocessable {under}.top_p")),
            (
                Kind::Completions,
                json!({"max_completion_tokens": 0}),
                format!("unprocessable {under}.max_completion_tokens"),
            ),
            (Kind::Completions, json!({"seed": 0.5}), format!("unprocessable {under}.seed")),
            (
                Kind::Completions,
                json!({"tools": [{"type": "web_search"}]}),
                format!("unprocessable {under}.tools[0]"),
            ),
            (
                Kind::Completions,
                json!({"response_format": {"type": "json_schema"}}),
                format!("unprocessable {under}.response_format"),
            ),
        ] {
            assert_eq!(accept(kind, params), Err(refusal));
        }
    }
}
