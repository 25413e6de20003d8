//! Events against the specification's schemas.
//!
//! Invariant: an event of which the specification has no schema is an error, but for the two of OpenAI's that it has under
//! another name.

use crate::event::Event;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex},
};

static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../schema/open_responses_events.json"))
        .expect("the schemas are JSON")
});
static VALIDATORS: LazyLock<Mutex<BTreeMap<&'static str, jsonschema::Validator>>> =
    LazyLock::new(Default::default);

/// Panics if the event is not as the specification says.
pub(crate) fn check(event: &Event) {
    let mut validators = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let validator = validators.entry(event.kind).or_insert_with(|| validator(definition(event.kind)));
    let mut data = event.data.clone();
    if let Some(kind) = event.kind.strip_prefix("response.reasoning_text.") {
        data["type"] = json!(format!("response.reasoning.{kind}"));
    }
    let errors: Vec<String> = validator.iter_errors(&data).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {:#}", event.data);
}

/// Panics if the response object is not as the specification says.
pub(crate) fn check_response(response: &Value) {
    let errors: Vec<String> =
        validator("ResponseResource").iter_errors(response).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {response:#}");
}

fn validator(definition: &str) -> jsonschema::Validator {
    let mut schema = SCHEMAS.clone();
    schema["$ref"] = json!(format!("#/$defs/{definition}"));
    jsonschema::validator_for(&schema).expect("the schema is one")
}

fn definition(kind: &str) -> &'static str {
    match kind {
        "error" => "ErrorStreamingEvent",
        "response.created" => "ResponseCreatedStreamingEvent",
        "response.in_progress" => "ResponseInProgressStreamingEvent",
        "response.completed" => "ResponseCompletedStreamingEvent",
        "response.incomplete" => "ResponseIncompleteStreamingEvent",
        "response.failed" => "ResponseFailedStreamingEvent",
        "response.output_item.added" => "ResponseOutputItemAddedStreamingEvent",
        "response.output_item.done" => "ResponseOutputItemDoneStreamingEvent",
        "response.content_part.added" => "ResponseContentPartAddedStreamingEvent",
        "response.content_part.done" => "ResponseContentPartDoneStreamingEvent",
        "response.output_text.delta" => "ResponseOutputTextDeltaStreamingEvent",
        "response.output_text.done" => "ResponseOutputTextDoneStreamingEvent",
        "response.output_text.annotation.added" => "ResponseOutputTextAnnotationAddedStreamingEvent",
        "response.refusal.delta" => "ResponseRefusalDeltaStreamingEvent",
        "response.refusal.done" => "ResponseRefusalDoneStreamingEvent",
        "response.function_call_arguments.delta" => "ResponseFunctionCallArgumentsDeltaStreamingEvent",
        "response.function_call_arguments.done" => "ResponseFunctionCallArgumentsDoneStreamingEvent",
        "response.reasoning_text.delta" => "ResponseReasoningDeltaStreamingEvent",
        "response.reasoning_text.done" => "ResponseReasoningDoneStreamingEvent",
        "response.reasoning_summary_part.added" => "ResponseReasoningSummaryPartAddedStreamingEvent",
        "response.reasoning_summary_part.done" => "ResponseReasoningSummaryPartDoneStreamingEvent",
        "response.reasoning_summary_text.delta" => "ResponseReasoningSummaryDeltaStreamingEvent",
        "response.reasoning_summary_text.done" => "ResponseReasoningSummaryDoneStreamingEvent",
        _ => panic!("the specification has no event {kind}"),
    }
}
