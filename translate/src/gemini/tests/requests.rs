//! What is asked of the API, as golden files.
//!
//! Invariant: a change of what providers are sent shows in a diff.

use super::{NEWER, SECOND, asked};
use serde_json::{Value, json};

fn body(asks: &Value) -> Value {
    asked(asks).expect("a call").body
}

#[test]
fn the_path_names_the_model_and_the_way_of_answering() {
    let path = |asks: Value| asked(&asks).expect("a call").path;
    assert_eq!(path(json!({"model": "gemini-3-pro"})), "/models/gemini-3-pro:generateContent");
    assert_eq!(path(json!({"model": "models/gemini-3-pro"})), "/models/gemini-3-pro:generateContent");
    assert_eq!(path(json!({"model": "tunedModels/ours-1"})), "/tunedModels/ours-1:generateContent");
    assert_eq!(path(json!({"stream": true})), format!("/models/{NEWER}:streamGenerateContent?alt=sse"));
}

#[test]
fn a_text_is_one_turn() {
    insta::assert_json_snapshot!("text", body(&json!({"input": "The sea in autumn"})));
}

#[test]
fn instructions_and_system_messages_stand_above_the_conversation() {
    insta::assert_json_snapshot!(
        "instructions",
        body(&json!({
            "instructions": "You are a poet.",
            "input": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Rain"},
                {"role": "developer", "content": [{"type": "input_text", "text": "Rhyme."}]},
            ],
        }))
    );
}

#[test]
fn turns_alternate_whatever_the_items_are() {
    insta::assert_json_snapshot!(
        "multi_turn",
        body(&json!({"input": [
            {"role": "user", "content": "Rain"},
            {"role": "user", "content": [{"type": "input_text", "text": "or snow?"}, {"type": "input_text", "text": ""}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Snow."}, {"type": "refusal", "refusal": "No rain."}]},
            {"role": "user", "content": "Why?"},
        ]}))
    );
}

#[test]
fn images_files_and_audio_are_sent_along_or_fetched() {
    insta::assert_json_snapshot!(
        "media",
        body(&json!({"input": [{"role": "user", "content": [
            {"type": "input_image", "image_url": "https://example.org/a.PNG?size=1.jpg", "detail": "auto"},
            {"type": "input_image", "image_url": "https://example.org/picture", "detail": "high"},
            {"type": "input_image", "image_url": "data:image/webp;base64,AAAA", "detail": "low"},
            {"type": "input_image", "file_id": "files/abc-123", "detail": "auto"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,BBBB", "filename": "poem.pdf"},
            {"type": "input_file", "file_url": "https://example.org/download?id=7", "filename": "poem.csv"},
            {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "mp3"}},
        ]}]}))
    );
}

#[test]
fn the_second_generation_has_one_resolution_for_all_images() {
    let low = json!({"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"});
    let body = body(&json!({"model": SECOND, "input": [{"role": "user", "content": [low, low]}]}));
    assert_eq!(body["generationConfig"], json!({"mediaResolution": "MEDIA_RESOLUTION_LOW"}));
    assert!(body["contents"][0]["parts"][0].get("mediaResolution").is_none());
}

#[test]
fn calls_and_outputs_keep_ids_and_names() {
    let weather = |city: &str, id: &str| json!({"type": "function_call", "call_id": id, "name": "weather", "arguments": json!({"city": city}).to_string()});
    insta::assert_json_snapshot!(
        "tools",
        body(&json!({
            "tools": [
                {"type": "function", "name": "weather", "description": "Today's weather", "parameters":
                    {"type": "object", "properties": {"city": {"type": ["string", "null"]}}, "additionalProperties": false}},
                {"type": "function", "name": "now"},
            ],
            "input": [
                {"role": "user", "content": "Paris or London?"},
                weather("Paris", "call_1"),
                weather("London", "call_2"),
                {"type": "function_call", "call_id": "call_3", "name": "now", "arguments": ""},
                {"type": "function_call_output", "call_id": "call_1", "output": "{\"degrees\": 15}"},
                {"type": "function_call_output", "call_id": "call_2", "output": [
                    {"type": "input_text", "text": "rain"},
                    {"type": "input_text", "text": "all day"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"},
                ]},
                {"type": "function_call_output", "call_id": "call_3", "output": []},
                {"role": "user", "content": "Be quick."},
            ],
        }))
    );
}

#[test]
fn a_choice_of_tools_is_a_mode_and_names() {
    let strict = |strict: bool| json!([{"type": "function", "name": "a", "strict": strict}, {"type": "function", "name": "b"}]);
    let cases = [
        (json!("auto"), false, Value::Null),
        (json!("auto"), true, json!({"mode": "VALIDATED"})),
        (json!("none"), true, json!({"mode": "NONE"})),
        (json!("required"), false, json!({"mode": "ANY"})),
        (
            json!({"type": "function", "name": "b"}),
            false,
            json!({"mode": "ANY", "allowedFunctionNames": ["b"]}),
        ),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}]}),
            false,
            json!({"mode": "VALIDATED", "allowedFunctionNames": ["a"]}),
        ),
        (
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]}),
            false,
            json!({"mode": "ANY", "allowedFunctionNames": ["a"]}),
        ),
    ];
    for (choice, is_strict, expected) in cases {
        let body = body(&json!({"tools": strict(is_strict), "tool_choice": choice}));
        assert_eq!(body["toolConfig"]["functionCallingConfig"], expected, "{choice}");
    }
    assert!(body(&json!({"tool_choice": "none", "parallel_tool_calls": false})).get("toolConfig").is_none());
}

#[test]
fn a_schema_is_the_responses_form() {
    let schema = json!({"type": "object", "properties": {"lines": {"type": "array"}}, "required": ["lines"]});
    let format = json!({"type": "json_schema", "name": "haiku", "description": "A haiku", "strict": true, "schema": schema});
    insta::assert_json_snapshot!(
        "structured_output",
        body(&json!({"text": {"format": format, "verbosity": "medium"}}))
    );
    let any = body(&json!({"text": {"format": {"type": "json_object"}}}));
    assert_eq!(any["generationConfig"], json!({"responseMimeType": "application/json"}));
    assert!(body(&json!({"text": {"format": {"type": "text"}}})).get("generationConfig").is_none());
}

#[test]
fn an_effort_is_a_level_or_a_budget() {
    let cases = [
        (NEWER, "minimal", json!({"thinkingLevel": "MINIMAL"})),
        (NEWER, "low", json!({"thinkingLevel": "LOW"})),
        (NEWER, "medium", json!({"thinkingLevel": "MEDIUM"})),
        ("gemini-flash-latest", "high", json!({"thinkingLevel": "HIGH"})),
        ("gemini-4-argon", "xhigh", json!({"thinkingLevel": "XHIGH"})),
        (SECOND, "none", json!({"thinkingBudget": 0})),
        (SECOND, "minimal", json!({"thinkingBudget": 1_024})),
        (SECOND, "low", json!({"thinkingBudget": 1_024})),
        ("models/gemini-2.5-pro", "medium", json!({"thinkingBudget": 8_192})),
        (SECOND, "high", json!({"thinkingBudget": 24_576})),
    ];
    for (model, effort, expected) in cases {
        let body = body(&json!({"model": model, "reasoning": {"effort": effort}}));
        assert_eq!(body["generationConfig"]["thinkingConfig"], expected, "{model} {effort}");
    }
    let summary = body(&json!({"reasoning": {"summary": "detailed"}}));
    assert_eq!(summary["generationConfig"]["thinkingConfig"], json!({"includeThoughts": true}));
}

#[test]
fn everything_else_is_passed_on_by_its_name_there() {
    insta::assert_json_snapshot!(
        "config",
        body(&json!({
            "max_output_tokens": 100, "temperature": 0.5, "top_p": 0.25,
            "include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "top_logprobs": 3,
            "seed": 7, "top_k": 40, "presence_penalty": 1.5, "frequency_penalty": -1.5, "stop": ["END"], "service_tier": "flex",
        }))
    );
}

#[test]
fn what_changes_nothing_is_left_out() {
    let asks = json!({
        "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "store": false, "background": false,
        "truncation": "disabled", "service_tier": "auto", "stream_options": {"include_obfuscation": false}, "n": 1,
        "previous_response_id": null, "max_tool_calls": 3, "top_logprobs": 0,
    });
    assert_eq!(body(&asks), body(&json!({})));
    assert_eq!(
        body(&json!({"include": ["message.output_text.logprobs"]}))["generationConfig"],
        json!({"responseLogprobs": true})
    );
}
