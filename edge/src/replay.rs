//! A kept response told as the events of a stream: `GET /v1/responses/{id}?stream=true`.
//!
//! After OpenAI's reference (<https://platform.openai.com/docs/api-reference/responses/get>, `stream` and `starting_after`).
//!
//! Pure. Invariant: whoever puts the events together gets the response, item by item; a text comes in one delta. The same
//! response has the same events with the same numbers every time.

use crate::sse;
use serde_json::{Map, Value, json};

/// Ends a stream.
const DONE: &str = "data: [DONE]\n\n";

/// The events, without those up to number `after`.
#[must_use]
pub fn events(response: &Value, after: Option<u64>) -> String {
    let mut tape = Tape { out: String::new(), next: 0, after };
    let begun = begun(response);
    tape.push("response.created", json!({"response": begun}));
    tape.push("response.in_progress", json!({"response": begun}));
    let output = response.get("output").and_then(Value::as_array);
    for (index, item) in output.into_iter().flatten().enumerate() {
        tape.item(index, item);
    }
    let status = response.get("status").and_then(Value::as_str).unwrap_or("completed");
    tape.push(&format!("response.{status}"), json!({"response": response}));
    tape.out + DONE
}

/// The response before anything was generated.
fn begun(response: &Value) -> Value {
    let mut begun = response.clone();
    if let Some(members) = begun.as_object_mut() {
        members.insert("status".into(), "in_progress".into());
        members.insert("output".into(), json!([]));
        for field in ["usage", "completed_at", "incomplete_details", "error"] {
            members.insert(field.into(), Value::Null);
        }
    }
    begun
}

struct Tape {
    out: String,
    next: u64,
    after: Option<u64>,
}

impl Tape {
    fn push(&mut self, kind: &str, mut data: Value) {
        let number = self.next;
        self.next += 1;
        if self.after.is_some_and(|after| number <= after) {
            return;
        }
        if let Some(members) = data.as_object_mut() {
            members.insert("type".into(), kind.into());
            members.insert("sequence_number".into(), number.into());
        }
        self.out += &sse::event(kind, &data.to_string());
    }

    fn item(&mut self, index: usize, item: &Value) {
        let mut added = item.clone();
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        if let Some(members) = added.as_object_mut() {
            members.insert("status".into(), "in_progress".into());
            empty(kind, members);
        }
        self.push("response.output_item.added", json!({"output_index": index, "item": added}));
        let place = Place { index, id: item.get("id").cloned().unwrap_or_default() };
        match kind {
            "message" => self.parts(&place, item),
            "reasoning" => self.thoughts(&place, item),
            "function_call" => self.arguments(&place, item),
            _ => {}
        }
        self.push("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    fn parts(&mut self, place: &Place, item: &Value) {
        for (number, part) in list(item, "content").enumerate() {
            let at = |more: Value| place.with("content_index", number, more);
            let is_refusal = part.get("type").is_some_and(|kind| kind == "refusal");
            let (field, event) =
                if is_refusal { ("refusal", "response.refusal") } else { ("text", "response.output_text") };
            let text = part.get(field).cloned().unwrap_or_else(|| "".into());
            let mut added = part.clone();
            if let Some(members) = added.as_object_mut() {
                members.insert(field.into(), "".into());
                if !is_refusal {
                    members.insert("annotations".into(), json!([]));
                    members.insert("logprobs".into(), json!([]));
                }
            }
            self.push("response.content_part.added", at(json!({"part": added})));
            let logprobs = part.get("logprobs").cloned().unwrap_or_else(|| json!([]));
            self.push(&format!("{event}.delta"), at(json!({"delta": text, "logprobs": logprobs})));
            for (annotation_index, annotation) in list(part, "annotations").enumerate() {
                let more = json!({"annotation_index": annotation_index, "annotation": annotation});
                self.push("response.output_text.annotation.added", at(more));
            }
            self.push(&format!("{event}.done"), at(json!({field: text, "logprobs": logprobs})));
            self.push("response.content_part.done", at(json!({"part": part})));
        }
    }

    fn thoughts(&mut self, place: &Place, item: &Value) {
        for (number, part) in list(item, "summary").enumerate() {
            let at = |more: Value| place.with("summary_index", number, more);
            let text = part.get("text").cloned().unwrap_or_else(|| "".into());
            let empty = json!({"type": "summary_text", "text": ""});
            self.push("response.reasoning_summary_part.added", at(json!({"part": empty})));
            self.push("response.reasoning_summary_text.delta", at(json!({"delta": text})));
            self.push("response.reasoning_summary_text.done", at(json!({"text": text})));
            self.push("response.reasoning_summary_part.done", at(json!({"part": part})));
        }
        for (number, part) in list(item, "content").enumerate() {
            let at = |more: Value| place.with("content_index", number, more);
            let text = part.get("text").cloned().unwrap_or_else(|| "".into());
            self.push("response.reasoning_text.delta", at(json!({"delta": text})));
            self.push("response.reasoning_text.done", at(json!({"text": text})));
        }
    }

    fn arguments(&mut self, place: &Place, item: &Value) {
        let arguments = item.get("arguments").cloned().unwrap_or_else(|| "".into());
        let name = item.get("name").cloned().unwrap_or_default();
        let at = |more: Value| place.of(more);
        self.push("response.function_call_arguments.delta", at(json!({"delta": arguments})));
        let done = json!({"arguments": arguments, "name": name});
        self.push("response.function_call_arguments.done", at(done));
    }
}

/// What of an item comes only after it was announced.
fn empty(kind: &str, members: &mut Map<String, Value>) {
    for field in ["content", "summary"] {
        if matches!(kind, "message" | "reasoning") && members.get(field).is_some_and(Value::is_array) {
            members.insert(field.into(), json!([]));
        }
    }
    if kind == "function_call" {
        members.insert("arguments".into(), "".into());
    }
}

fn list<'a>(item: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    item.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// Which item an event is about.
struct Place {
    index: usize,
    id: Value,
}

impl Place {
    fn of(&self, mut more: Value) -> Value {
        if let Some(members) = more.as_object_mut() {
            members.insert("output_index".into(), self.index.into());
            members.insert("item_id".into(), self.id.clone());
        }
        more
    }

    fn with(&self, field: &str, number: usize, more: Value) -> Value {
        let mut data = self.of(more);
        if let Some(members) = data.as_object_mut() {
            members.insert(field.into(), number.into());
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Value> {
        let data = text.split("\n\n").filter_map(sse::data);
        data.filter_map(|data| serde_json::from_str(&data).ok()).collect()
    }

    #[test]
    fn the_events_are_those_of_a_stream_with_one_delta_each() {
        let response = json!({"id": "resp_1", "status": "incomplete", "usage": {"total_tokens": 3}, "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "message", "id": "msg_1", "status": "completed", "content": [
                {"type": "output_text", "text": "Rain.", "annotations": []}, {"type": "refusal", "refusal": "No."}]},
            {"type": "function_call", "id": "fc_1", "name": "f", "arguments": "{}"},
        ]});
        let text = events(&response, None);
        assert!(text.ends_with(DONE));
        let events = read(&text);
        let kinds: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        let expected = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
            reasoning_summary_text.done reasoning_summary_part.done output_item.done output_item.added content_part.added \
            output_text.delta output_text.done content_part.done content_part.added refusal.delta refusal.done \
            content_part.done output_item.done output_item.added function_call_arguments.delta \
            function_call_arguments.done output_item.done incomplete";
        let expected: Vec<String> =
            expected.split_whitespace().map(|kind| format!("response.{kind}")).collect();
        assert_eq!(kinds, expected);
        let numbers: Vec<_> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
        assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
        assert_eq!(
            (&events[0]["response"]["output"], &events[0]["response"]["usage"]),
            (&json!([]), &Value::Null)
        );
        assert_eq!((&events[10]["delta"], &events[10]["item_id"]), (&json!("Rain."), &json!("msg_1")));
        assert_eq!(events.last().unwrap()["response"], response);
        assert_eq!(read(&super::events(&response, Some(20))), events[21..]);
    }
}
