//! Requests without tools and thoughts, as the API gets them.
//!
//! Invariant: golden files are what the reference describes; see the adapter's own documentation for its pages.

use super::*;

#[test]
fn a_text_is_asked_with_the_path_the_version_and_a_default_of_tokens() {
    insta::assert_debug_snapshot!(call(&hello()).unwrap());
}

#[test]
fn instructions_and_system_and_developer_messages_become_system_in_their_order() {
    let mut request = request(vec![
        said(Role::System, vec![text("You are a poet.")]),
        user("Hello"),
        said(Role::Developer, vec![text("Rhyme."), text(" ")]),
        user("Begin"),
    ]);
    request.instructions = Some("Be brief.".into());
    insta::assert_json_snapshot!(body(&request));
}

#[test]
fn messages_of_one_role_become_one_turn_and_what_says_nothing_is_left_out() {
    insta::assert_json_snapshot!(body(&request(vec![
        user("One"),
        user("  \n"),
        user("Two"),
        assistant("Three"),
        said(Role::Assistant, vec![Content::Refusal("I will not count to four.".into()), text("")]),
        user("Five"),
    ])));
}

#[test]
fn images_and_files_are_blocks_by_where_they_are() {
    let image = |source| Content::Image { source, detail: Some("auto".into()) };
    let file = |source, name: Option<&str>| Content::File { source, name: name.map(Into::into) };
    insta::assert_json_snapshot!(body(&request(vec![said(
        Role::User,
        vec![
            image(Source::Url("https://example.com/sea.png".into())),
            Content::Image { source: inline("image/png", "iVBORw0KGgo="), detail: Some("high".into()) },
            image(Source::FileId("file_1".into())),
            file(Source::Url("https://example.com/sea.pdf".into()), None),
            file(inline("application/pdf", "JVBERi0="), Some("sea.pdf")),
            file(inline("text/csv; charset=utf-8", "YSxiCg=="), Some("sea.csv")),
            file(inline("application/json", "e30="), Some("")),
            file(Source::FileId("file_2".into()), Some("tides")),
            text("What is in them?"),
        ],
    )])));
}

#[test]
fn sampling_and_the_known_other_members_go_under_the_apis_names() {
    let mut request = hello();
    (request.temperature, request.top_p) = (Some(0.5), Some(0.25));
    request.max_output_tokens = Some(64);
    request.stream = true;
    request.other = json!({"stop": "END", "top_k": 5}).as_object().unwrap().clone();
    insta::assert_json_snapshot!(body(&request));
    request.other = json!({"stop": ["a", "b"]}).as_object().unwrap().clone();
    assert_eq!(body(&request)["stop_sequences"], json!(["a", "b"]));
}

#[test]
fn what_changes_nothing_in_the_answer_is_not_sent() {
    let mut request = hello();
    let plain = body(&request);
    request.include = vec!["reasoning.encrypted_content".into(), "web_search_call.results".into()];
    (request.temperature, request.top_p) = (Some(1.0), Some(1.0));
    request.top_logprobs = Some(0);
    request.verbosity = Some("medium".into());
    request.parallel_tool_calls = Some(true);
    request.other = json!({
        "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k",
        "prompt_cache_retention": "24h", "stream_options": {"include_obfuscation": false}, "service_tier": "auto",
        "store": false, "background": false, "truncation": "disabled", "previous_response_id": null,
        "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "n": 1, "seed": null,
    })
    .as_object()
    .unwrap()
    .clone();
    assert_eq!(body(&request), plain);
}

#[test]
fn a_schema_is_closed_and_its_bounds_are_told_in_words() {
    let mut request = hello();
    request.effort = Some("low".into());
    request.format = Format::JsonSchema {
        name: "session".into(),
        description: Some("A session on a screen.".into()),
        strict: Some(true),
        schema: json!({
            "type": "object",
            "required": ["minimum", "kind", "steps"],
            "properties": {
                "minimum": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How few."},
                "kind": {"oneOf": [{"const": "work"}, {"type": ["object", "null"], "properties": {}}]},
                "steps": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/step"}},
                "name": {"type": "string", "enum": ["minimum"], "minLength": 2},
                "at": {"type": "string", "format": "date-time"},
                "tune": {"type": "string", "format": "rtttl", "description": "A tune."},
                "pair": {"type": "array", "minItems": 2, "items": {"type": "integer"}},
            },
            "$defs": {"step": {"type": "object", "properties": {"open": {"type": "object", "additionalProperties": true}}}},
        }),
    };
    insta::assert_json_snapshot!(body(&request));
}
