//! The items of a conversation, as JSON text: put together, looked through, never changed.
//!
//! Pure. Invariant: an item is sent again byte for byte, in its place, or not at all.

use alphagate_contract::problem::{Code, Problem};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::{borrow::Cow, collections::HashSet};

/// What is read of an item here.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    encrypted_content: Option<&'a RawValue>,
}

impl<'a> Item<'a> {
    fn read(item: &'a RawValue) -> Option<Self> {
        serde_json::from_str(item.get()).ok()
    }

    fn is(&self, kind: &str) -> bool {
        self.r#type.as_deref() == Some(kind)
    }
}

/// The input as items; a text is a message of the user.
///
/// # Errors
/// 400 when it is neither.
pub fn items(input: Option<&str>) -> Result<Vec<Box<RawValue>>, Problem> {
    let invalid = || {
        Problem::new(Code::ParameterInvalid)
            .message("`input` must be a string or an array of items.")
            .param("input")
    };
    let Some(text) = input else { return Ok(Vec::new()) };
    if !text.starts_with('"') {
        return serde_json::from_str(text).map_err(|_| invalid());
    }
    let text: String = serde_json::from_str(text).map_err(|_| invalid())?;
    let content = json!([{"type": "input_text", "text": text}]);
    let item = json!({"type": "message", "role": "user", "content": content});
    serde_json::value::to_raw_value(&item).map(|item| vec![item]).map_err(|_| invalid())
}

/// The items, with commas between.
#[must_use]
pub fn joined<'a>(items: impl IntoIterator<Item = &'a Box<RawValue>>) -> String {
    let mut all = String::new();
    for item in items {
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(item.get());
    }
    all
}

/// Reasoning is of use to a provider that has kept nothing only if it comes with its encrypted content.
#[must_use]
pub fn can_be_sent_again(item: &RawValue) -> bool {
    let Some(item) = Item::read(item) else { return true };
    !item.is("reasoning") || item.encrypted_content.is_some_and(|content| content.get().starts_with('"'))
}

/// The id of a kept item that stands for the item itself; `type` may be left out, as the specification has it.
#[must_use]
pub fn reference(item: &RawValue) -> Option<String> {
    let item = Item::read(item)?;
    let is_reference = item.is("item_reference") || item.r#type.is_none() && item.role.is_none();
    item.id.filter(|_| is_reference).map(Cow::into_owned)
}

/// The item's own id.
#[must_use]
pub fn id(item: &RawValue) -> Option<String> {
    Item::read(item)?.id.map(Cow::into_owned)
}

/// Checks that every output of a function belongs to a call: where the whole conversation is known, no provider could do
/// anything with one that does not.
///
/// # Errors
/// 400 with the call's id, in OpenAI's words.
pub fn check_outputs(before: &[Box<RawValue>], input: &[Box<RawValue>]) -> Result<(), Problem> {
    let read: Vec<Item<'_>> = input.iter().filter_map(|item| Item::read(item)).collect();
    let is_output = |item: &&Item<'_>| item.is("function_call_output") || item.is("custom_tool_call_output");
    let mut open: HashSet<&str> =
        read.iter().filter(is_output).filter_map(|item| item.call_id.as_deref()).collect();
    if open.is_empty() {
        return Ok(());
    }
    for item in before.iter().chain(input).filter_map(|item| Item::read(item)) {
        if item.is("function_call") || item.is("custom_tool_call") {
            open.remove(item.call_id.as_deref().unwrap_or_default());
        }
    }
    match open.into_iter().min() {
        None => Ok(()),
        Some(call) => Err(Problem::new(Code::ParameterInvalid)
            .message(format!("No tool call found for function call output with call_id {call}."))
            .param("input")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_text_is_a_message_and_items_stay_as_they_came() {
        let shown = |input| -> Vec<String> {
            items(input).unwrap().iter().map(|item| item.get().to_owned()).collect()
        };
        assert!(shown(None).is_empty());
        assert_eq!(shown(Some(r#"[{"a": 1.50}]"#)), [r#"{"a": 1.50}"#]);
        let message: Value = serde_json::from_str(&shown(Some(r#""h\u00e4""#))[0]).unwrap();
        assert_eq!((&message["role"], &message["content"][0]["text"]), (&json!("user"), &json!("hä")));
        assert_eq!(items(Some("7")).unwrap_err().param.as_deref(), Some("input"));
        assert_eq!(joined(&items(Some(r#"[{"a": 1}, 2]"#)).unwrap()), r#"{"a": 1},2"#);
    }

    #[test]
    fn reasoning_is_sent_again_only_with_its_encrypted_content() {
        let cases = [
            (r#"{"type":"message"}"#, true),
            (r#"{"type":"reasoning","id":"rs_1"}"#, false),
            (r#"{"type":"reasoning","encrypted_content":null}"#, false),
            (r#"{"type":"reasoning","encrypted_content":"x"}"#, true),
            ("7", true),
        ];
        for (item, sent) in cases {
            assert_eq!(can_be_sent_again(&raw(item)), sent, "{item}");
        }
    }

    #[test]
    fn references_are_told_from_items() {
        let cases = [
            (r#"{"type":"item_reference","id":"msg_1"}"#, Some("msg_1")),
            (r#"{"id":"msg_1"}"#, Some("msg_1")),
            (r#"{"id":"msg_1","role":"user","content":"x"}"#, None),
            (r#"{"type":"message","id":"msg_1"}"#, None),
            (r#"{"type":"item_reference"}"#, None),
        ];
        for (item, id) in cases {
            assert_eq!(reference(&raw(item)).as_deref(), id, "{item}");
        }
    }

    #[test]
    fn an_output_needs_its_call_before_it_or_beside_it() {
        let call = raw(r#"{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}"#);
        let output = raw(r#"{"type":"function_call_output","call_id":"a","output":"1"}"#);
        let other = raw(r#"{"type":"function_call_output","call_id":"b","output":"1"}"#);
        assert!(check_outputs(std::slice::from_ref(&call), std::slice::from_ref(&output)).is_ok());
        assert!(check_outputs(&[], &[call.clone(), output.clone()]).is_ok());
        assert!(check_outputs(&[], &[]).is_ok());
        let refusal = check_outputs(&[call], &[output, other]).unwrap_err();
        assert!(refusal.message.ends_with("call_id b."), "{}", refusal.message);
    }
}
