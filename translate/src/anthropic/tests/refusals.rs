//! What the API cannot do is refused by the caller's own name for it.
//!
//! Invariant: one row a member; each would be served without the row's change.

use super::*;
use crate::call::RefusalKind::{self, Invalid, Unsupported};

type Row = (&'static str, RefusalKind, fn(&mut Request));

const ROWS: [Row; 37] = [
    ("temperature", Unsupported, |request| request.temperature = Some(1.5)),
    ("temperature", Invalid, |request| request.temperature = Some(-0.5)),
    ("temperature", Invalid, |request| request.temperature = Some(f64::NAN)),
    ("top_p", Invalid, |request| request.top_p = Some(f64::INFINITY)),
    ("top_logprobs", Unsupported, |request| request.top_logprobs = Some(2)),
    ("include[0]", Unsupported, |request| request.include = vec!["message.output_text.logprobs".into()]),
    ("text.verbosity", Unsupported, |request| request.verbosity = Some("low".into())),
    ("text.format", Unsupported, |request| request.format = Format::JsonObject),
    ("text.format.schema", Invalid, |request| {
        let schema = json!(true);
        request.format = Format::JsonSchema { name: "x".into(), description: None, schema, strict: None };
    }),
    ("max_output_tokens", Invalid, |request| request.max_output_tokens = Some(0)),
    ("max_output_tokens", Unsupported, |request| {
        (request.model, request.effort) = (OLD_MODEL.into(), Some("low".into()));
        request.max_output_tokens = Some(1_024);
    }),
    ("reasoning.effort", Invalid, |request| request.effort = Some("utmost".into())),
    ("reasoning.summary", Unsupported, |request| request.summary = Some("concise".into())),
    ("reasoning.summary", Invalid, |request| request.summary = Some("verse".into())),
    ("temperature", Unsupported, |request| {
        (request.effort, request.temperature) = (Some("low".into()), Some(0.5));
    }),
    ("top_p", Unsupported, |request| (request.effort, request.top_p) = (Some("low".into()), Some(0.5))),
    ("top_k", Unsupported, |request| {
        request.effort = Some("low".into());
        request.other.insert("top_k".into(), json!(5));
    }),
    ("tool_choice", Unsupported, |request| {
        (request.effort, request.tools) = (Some("low".into()), vec![tool("time")]);
        request.tool_choice = ToolChoice::Required;
    }),
    ("input", Unsupported, |request| {
        request.effort = Some("low".into());
        request.input.push(assistant("The sea is"));
    }),
    ("tool_choice", Invalid, |request| request.tool_choice = ToolChoice::Required),
    ("tool_choice", Invalid, |request| request.tool_choice = ToolChoice::Function("time".into())),
    ("tool_choice", Invalid, |request| {
        request.tools = vec![tool("time")];
        request.tool_choice = ToolChoice::Allowed { required: false, names: vec!["weather".into()] };
    }),
    ("tool_choice", Invalid, |request| {
        request.tools = vec![tool("time")];
        request.tool_choice = ToolChoice::Allowed { required: true, names: vec![] };
    }),
    ("input", Invalid, |request| request.input = vec![said(Role::System, vec![text("Be brief.")])]),
    ("input[1].content[1]", Unsupported, |request| {
        let audio = Content::Audio { base64: "AAAA".into(), format: "wav".into() };
        request.input.push(said(Role::User, vec![text("Hear"), audio]));
    }),
    ("input[1].content[0]", Unsupported, |request| {
        let image = Content::Image { source: Source::FileId("file_1".into()), detail: None };
        request.input.push(said(Role::Assistant, vec![image]));
    }),
    ("input[1].content[0].detail", Unsupported, |request| {
        let image =
            Content::Image { source: Source::Url("https://a.example".into()), detail: Some("low".into()) };
        request.input.push(said(Role::User, vec![image]));
    }),
    ("input[1].content[0].image_url", Unsupported, |request| {
        let image = Content::Image { source: inline("image/tiff", "AAAA"), detail: None };
        request.input.push(said(Role::User, vec![image]));
    }),
    ("input[1].output[0].file_data", Unsupported, |request| {
        let file = Content::File { source: inline("application/zip", "AAAA"), name: None };
        request.input.push(output("call_1", vec![file]));
    }),
    ("input[1].content[0].file_data", Invalid, |request| {
        let file = Content::File { source: inline("text/plain", "/w=="), name: None };
        request.input.push(said(Role::User, vec![file]));
    }),
    ("input[1].arguments", Invalid, |request| {
        request.input.push(function_call("call_1", "time", "[1]"));
    }),
    ("input[1].arguments", Invalid, |request| {
        request.input.push(function_call("call_1", "time", r#"{"city":"#));
    }),
    ("seed", Unsupported, |request| {
        request.other.insert("seed".into(), json!(7));
    }),
    ("store", Unsupported, |request| {
        request.other.insert("store".into(), json!(true));
    }),
    ("previous_response_id", Unsupported, |request| {
        request.other.insert("previous_response_id".into(), json!("resp_1"));
    }),
    ("service_tier", Unsupported, |request| {
        request.other.insert("service_tier".into(), json!("flex"));
    }),
    ("stop", Unsupported, |request| {
        request.other.insert("stop".into(), json!(7));
    }),
];

#[test]
fn what_the_api_cannot_do_is_refused_by_the_callers_name() {
    for (number, (param, kind, change)) in ROWS.into_iter().enumerate() {
        let mut request = hello();
        assert!(call(&request).is_ok());
        change(&mut request);
        let refusal = refused(&request);
        assert_eq!((refusal.param.as_str(), refusal.kind), (param, kind), "row {number}: {refusal}");
    }
}
