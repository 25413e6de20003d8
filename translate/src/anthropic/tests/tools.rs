//! Tools, which of them may be called, calls and what they gave.
//!
//! Invariant: results stand first in the turn that follows their calls.

use super::*;

#[test]
fn a_tool_always_has_a_schema_of_type_object() {
    let mut request = hello();
    request.tools = vec![
        tool("weather"),
        Tool { name: "now".into(), description: None, parameters: None, strict: Some(false) },
        Tool {
            name: "sum".into(),
            description: None,
            parameters: Some(json!({"properties": {"a": {"type": "integer", "minimum": 0}}})),
            strict: Some(true),
        },
    ];
    insta::assert_json_snapshot!(body(&request)["tools"]);
}

#[test]
fn every_choice_of_tools_has_its_form() {
    let allowed = |required, names: &[&str]| ToolChoice::Allowed {
        required,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let both = vec!["weather", "time"];
    let cases = [
        (ToolChoice::Auto, None, None, both.clone()),
        (ToolChoice::Auto, Some(true), None, both.clone()),
        (
            ToolChoice::Auto,
            Some(false),
            Some(json!({"type": "auto", "disable_parallel_tool_use": true})),
            both.clone(),
        ),
        (ToolChoice::None, Some(false), Some(json!({"type": "none"})), both.clone()),
        (ToolChoice::Required, None, Some(json!({"type": "any"})), both.clone()),
        (
            ToolChoice::Required,
            Some(false),
            Some(json!({"type": "any", "disable_parallel_tool_use": true})),
            both.clone(),
        ),
        (
            ToolChoice::Function("time".into()),
            None,
            Some(json!({"type": "tool", "name": "time"})),
            both.clone(),
        ),
        (
            ToolChoice::Function("time".into()),
            Some(false),
            Some(json!({"type": "tool", "name": "time", "disable_parallel_tool_use": true})),
            both.clone(),
        ),
        (allowed(false, &["time"]), None, Some(json!({"type": "auto"})), vec!["time"]),
        (allowed(true, &["time"]), None, Some(json!({"type": "any"})), vec!["time"]),
        (allowed(false, &[]), None, Some(json!({"type": "none"})), both),
    ];
    for (choice, parallel, expected, names) in cases {
        let mut request = hello();
        request.tools = vec![tool("weather"), tool("time")];
        (request.tool_choice, request.parallel_tool_calls) = (choice.clone(), parallel);
        let body = body(&request);
        assert_eq!(body.get("tool_choice"), expected.as_ref(), "{choice:?} {parallel:?}");
        let sent: Vec<_> = body["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert_eq!(sent, names, "{choice:?}");
    }
}

#[test]
fn parallel_calls_are_one_turn_and_all_their_results_the_first_of_the_next() {
    insta::assert_json_snapshot!(body(&request(vec![
        user("Weather in Rome and Oslo?"),
        assistant("I look."),
        function_call("call_1", "weather", r#"{"city":"Rome"}"#),
        function_call("call_2", "weather", ""),
        output("call_1", vec![text("sunny")]),
        user("Be quick."),
        output(
            "call_2",
            vec![text("see"), Content::Image { source: inline("image/jpeg", "/9j/"), detail: None }],
        ),
        output("call_3", vec![]),
    ])));
}
