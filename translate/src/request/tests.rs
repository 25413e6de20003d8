//! What is read of a request, what is refused and where, and that nothing is lost on the way.

pub(crate) mod any_request;

use super::*;
use crate::{
    call::{Refusal, RefusalKind},
    item::{Content, FunctionCall, FunctionCallOutput, Message, Reasoning, Role, Source},
};
use proptest::prelude::*;
use serde_json::json;

fn read(body: &Value) -> Result<Request, Refusal> {
    Request::read(body.as_object().expect("a body is an object"))
}

/// A body that can be read, with this member besides.
fn with(member: &str, value: Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi", "tools": [{"type": "function", "name": "f"}]});
    body[member] = value;
    body
}

/// One item of input; one part of a user's message.
fn item(item: Value) -> Value {
    with("input", json!([item]))
}

fn part(part: Value) -> Value {
    item(json!({"role": "user", "content": [part]}))
}

fn message(role: Role, content: Vec<Content>) -> Item {
    Item::Message(Message { role, content })
}

fn text(text: &str) -> Vec<Content> {
    vec![Content::Text(text.into())]
}

#[test]
fn a_string_is_one_message_of_the_user() {
    let request = read(&json!({"model": "m", "input": "hi"})).unwrap();
    assert_eq!(request.input, [message(Role::User, text("hi"))]);
    assert_eq!(
        (request.stream, request.tool_choice, request.format),
        (false, ToolChoice::Auto, Format::Text)
    );
    assert!(request.other.is_empty());
}

#[test]
fn every_member_has_its_field_or_stays_as_it_came() {
    let request = read(&json!({
        "model": "m", "input": "hi", "instructions": "Be brief.", "stream": true, "temperature": 0.5, "top_p": 1,
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": false}],
        "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": false, "max_output_tokens": 5,
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "reasoning": {"effort": "high", "generate_summary": "auto"}, "top_logprobs": 3,
        "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"}, "seed": 7, "store": null, "new_member": [1],
    }))
    .unwrap();
    let tool = Tool {
        name: "f".into(),
        description: Some("d".into()),
        parameters: Some(json!({"type": "object"})),
        strict: Some(false),
    };
    let format = Format::JsonSchema {
        name: "n".into(),
        description: None,
        schema: json!({"type": "object"}),
        strict: Some(true),
    };
    let expected = Request {
        model: "m".into(),
        input: vec![message(Role::User, text("hi"))],
        instructions: Some("Be brief.".into()),
        tools: vec![tool],
        tool_choice: ToolChoice::Function("f".into()),
        parallel_tool_calls: Some(false),
        format,
        verbosity: Some("low".into()),
        effort: Some("high".into()),
        summary: Some("auto".into()),
        max_output_tokens: Some(5),
        temperature: Some(0.5),
        top_p: Some(1.0),
        top_logprobs: Some(3),
        include: vec!["reasoning.encrypted_content".into()],
        stream: true,
        other: json!({"metadata": {"a": "b"}, "seed": 7, "new_member": [1]}).as_object().unwrap().clone(),
    };
    assert_eq!(request, expected);
}

#[test]
fn every_kind_of_item_is_read() {
    let cases = [
        (json!({"role": "user", "content": "a"}), message(Role::User, text("a"))),
        (
            json!({"type": "message", "role": "system", "content": [{"type": "input_text", "text": "a"}]}),
            message(Role::System, text("a")),
        ),
        (json!({"role": "developer", "content": "a", "id": null}), message(Role::Developer, text("a"))),
        (
            json!({"type": "message", "id": "msg_1", "status": "completed", "phase": "final_answer", "role": "assistant", "content": [
                {"type": "output_text", "text": "a", "annotations": [], "logprobs": []}, {"type": "refusal", "refusal": "no"}]}),
            message(Role::Assistant, vec![Content::Text("a".into()), Content::Refusal("no".into())]),
        ),
        (
            json!({"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "c", "name": "f", "arguments": "{ \"b\":1,\"a\":2}"}),
            Item::FunctionCall(FunctionCall {
                call_id: "c".into(),
                name: "f".into(),
                arguments: "{ \"b\":1,\"a\":2}".into(),
            }),
        ),
        (
            json!({"type": "function_call_output", "call_id": "c", "output": "4"}),
            Item::FunctionCallOutput(FunctionCallOutput { call_id: "c".into(), output: text("4") }),
        ),
        (
            json!({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": "https://a/b.png"}]}),
            Item::FunctionCallOutput(FunctionCallOutput {
                call_id: "c".into(),
                output: vec![Content::Image { source: Source::Url("https://a/b.png".into()), detail: None }],
            }),
        ),
        (
            json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}],
                "content": [{"type": "reasoning_text", "text": "t"}], "encrypted_content": "e"}),
            Item::Reasoning(Reasoning {
                summary: vec!["s".into()],
                text: vec!["t".into()],
                sealed: Some("e".into()),
            }),
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(read(&item(given.clone())).unwrap().input, [expected], "{given}");
    }
}

#[test]
fn every_source_of_an_image_or_file_is_read() {
    let inline = |media_type: &str| Source::Inline { media_type: media_type.into(), base64: "QUJD".into() };
    let image = |source| Content::Image { source, detail: None };
    let file = |source, name: Option<&str>| Content::File { source, name: name.map(str::to_owned) };
    let cases = [
        (
            json!({"type": "input_image", "image_url": "data:image/png;base64,QUJD"}),
            image(inline("image/png")),
        ),
        (
            json!({"type": "input_image", "image_url": "data:image/png;x=y;base64,QUJD"}),
            image(inline("image/png")),
        ),
        (json!({"type": "input_image", "file_id": "file-1"}), image(Source::FileId("file-1".into()))),
        (
            json!({"type": "input_file", "file_url": "https://a/b.pdf"}),
            file(Source::Url("https://a/b.pdf".into()), None),
        ),
        (
            json!({"type": "input_file", "file_data": "data:text/plain;base64,QUJD"}),
            file(inline("text/plain"), None),
        ),
        (
            json!({"type": "input_file", "file_data": "QUJD", "filename": "A.CSV"}),
            file(inline("text/csv"), Some("A.CSV")),
        ),
        (json!({"type": "input_file", "file_data": "QUJD"}), file(inline("application/pdf"), None)),
        (
            json!({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}),
            Content::Audio { base64: "QUJD".into(), format: "wav".into() },
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(
            read(&part(given.clone())).unwrap().input,
            [message(Role::User, vec![expected])],
            "{given}"
        );
    }
}

#[test]
fn choices_of_tools_are_read() {
    let allowed = |required| ToolChoice::Allowed { required, names: vec!["f".into()] };
    let one = json!([{"type": "function", "name": "f"}]);
    let cases = [
        (json!("auto"), ToolChoice::Auto),
        (json!(null), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Required),
        (json!({"type": "function", "name": "f"}), ToolChoice::Function("f".into())),
        (json!({"type": "allowed_tools", "tools": one}), allowed(false)),
        (json!({"type": "allowed_tools", "mode": "required", "tools": one}), allowed(true)),
        (json!({"type": "allowed_tools", "mode": "none", "tools": one}), ToolChoice::None),
    ];
    for (given, expected) in cases {
        assert_eq!(read(&with("tool_choice", given.clone())).unwrap().tool_choice, expected, "{given}");
    }
}

#[test]
fn what_is_no_value_is_invalid_at_its_exact_path() {
    let parameter = |name: &str, value| (with(name, value), name.to_owned());
    let at = |body, path: &str| (body, path.to_owned());
    let cases = [
        at(json!({"input": "hi"}), "model"),
        at(json!({"model": 1, "input": "hi"}), "model"),
        at(json!({"model": "m"}), "input"),
        at(json!({"model": "m", "input": null}), "input"),
        parameter("input", json!([])),
        parameter("input", json!(5)),
        parameter("instructions", json!(["a"])),
        parameter("stream", json!("true")),
        parameter("temperature", json!(2.1)),
        parameter("temperature", json!("1")),
        parameter("top_p", json!(-0.1)),
        parameter("max_output_tokens", json!(0)),
        parameter("max_output_tokens", json!(1.5)),
        parameter("max_output_tokens", json!(-1)),
        parameter("top_logprobs", json!(21)),
        parameter("parallel_tool_calls", json!(1)),
        parameter("metadata", json!([])),
        parameter("store", json!("no")),
        parameter("truncation", json!("some")),
        parameter("service_tier", json!(1)),
        parameter("previous_response_id", json!({})),
        parameter("include", json!("a")),
        parameter("tools", json!({})),
        parameter("tool_choice", json!("maybe")),
        parameter("tool_choice", json!(1)),
        parameter("text", json!("json")),
        parameter("reasoning", json!("high")),
        at(with("metadata", json!({"a": 1})), "metadata.a"),
        at(with("include", json!(["message.output_text.logprobs", 1])), "include[1]"),
        at(with("include", json!(["everything"])), "include[0]"),
        at(with("reasoning", json!({"effort": "huge"})), "reasoning.effort"),
        at(with("text", json!({"verbosity": 1})), "text.verbosity"),
        at(with("text", json!({"format": "text"})), "text.format"),
        at(with("text", json!({"format": {}})), "text.format.type"),
        at(with("text", json!({"format": {"type": "xml"}})), "text.format.type"),
        at(with("text", json!({"format": {"type": "json_schema", "name": "n"}})), "text.format.schema"),
        at(
            with("text", json!({"format": {"type": "json_schema", "name": "n", "schema": true}})),
            "text.format.schema",
        ),
        at(
            with("text", json!({"format": {"type": "json_schema", "name": "a b", "schema": {}}})),
            "text.format.name",
        ),
        at(with("tools", json!([1])), "tools[0]"),
        at(with("tools", json!([{"name": "f"}])), "tools[0].type"),
        at(with("tools", json!([{"type": "function", "function": {"name": "f"}}])), "tools[0].name"),
        at(with("tools", json!([{"type": "function", "name": "f g"}])), "tools[0].name"),
        at(
            with("tools", json!([{"type": "function", "name": "f", "parameters": "x"}])),
            "tools[0].parameters",
        ),
        at(with("tool_choice", json!({"type": "function", "name": "g"})), "tool_choice.name"),
        at(with("tool_choice", json!({"type": "allowed_tools", "tools": []})), "tool_choice.tools"),
        at(
            with(
                "tool_choice",
                json!({"type": "allowed_tools", "tools": [{"type": "function", "name": "g"}]}),
            ),
            "tool_choice.tools[0].name",
        ),
        at(json!({"model": "m", "input": "hi", "tool_choice": "required"}), "tool_choice"),
        at(item(json!("hi")), "input[0]"),
        at(item(json!({})), "input[0].type"),
        at(item(json!({"type": 1})), "input[0].type"),
        at(item(json!({"role": "tool", "content": "a"})), "input[0].role"),
        at(item(json!({"type": "message", "content": "a"})), "input[0].role"),
        at(item(json!({"role": "user"})), "input[0].content"),
        at(item(json!({"role": "user", "content": {}})), "input[0].content"),
        at(
            item(json!({"role": "user", "content": [{"type": "refusal", "refusal": "no"}]})),
            "input[0].content[0].type",
        ),
        at(
            item(json!({"role": "system", "content": [{"type": "input_image", "image_url": "https://a"}]})),
            "input[0].content[0].type",
        ),
        at(
            item(json!({"type": "function_call", "call_id": "", "name": "f", "arguments": ""})),
            "input[0].call_id",
        ),
        at(
            item(json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}})),
            "input[0].arguments",
        ),
        at(item(json!({"type": "function_call_output", "call_id": "c"})), "input[0].output"),
        at(
            item(json!({"type": "reasoning", "summary": [{"type": "text", "text": "a"}]})),
            "input[0].summary[0].type",
        ),
        at(part(json!(1)), "input[0].content[0]"),
        at(part(json!({"type": "text", "text": "a"})), "input[0].content[0].type"),
        at(part(json!({"type": "input_text"})), "input[0].content[0].text"),
        at(part(json!({"type": "input_image"})), "input[0].content[0]"),
        at(part(json!({"type": "input_image", "image_url": {"url": "a"}})), "input[0].content[0].image_url"),
        at(
            part(json!({"type": "input_image", "image_url": "data:image/png,abc"})),
            "input[0].content[0].image_url",
        ),
        at(
            part(json!({"type": "input_image", "image_url": "https://a", "detail": "max"})),
            "input[0].content[0].detail",
        ),
        at(
            part(json!({"type": "input_file", "file_url": "https://a", "file_id": "b"})),
            "input[0].content[0]",
        ),
        at(
            part(json!({"type": "input_audio", "input_audio": {"data": "a"}})),
            "input[0].content[0].input_audio.format",
        ),
    ];
    refused(cases, RefusalKind::Invalid);
}

#[test]
fn what_only_one_provider_has_is_unsupported_at_its_exact_path() {
    let at = |body, path: &str| (body, path.to_owned());
    let cases = [
        at(item(json!({"type": "item_reference", "id": "msg_1"})), "input[0]"),
        at(item(json!({"id": "msg_1"})), "input[0]"),
        at(
            item(json!({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "a"})),
            "input[0].type",
        ),
        at(item(json!({"type": "web_search_call", "id": "ws_1"})), "input[0].type"),
        at(item(json!({"role": "user", "content": "a", "name": "Ann"})), "input[0].name"),
        at(part(json!({"type": "input_video", "video_url": "https://a"})), "input[0].content[0].type"),
        at(part(json!({"type": "input_text", "text": "a", "cache": true})), "input[0].content[0].cache"),
        at(with("tools", json!([{"type": "web_search"}])), "tools[0].type"),
        at(with("tools", json!([{"type": "custom", "name": "c"}])), "tools[0].type"),
        at(
            with("tools", json!([{"type": "function", "name": "f", "defer_loading": true}])),
            "tools[0].defer_loading",
        ),
        at(with("tool_choice", json!({"type": "web_search"})), "tool_choice.type"),
        at(with("reasoning", json!({"budget": 1})), "reasoning.budget"),
        at(with("text", json!({"style": "dry"})), "text.style"),
    ];
    refused(cases, RefusalKind::Unsupported);
}

fn refused(cases: impl IntoIterator<Item = (Value, String)>, kind: RefusalKind) {
    for (body, path) in cases {
        let refusal = read(&body).expect_err(&format!("{path} of {body}"));
        assert_eq!((refusal.param.as_str(), refusal.kind), (path.as_str(), kind), "{refusal} of {body}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_as_the_same(request in any_request::requests()) {
        prop_assert_eq!(Request::read(&request.write()), Ok(request));
    }
}
