//! A client that believes nothing: it builds the response from the events alone and compares at every step.
//!
//! Invariant: it knows the events' grammar, and nothing of how they were made.

use super::specification;
use crate::event::Event;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Reads a whole stream, panics where it is not as it must be, and gives the last response.
pub(crate) fn read(events: &[Event]) -> Value {
    let mut client = Client::default();
    for (number, event) in events.iter().enumerate() {
        specification::check(event);
        assert_eq!(event.data["type"], event.kind);
        assert_eq!(event.data["sequence_number"], number);
        client.event(number, event);
    }
    client.last.expect("a stream ends with a terminal event")
}

#[derive(Default)]
struct Client {
    items: Vec<Item>,
    ids: BTreeSet<String>,
    error: Option<Value>,
    last: Option<Value>,
}

/// An item as its events have made it.
struct Item {
    value: Value,
    open: bool,
    part: Option<Part>,
    arguments_done: bool,
}

/// A part that is open: in which member of the item, and what its deltas made.
struct Part {
    member: &'static str,
    value: Value,
    text_done: bool,
}

fn text_member(part: &Value) -> &'static str {
    if part["type"] == "refusal" { "refusal" } else { "text" }
}

fn append(to: &mut Value, delta: &Value) {
    let text = format!("{}{}", to.as_str().expect("a text"), delta.as_str().expect("a delta"));
    assert_ne!(delta, "", "a delta says something");
    *to = json!(text);
}

impl Client {
    fn event(&mut self, number: usize, event: &Event) {
        assert!(self.last.is_none(), "{} after the terminal event", event.kind);
        assert!(self.error.is_none() || event.kind == "response.failed", "{} after the error", event.kind);
        let data = &event.data;
        match (number, event.kind) {
            (0, "response.created") | (1, "response.in_progress") => {
                assert_eq!(data["response"]["status"], "in_progress");
                assert_eq!(data["response"]["output"], json!([]));
            }
            (0 | 1, kind) | (_, kind @ ("response.created" | "response.in_progress")) => {
                panic!("{kind} at {number}")
            }
            (_, "error") => {
                assert_eq!(
                    (&data["code"], &data["message"]),
                    (&data["error"]["code"], &data["error"]["message"])
                );
                self.error = Some(data["error"].clone());
            }
            (_, "response.output_item.added") => self.item_added(data),
            (_, "response.output_item.done") => self.item_done(data),
            _ if event.is_terminal() => self.ends(event),
            (_, kind) => self.in_item(kind, data),
        }
    }

    fn item_added(&mut self, data: &Value) {
        assert_eq!(data["output_index"], self.items.len());
        let value = data["item"].clone();
        assert!(self.ids.insert(value["id"].as_str().expect("an id").to_owned()), "{} twice", value["id"]);
        let is_call = value["type"] == "function_call";
        let others = self.items.iter().filter(|item| item.open && item.value["type"] != "function_call");
        assert!(is_call || others.count() == 0, "two items for text are open");
        self.items.push(Item { value, open: true, part: None, arguments_done: false });
    }

    fn item_done(&mut self, data: &Value) {
        let item = self.item(data);
        assert!(item.part.is_none(), "a part is open");
        assert_eq!(item.arguments_done, item.value["type"] == "function_call");
        item.open = false;
        let mut done = data["item"].clone();
        if item.value["type"] == "reasoning" {
            // What the provider needs is told only when the item ends.
            item.value["encrypted_content"] = done["encrypted_content"].clone();
            done["encrypted_content"] = item.value["encrypted_content"].clone();
        } else {
            assert!(["completed", "incomplete"].contains(&done["status"].as_str().expect("a status")));
            item.value["status"] = done["status"].clone();
        }
        assert_eq!(item.value, done);
        item.value = data["item"].clone();
    }

    fn item(&mut self, data: &Value) -> &mut Item {
        let index = data["output_index"].as_u64().and_then(|index| usize::try_from(index).ok());
        let item = self.items.get_mut(index.expect("an index")).expect("an item that was added");
        assert!(item.open, "{data} after the item's end");
        let id = data.get("item_id").unwrap_or(&data["item"]["id"]);
        assert_eq!(*id, item.value["id"]);
        item
    }

    fn in_item(&mut self, kind: &str, data: &Value) {
        let item = self.item(data);
        let (member, index) = if kind.contains("summary") {
            ("summary", "summary_index")
        } else {
            ("content", "content_index")
        };
        if !kind.starts_with("response.function_call_arguments.") {
            assert_eq!(data[index], item.value[member].as_array().map_or(0, Vec::len), "{data}");
        }
        match kind {
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                assert!(item.part.is_none(), "two parts are open");
                assert_eq!(data["part"][text_member(&data["part"])], "");
                item.part = Some(Part { member, value: data["part"].clone(), text_done: false });
            }
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                let part = item.part.take().expect("a part that is open");
                assert!(part.text_done && part.member == member);
                assert_eq!(part.value, data["part"]);
                match item.value[member].as_array_mut() {
                    Some(parts) => parts.push(part.value),
                    None => item.value[member] = json!([part.value]),
                }
            }
            "response.function_call_arguments.delta" => append(&mut item.value["arguments"], &data["delta"]),
            "response.function_call_arguments.done" => {
                assert!(!std::mem::replace(&mut item.arguments_done, true), "the arguments end twice");
                assert_eq!(
                    (&item.value["arguments"], &item.value["name"]),
                    (&data["arguments"], &data["name"])
                );
            }
            _ => {
                let part = item.part.as_mut().expect("a part that is open");
                assert!(part.member == member && !part.text_done);
                in_part(part, kind, data);
            }
        }
    }

    fn ends(&mut self, event: &Event) {
        let response = &event.data["response"];
        assert!(self.items.iter().all(|item| !item.open), "items are open at the end");
        let output: Value = self.items.iter().map(|item| item.value.clone()).collect();
        assert_eq!(response["output"], output);
        assert_eq!(event.kind, format!("response.{}", response["status"].as_str().expect("a status")));
        assert_eq!(response["completed_at"].is_null(), event.kind != "response.completed");
        assert_eq!(response["incomplete_details"].is_null(), event.kind != "response.incomplete");
        assert_eq!(response["error"].is_null(), event.kind != "response.failed");
        let error = self.error.clone().unwrap_or_default();
        assert_eq!(
            (&response["error"]["code"], &response["error"]["message"]),
            (&error["code"], &error["message"])
        );
        self.last = Some(response.clone());
    }
}

fn in_part(part: &mut Part, kind: &str, data: &Value) {
    let expected = match part.value["type"].as_str() {
        Some("output_text") => "response.output_text.",
        Some("refusal") => "response.refusal.",
        Some("summary_text") => "response.reasoning_summary_text.",
        Some("reasoning_text") => "response.reasoning_text.",
        other => panic!("a part of type {other:?}"),
    };
    let text = text_member(&part.value);
    match kind.strip_prefix(expected) {
        Some("delta") => {
            if !data["logprobs"].as_array().is_some_and(|told| !told.is_empty() && data["delta"] == "") {
                append(&mut part.value[text], &data["delta"]);
            }
            if let (Some(told), Some(kept)) =
                (data["logprobs"].as_array(), part.value.get_mut("logprobs").and_then(Value::as_array_mut))
            {
                kept.extend(told.iter().cloned());
            }
        }
        Some("annotation.added") => {
            let annotations = part.value["annotations"].as_array_mut().expect("annotations");
            assert_eq!(data["annotation_index"], annotations.len());
            annotations.push(data["annotation"].clone());
        }
        Some("done") => {
            part.text_done = true;
            assert_eq!((&data[text], data.get("logprobs")), (&part.value[text], part.value.get("logprobs")));
        }
        _ => panic!("{kind} in a part of type {}", part.value["type"]),
    }
}
