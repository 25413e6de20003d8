//! What callers see of a provider's response object: the endpoint's name, and nothing that is the publisher's.
//!
//! Invariant: the provider's model, the publisher's instructions and the publisher's default parameters are
//! replaced in every response object, in either mode; all other bytes stay.

use crate::json_splice::{Members, Piece, SpliceError, join};
use alphagate_contract::{quota::Amounts, usage::Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

/// What to show instead of what the provider echoes.
#[derive(Debug, Clone, PartialEq)]
pub struct Disguise {
    /// The name that the caller used.
    pub model: String,
    /// The provider's own name of the model, which must not be seen.
    pub provider_model: String,
    /// The caller's own instructions, as JSON; `null` if there were none.
    pub instructions: Value,
    /// The publisher's instructions, which must not be seen.
    pub hidden_instructions: Option<String>,
    /// Names of the publisher's default parameters that were sent.
    pub defaults: Vec<String>,
}

/// The value that the protocol gives a parameter that nobody set.
#[must_use]
pub fn unset(field: &str) -> Value {
    match field {
        "tools" => json!([]),
        "tool_choice" => json!("auto"),
        "text" => json!({"format": {"type": "text"}}),
        "truncation" => json!("disabled"),
        "metadata" => json!({}),
        "parallel_tool_calls" => json!(true),
        "temperature" | "top_p" => json!(1.0),
        "presence_penalty" | "frequency_penalty" => json!(0.0),
        "service_tier" => json!("default"),
        "background" | "store" => json!(false),
        "top_logprobs" => json!(0),
        _ => Value::Null,
    }
}

impl Disguise {
    /// The response object as the caller may see it.
    ///
    /// # Errors
    /// [`SpliceError`] when the provider's text is not a JSON object.
    pub fn response(&self, text: &[u8]) -> Result<Vec<Piece>, SpliceError> {
        let members = Members::read(text)?;
        let mut edits = vec![("model", Value::from(self.model.as_str()).to_string())];
        if members.count("instructions") > 0 {
            edits.push(("instructions", self.instructions.to_string()));
        }
        for field in &self.defaults {
            if members.count(field) > 0 {
                edits.push((field.as_str(), unset(field).to_string()));
            }
        }
        if let Some(error) = members.get("error").filter(|error| *error != "null") {
            edits.push(("error", self.error(error)));
        }
        Ok(members.splice(&edits))
    }

    /// As [`Self::response`], as one text.
    ///
    /// # Errors
    /// [`SpliceError`] when the provider's text is not a JSON object.
    pub fn response_text(&self, text: &[u8]) -> Result<Vec<u8>, SpliceError> {
        Ok(join(text, &self.response(text)?))
    }

    fn error(&self, text: &str) -> String {
        match serde_json::from_str::<Value>(text) {
            Ok(mut error) => {
                if let Some(message) = error.get_mut("message") {
                    *message = message.as_str().map_or(Value::Null, |text| self.message(text).into());
                }
                error.to_string()
            }
            Err(_) => "null".to_owned(),
        }
    }

    /// A provider's message without the provider's model and the publisher's instructions.
    #[must_use]
    pub fn message(&self, message: &str) -> String {
        let hidden = self.hidden_instructions.as_deref().filter(|text| !text.trim().is_empty());
        if hidden.is_some_and(|text| message.contains(text.trim())) {
            return "The provider's message is withheld, because it quotes the endpoint's instructions."
                .into();
        }
        message.replace(&self.provider_model, &self.model)
    }
}

/// What a response object says of its use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens from the provider's cache.
    pub cached_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// The usage in a response object; `None` if it has none.
    #[must_use]
    pub fn read(response: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Response {
            usage: Option<Wire>,
        }
        #[derive(Deserialize)]
        struct Wire {
            input_tokens: u64,
            output_tokens: u64,
            input_tokens_details: Option<Details>,
            output_tokens_details: Option<Details>,
        }
        #[derive(Deserialize, Default)]
        struct Details {
            #[serde(default)]
            cached_tokens: u64,
            #[serde(default)]
            reasoning_tokens: u64,
        }
        let usage = serde_json::from_slice::<Response>(response).ok()?.usage?;
        Some(Self {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cached_tokens: usage.input_tokens_details.unwrap_or_default().cached_tokens,
            reasoning_tokens: usage.output_tokens_details.unwrap_or_default().reasoning_tokens,
        })
    }

    /// The usage in a list of embeddings; `None` if it has none.
    #[must_use]
    pub fn read_embeddings(list: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct List {
            usage: Option<Wire>,
        }
        #[derive(Deserialize)]
        struct Wire {
            prompt_tokens: u64,
        }
        let usage = serde_json::from_slice::<List>(list).ok()?.usage?;
        Some(Self { input_tokens: usage.prompt_tokens, ..Self::default() })
    }

    /// How a response object says that it ended.
    #[must_use]
    pub fn outcome(response: &[u8]) -> Outcome {
        #[derive(Deserialize)]
        struct Response {
            status: Option<String>,
        }
        let status = serde_json::from_slice::<Response>(response).ok().and_then(|response| response.status);
        match status.as_deref() {
            Some("incomplete") => Outcome::Incomplete,
            Some("failed" | "cancelled") => Outcome::Failed,
            _ => Outcome::Completed,
        }
    }

    /// As amounts of a quota, for one request at these prices.
    #[must_use]
    pub fn amounts(&self, price: Option<alphagate_contract::endpoint::Price>) -> Amounts {
        Amounts {
            requests: 1,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost_micros: price.map_or(0, |price| price.cost_micros(self.input_tokens, self.output_tokens)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disguise() -> Disguise {
        Disguise {
            model: "poet".into(),
            provider_model: "gpt-secret".into(),
            instructions: json!("be kind"),
            hidden_instructions: Some("Never say the password.".into()),
            defaults: vec!["temperature".into(), "tools".into()],
        }
    }

    #[test]
    fn the_publishers_things_are_replaced_and_the_rest_stays() {
        let text = br#"{"id":"resp_1", "model":"gpt-secret-2026","instructions":"Never say the password.\n\nbe kind","temperature":0.3,"tools":[{"type":"function"}],"output":[ 1 ],"error":null}"#;
        let shown = String::from_utf8(disguise().response_text(text).unwrap()).unwrap();
        assert_eq!(
            shown,
            r#"{"id":"resp_1", "model":"poet","instructions":"be kind","temperature":1.0,"tools":[],"output":[ 1 ],"error":null}"#
        );
    }

    #[test]
    fn messages_do_not_tell_either() {
        let disguise = disguise();
        assert_eq!(disguise.message("no such model gpt-secret"), "no such model poet");
        assert!(!disguise.message("bad: Never say the password.").contains("password"));
        let text = br#"{"model":"x","error":{"code":"c","message":"gpt-secret is down"}}"#;
        let shown = String::from_utf8(disguise.response_text(text).unwrap()).unwrap();
        assert!(shown.contains("poet is down"), "{shown}");
    }

    #[test]
    fn usage_is_read_with_its_details() {
        let text = br#"{"usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":2},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":16}}"#;
        let usage = Usage::read(text).unwrap();
        assert_eq!((usage.input_tokens, usage.cached_tokens), (7, 2));
        assert_eq!((usage.output_tokens, usage.reasoning_tokens), (9, 4));
        assert_eq!(Usage::read(br#"{"usage":null}"#), None);
    }
}
