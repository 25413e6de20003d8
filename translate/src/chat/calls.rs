//! Calls, put together from their pieces.
//!
//! Providers give a call's id with its first piece, with a later one or never; its index with each piece, never, or the
//! same one for different calls; its arguments interleaved with other calls'.
//!
//! Invariant: calls are said in the order in which they began, each with its id if one ever came. So a call's arguments
//! wait until its id is known, or the answer ends.

use crate::{call::Malformed, fact::Fact, lifecycle::ANSWER_MAX_BYTES};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a call costs besides its text.
const CALL_BYTES: usize = 64;

/// The calls of one answer.
#[derive(Debug, Default)]
pub struct Calls {
    calls: Vec<Call>,
    by_index: BTreeMap<u64, usize>,
    by_id: BTreeMap<String, usize>,
    /// How many have been said; the first ones.
    said: usize,
    /// Bytes taken since all calls had been said. What has been said, the lifecycle counts.
    waiting: usize,
}

#[derive(Debug, Default)]
struct Call {
    id: Option<String>,
    name: Option<String>,
    /// Arguments that have not been said.
    arguments: String,
}

impl Calls {
    /// Whether the model has called nothing.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Reads one entry of `tool_calls`.
    pub fn tool_call(&mut self, piece: &Value, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        if piece
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| !kind.is_empty() && kind != "function")
        {
            return Err(Malformed("a call of a tool that is no function".into()));
        }
        let id = text(piece, "id");
        let function = piece.get("function").unwrap_or(&Value::Null);
        let at = self.find(piece.get("index").and_then(Value::as_u64), id, text(function, "name").is_some());
        self.add(at, id, function, facts)
    }

    /// Reads `function_call`, the older form: one call without an id.
    pub fn function_call(&mut self, function: &Value, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        let at = self.find(Some(0), None, false);
        self.add(at, None, function, facts)
    }

    /// The answer has ended: says what has waited for an id.
    pub fn end(&mut self, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        while self.said < self.calls.len() {
            self.say_next(facts)?;
        }
        Ok(())
    }

    /// Which call a piece belongs to.
    fn find(&mut self, index: Option<u64>, id: Option<&str>, is_named: bool) -> usize {
        let known = match (index, id) {
            (Some(index), _) => self.by_index.get(&index).copied().filter(|at| {
                let other = self.calls.get(*at).and_then(|call| call.id.as_deref());
                let is_another = other.is_some() && id.is_some() && other != id;
                !(is_named && is_another)
            }),
            (None, Some(id)) => self.by_id.get(id).copied(),
            (None, None) => self.calls.len().checked_sub(1).filter(|at| {
                let is_last_named = self.calls.get(*at).is_some_and(|call| call.name.is_some());
                !(is_named && is_last_named)
            }),
        };
        let at = known.unwrap_or_else(|| {
            self.calls.push(Call::default());
            self.waiting += CALL_BYTES;
            self.calls.len() - 1
        });
        if let Some(index) = index {
            self.by_index.insert(index, at);
        }
        at
    }

    fn add(
        &mut self,
        at: usize,
        id: Option<&str>,
        function: &Value,
        facts: &mut Vec<Fact>,
    ) -> Result<(), Malformed> {
        let Some(call) = self.calls.get_mut(at) else { return Ok(()) };
        if let (None, Some(id)) = (&call.id, id) {
            call.id = Some(id.to_owned());
            self.by_id.insert(id.to_owned(), at);
        }
        if call.name.is_none() {
            call.name = text(function, "name").map(str::to_owned);
        }
        let before = call.arguments.len();
        match function.get("arguments") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => call.arguments.push_str(text),
            // Some servers give the object itself.
            Some(value) => call.arguments.push_str(&value.to_string()),
        }
        self.waiting += call.arguments.len() - before;
        if at < self.said {
            say_arguments(at, call, facts);
        }
        while self.calls.get(self.said).is_some_and(|call| call.id.is_some() && call.name.is_some()) {
            self.say_next(facts)?;
        }
        if self.said == self.calls.len() {
            self.waiting = 0;
        }
        if self.waiting > ANSWER_MAX_BYTES {
            return Err(Malformed("calls without ids are too large".into()));
        }
        Ok(())
    }

    fn say_next(&mut self, facts: &mut Vec<Fact>) -> Result<(), Malformed> {
        let at = self.said;
        let Some(call) = self.calls.get_mut(at) else { return Ok(()) };
        let Some(name) = call.name.clone() else {
            return Err(Malformed("a call without a function's name".into()));
        };
        facts.push(Fact::Call { slot: slot(at), call_id: call.id.clone(), name });
        say_arguments(at, call, facts);
        self.said += 1;
        Ok(())
    }
}

fn say_arguments(at: usize, call: &mut Call, facts: &mut Vec<Fact>) {
    if !call.arguments.is_empty() {
        facts.push(Fact::Arguments { slot: slot(at), delta: std::mem::take(&mut call.arguments) });
    }
}

fn slot(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

/// A member that is a text with something in it: some servers say that there is none by an empty one.
fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}
