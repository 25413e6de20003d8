//! The routes that an endpoint is called by, and what differs between them: what is asked of the provider, and what its
//! answer says.

use crate::{
    carry::{self, Carry},
    compact,
    disguise::{Disguise, Usage},
    json_splice::Members,
    output_format::Repair,
    request::{self, Outgoing},
};
use alphagate_contract::{
    endpoint::{Protocol, Target, VersionConfig},
    problem::{Code, Problem},
    usage::Outcome,
};
use serde_json::Value;

/// A route of OpenAI's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/chat/completions`: the same walk, with the request and the answer translated.
    Chat,
    /// `POST /v1/responses/compact`: a conversation made short.
    Compact,
    /// `POST /v1/embeddings`: the version's target has it, or refuses. Of the version's configuration, instructions,
    /// defaults and the cap on output mean nothing here.
    Embeddings,
}

impl Api {
    /// What follows the base URL of a target that speaks Responses.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Responses | Self::Chat => "/responses",
            Self::Compact => "/responses/compact",
            Self::Embeddings => "/embeddings",
        }
    }

    /// Checks the request against the version and makes the provider's.
    ///
    /// # Errors
    /// 400 with the field that the version does not allow, or that has an impossible value.
    pub fn compose(
        self,
        members: &Members<'_>,
        config: &VersionConfig,
        target: &Target,
        shown_model: &str,
        repair: Option<&Repair>,
    ) -> Result<Outgoing, Problem> {
        match self {
            Self::Responses => carry::responses(members, config, target, shown_model, repair),
            Self::Chat => carry::chat(members, config, target, shown_model, repair),
            Self::Compact => compact::compose(members, config, target, shown_model),
            Self::Embeddings => compose_embeddings(members, config, target, shown_model),
        }
    }

    /// What the provider's answer says that it used, and how it ended.
    #[must_use]
    pub fn ended(self, answer: &[u8]) -> (Outcome, Option<Usage>) {
        match self {
            Self::Responses | Self::Chat => (Usage::outcome(answer), Usage::read(answer)),
            Self::Compact => (Outcome::Completed, Usage::read(answer)),
            Self::Embeddings => (Outcome::Completed, Usage::read_embeddings(answer)),
        }
    }
}

fn compose_embeddings(
    members: &Members<'_>,
    config: &VersionConfig,
    target: &Target,
    shown_model: &str,
) -> Result<Outgoing, Problem> {
    request::check_policy(members, config)?;
    if matches!(target.protocol, Protocol::Anthropic | Protocol::Gemini) {
        let message =
            "This endpoint's provider is not asked for embeddings: it has none, or none of this form.";
        return Err(Problem::new(Code::ParameterUnsupported).message(message).param("model"));
    }
    if members.get("input").is_none_or(|input| input == "null") {
        let message = "Say what is to be embedded in `input`.";
        return Err(Problem::new(Code::ParameterMissing).message(message).param("input"));
    }
    let pieces = members.splice(&[("model", Value::from(target.model.as_str()).to_string())]);
    let disguise = Disguise {
        model: shown_model.to_owned(),
        provider_model: target.model.clone(),
        instructions: Value::Null,
        hidden_instructions: config.instructions.clone(),
        defaults: Vec::new(),
    };
    let estimate = request::estimate_text(members, target);
    Ok(Outgoing { pieces, stream: false, disguise, estimate, carry: Carry::NATIVE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_splice::join;
    use serde_json::json;

    fn config(extra: Value) -> VersionConfig {
        let mut config = json!({"targets": [{"base_url": "https://x/v1", "model": "embed-1",
            "price": {"input_micros_per_mtok": 1_000_000, "output_micros_per_mtok": 9}}],
            "instructions": "Hidden.", "defaults": {"temperature": 1}});
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    fn compose(body: &str, config: &VersionConfig) -> Result<Outgoing, Problem> {
        let members = Members::read(body.as_bytes()).unwrap();
        Api::Embeddings.compose(&members, config, &config.targets[0], "vectors", None)
    }

    #[test]
    fn only_the_model_is_changed_and_only_input_is_counted() {
        let body = r#"{"model":"vectors", "input":["a",[1,2]],"encoding_format":"base64","dimensions":8}"#;
        let outgoing = compose(body, &config(json!({}))).unwrap();
        let sent = String::from_utf8(join(body.as_bytes(), &outgoing.pieces)).unwrap();
        assert_eq!(sent, body.replace("vectors", "embed-1"));
        assert!(!outgoing.stream);
        assert_eq!(outgoing.estimate.output_tokens, 0);
        assert!((20..40).contains(&outgoing.estimate.input_tokens), "{:?}", outgoing.estimate);
        assert_eq!(outgoing.estimate.cost_micros, outgoing.estimate.input_tokens);
    }

    #[test]
    fn what_the_version_forbids_and_what_is_missing_is_refused() {
        let locked = config(json!({"locked": ["dimensions"]}));
        let cases = [
            (r#"{"model":"vectors"}"#, Code::ParameterMissing, "input"),
            (r#"{"model":"vectors","input":null}"#, Code::ParameterMissing, "input"),
            (r#"{"model":"vectors","input":"x","dimensions":2}"#, Code::ParameterUnsupported, "dimensions"),
            (r#"{"model":"vectors","input":"x","prompt":{"id":"p"}}"#, Code::ParameterUnsupported, "prompt"),
        ];
        for (body, code, param) in cases {
            let problem = compose(body, &locked).unwrap_err();
            assert_eq!((problem.code, problem.param.as_deref()), (code, Some(param)), "{body}");
        }
    }

    #[test]
    fn usage_is_in_prompt_tokens() {
        let answer =
            br#"{"object":"list","data":[],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
        let (outcome, usage) = Api::Embeddings.ended(answer);
        assert_eq!((outcome, usage.unwrap().input_tokens), (Outcome::Completed, 7));
        assert_eq!(Api::Embeddings.ended(b"{}").1, None);
    }
}
