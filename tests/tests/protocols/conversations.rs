//! What callers ask and read: text, tools, images, schemas, refusals, short answers, thoughts; and what it costs them.

use alphagate_bed::provider::png;
use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::read::{Answer, says};
use crate::{MANNERS, Manner, PROTOCOLS, ask, set, stage};

const TEXT: &str = "The café’s last cup —\nsplash! 🌸";

#[tokio::test]
async fn text_is_read_and_billed_as_the_provider_counts_it() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        set(
            &stage,
            json!({"text": TEXT, "usage": {"input_tokens": 5, "output_tokens": 7, "cached_tokens": 2}}),
        )?;
        for manner in MANNERS {
            let answer = ask(&stage, manner, says(manner, "Write a line.")).await?;
            assert_eq!(
                (answer.text.as_str(), answer.finish.as_str()),
                (TEXT, "stop"),
                "{protocol} {manner:?}"
            );
            assert_eq!(answer.usage, (5, 7), "{protocol} {manner:?}");
        }
        for event in stage.usage(MANNERS.len()).await? {
            let tokens = (&event["input_tokens"], &event["output_tokens"], &event["outcome"]);
            assert_eq!(tokens, (&json!(5), &json!(7), &json!("completed")), "{protocol}: {event}");
        }
        for seen in stage.calls().requests() {
            let body = seen.json().unwrap_or_default().to_string();
            assert!(body.contains(crate::HIDDEN) && body.contains("0.25"), "{protocol}: {body}");
            assert_eq!(seen.header("accept-encoding"), Some("identity"), "{protocol}");
            let credential = match protocol {
                "anthropic" => ("x-api-key", "sk-stage"),
                "gemini" => ("x-goog-api-key", "sk-stage"),
                _ => ("authorization", "Bearer sk-stage"),
            };
            assert_eq!(seen.header(credential.0), Some(credential.1), "{protocol}");
        }
    }
    Ok(())
}

fn tool(manner: Manner, name: &str) -> Value {
    let function = json!({"name": name, "description": "Looks it up.", "parameters": {"type": "object",
        "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}});
    if manner.chat {
        return json!({"type": "function", "function": function});
    }
    let mut function = function;
    function["type"] = json!("function");
    function["strict"] = json!(true);
    function
}

/// The conversation so far, with the calls that were answered.
fn answered(manner: Manner, asked: &Value, answer: &Answer) -> Value {
    let mut body = asked.clone();
    let output = |id: &str| format!("sunny for {id}");
    if manner.chat {
        let calls: Vec<Value> = answer.calls.iter().map(|(id, name, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        }).collect();
        let mut messages = vec![
            body["messages"][0].clone(),
            json!({"role": "assistant", "content": null, "tool_calls": calls}),
        ];
        messages.extend(
            answer
                .calls
                .iter()
                .map(|(id, ..)| json!({"role": "tool", "tool_call_id": id, "content": output(id)})),
        );
        body["messages"] = json!(messages);
    } else {
        let mut input = vec![json!({"role": "user", "content": asked["input"]})];
        input.extend(answer.output.clone());
        input.extend(
            answer
                .calls
                .iter()
                .map(|(id, ..)| json!({"type": "function_call_output", "call_id": id, "output": output(id)})),
        );
        body["input"] = json!(input);
    }
    body
}

#[tokio::test]
async fn tools_are_called_in_parallel_and_their_outputs_go_back() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        let calls = json!([{"name": "weather", "arguments": "{\"city\":\"Zürich\"}"}, {"name": "time", "arguments": "{\"city\":\"Bern\"}"}]);
        set(&stage, json!({"tool_calls": calls, "text_after_tools": TEXT}))?;
        for manner in MANNERS {
            let mut asked = says(manner, "How is it?");
            asked["tools"] = json!([tool(manner, "weather"), tool(manner, "time")]);
            let first = ask(&stage, manner, asked.clone()).await?;
            let called: Vec<_> =
                first.calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments.as_str())).collect();
            assert_eq!(
                called,
                [("weather", "{\"city\":\"Zürich\"}"), ("time", "{\"city\":\"Bern\"}")],
                "{protocol} {manner:?}"
            );
            assert_eq!(first.finish, "tool_calls", "{protocol} {manner:?}");
            let second = ask(&stage, manner, answered(manner, &asked, &first)).await?;
            assert_eq!(
                (second.text.as_str(), second.finish.as_str()),
                (TEXT, "stop"),
                "{protocol} {manner:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn images_reach_the_provider_in_its_own_form() -> Result<()> {
    let image = STANDARD.encode(png(2_000));
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        set(&stage, json!({"text": TEXT}))?;
        for manner in MANNERS {
            let url = format!("data:image/png;base64,{image}");
            let body = if manner.chat {
                let content = json!([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]);
                json!({"messages": [{"role": "user", "content": content}]})
            } else {
                let content = json!([{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": url}]);
                json!({"input": [{"role": "user", "content": content}]})
            };
            assert_eq!(ask(&stage, manner, body).await?.text, TEXT, "{protocol} {manner:?}");
            let seen = stage.calls().requests().pop().and_then(|seen| seen.json()).unwrap_or_default();
            assert!(seen.to_string().contains(&image), "{protocol} {manner:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_reaches_the_provider() -> Result<()> {
    let schema = json!({"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": false});
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        set(&stage, json!({"text": "{\"answer\":\"yes\"}"}))?;
        for manner in MANNERS {
            let mut body = says(manner, "Is it?");
            if manner.chat {
                body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": true}});
            } else {
                body["text"] = json!({"format": {"type": "json_schema", "name": "reply", "schema": schema, "strict": true}});
            }
            assert_eq!(
                ask(&stage, manner, body).await?.text,
                "{\"answer\":\"yes\"}",
                "{protocol} {manner:?}"
            );
            let seen = stage.calls().requests().pop().and_then(|seen| seen.json()).unwrap_or_default();
            assert!(
                seen.to_string().contains("additionalProperties") && seen.to_string().contains("answer"),
                "{protocol}: {seen}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn answers_that_are_cut_short_or_withheld_say_so() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for (terminal, finish) in [("incomplete", "length"), ("filtered", "content_filter")] {
            set(&stage, json!({"text": TEXT, "terminal": terminal}))?;
            for manner in MANNERS {
                let answer = ask(&stage, manner, says(manner, "Write.")).await?;
                assert_eq!(answer.finish, finish, "{protocol} {manner:?}: {answer:?}");
            }
        }
        let outcomes = stage.usage(2 * MANNERS.len()).await?;
        assert!(outcomes.iter().all(|event| event["outcome"] == "incomplete"), "{protocol}: {outcomes:?}");
    }
    Ok(())
}

#[tokio::test]
async fn thoughts_come_back_to_their_provider() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        set(&stage, json!({"reasoning": "Let me think of it.", "text": TEXT}))?;
        for stream in [false, true] {
            let manner = Manner { chat: false, stream };
            let mut asked = says(manner, "Think.");
            asked["reasoning"] = json!({"effort": "medium", "summary": "auto"});
            asked["include"] = json!(["reasoning.encrypted_content"]);
            // Some models take no temperature while they think.
            asked["temperature"] = json!(1);
            let first = ask(&stage, manner, asked.clone()).await?;
            assert_eq!(
                (first.reasoning.as_str(), first.text.as_str()),
                ("Let me think of it.", TEXT),
                "{protocol} {stream}"
            );
            let mut again = answered(manner, &asked, &first);
            again["input"]
                .as_array_mut()
                .into_iter()
                .for_each(|input| input.push(json!({"role": "user", "content": "Go on."})));
            let second = ask(&stage, manner, again).await?;
            let sealed = |item: &&Value| item["encrypted_content"].is_string();
            let parts = first.output.iter().filter(sealed).count();
            assert!(parts > 0 || protocol == "responses", "{protocol}: nothing to go on from: {first:?}");
            assert_eq!(second.text, TEXT, "{protocol} {stream}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_one_wherever_the_provider_has_the_word() -> Result<()> {
    for protocol in ["responses", "chat"] {
        let stage = stage(protocol).await?;
        set(&stage, json!({"refusal": "I will not."}))?;
        for manner in MANNERS {
            let answer = ask(&stage, manner, says(manner, "Do it.")).await?;
            assert_eq!(
                (answer.refusal.as_str(), answer.text.as_str()),
                ("I will not.", ""),
                "{protocol} {manner:?}"
            );
        }
    }
    Ok(())
}
