//! Any request that a caller can make, for property tests.

use crate::item::{Content, FunctionCall, FunctionCallOutput, Item, Message, Reasoning, Role, Source};
use crate::request::{Format, Request, Tool, ToolChoice};
use proptest::prelude::*;
use serde_json::{Map, json};

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-]{1,12}"
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        "https://[a-z]{1,9}/[a-z]{0,5}".prop_map(Source::Url),
        ("[a-z]{1,8}/[a-z]{1,8}", "[A-Za-z0-9+/]{1,20}={0,2}")
            .prop_map(|(media_type, base64)| Source::Inline { media_type, base64 }),
        "file-[a-z0-9]{1,9}".prop_map(Source::FileId),
    ]
}

fn parts(role: Role) -> impl Strategy<Value = Vec<Content>> {
    let other = match role {
        Role::User => prop_oneof![
            (source(), prop::option::of(prop::sample::select(vec!["low", "high", "auto"]))).prop_map(
                |(source, detail)| { Content::Image { source, detail: detail.map(str::to_owned) } }
            ),
            (source(), prop::option::of(name())).prop_map(|(source, name)| Content::File { source, name }),
            "[A-Za-z0-9]{0,9}".prop_map(|base64| Content::Audio { base64, format: "mp3".into() }),
        ]
        .boxed(),
        Role::Assistant => any::<String>().prop_map(Content::Refusal).boxed(),
        Role::System | Role::Developer => any::<String>().prop_map(Content::Text).boxed(),
    };
    prop::collection::vec(prop_oneof![any::<String>().prop_map(Content::Text), other], 0..4)
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let role = prop::sample::select(vec![Role::User, Role::Assistant, Role::System, Role::Developer]);
    let thoughts = || prop::collection::vec(any::<String>(), 0..3);
    let item = prop_oneof![
        role.prop_flat_map(
            |role| parts(role).prop_map(move |content| Item::Message(Message { role, content }))
        ),
        (name(), name(), any::<String>()).prop_map(|(call_id, name, arguments)| {
            Item::FunctionCall(FunctionCall { call_id, name, arguments })
        }),
        (name(), parts(Role::User))
            .prop_map(|(call_id, output)| Item::FunctionCallOutput(FunctionCallOutput { call_id, output })),
        (thoughts(), thoughts(), prop::option::of(any::<String>()))
            .prop_map(|(summary, text, sealed)| Item::Reasoning(Reasoning { summary, text, sealed })),
    ];
    prop::collection::vec(item, 1..6)
}

fn tools() -> impl Strategy<Value = (Vec<Tool>, ToolChoice)> {
    let tool = (name(), prop::option::of(any::<String>()), any::<bool>(), any::<Option<bool>>());
    let tools = prop::collection::vec(tool, 0..3).prop_map(|tools| {
        let tool = |(name, description, parameters, strict): (_, _, bool, _)| Tool {
            name,
            description,
            parameters: parameters.then(|| json!({"type": "object", "properties": {}})),
            strict,
        };
        tools.into_iter().map(tool).collect::<Vec<_>>()
    });
    (tools, 0..5, any::<bool>()).prop_map(|(tools, choice, required)| {
        let names: Vec<String> = tools.iter().map(|tool| tool.name.clone()).collect();
        let choice = match (choice, names.first()) {
            (0, _) => ToolChoice::None,
            (1, Some(_)) => ToolChoice::Required,
            (2, Some(name)) => ToolChoice::Function(name.clone()),
            (3, Some(_)) => ToolChoice::Allowed { required, names },
            _ => ToolChoice::Auto,
        };
        (tools, choice)
    })
}

/// Any request that a caller can make.
pub(crate) fn requests() -> impl Strategy<Value = Request> {
    let format = prop_oneof![
        Just(Format::Text),
        Just(Format::JsonObject),
        (name(), prop::option::of(any::<String>()), any::<Option<bool>>()).prop_map(
            |(name, description, strict)| {
                Format::JsonSchema { name, description, schema: json!({"type": "object"}), strict }
            }
        ),
    ];
    let word = |words: &[&str]| {
        prop::option::of(prop::sample::select(
            words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(),
        ))
    };
    let texts = (
        prop::option::of(any::<String>()),
        word(&["low", "high"]),
        word(&["none", "xhigh"]),
        word(&["auto"]),
    );
    let numbers = (
        prop::option::of(1..u64::MAX),
        prop::option::of(0.0..2.0),
        prop::option::of(0.0..1.0),
        prop::option::of(0_u64..20),
    );
    (items(), tools(), format, texts, numbers, any::<Option<bool>>(), any::<bool>()).prop_map(
        |(input, (tools, tool_choice), format, texts, numbers, parallel_tool_calls, flag)| Request {
            model: "m".into(),
            input,
            instructions: texts.0,
            tools,
            tool_choice,
            parallel_tool_calls,
            format,
            verbosity: texts.1,
            effort: texts.2,
            summary: texts.3,
            max_output_tokens: numbers.0,
            temperature: numbers.1,
            top_p: numbers.2,
            top_logprobs: numbers.3,
            include: if flag { vec!["reasoning.encrypted_content".into()] } else { vec![] },
            stream: flag,
            other: if flag {
                json!({"seed": 1}).as_object().cloned().unwrap_or_default()
            } else {
                Map::new()
            },
        },
    )
}
