//! Server-sent events: read from bytes in whatever pieces they come, and written.
//!
//! After <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>: lines end with LF, CR
//! or CRLF; a byte order mark at the very beginning is skipped; comments, `id`, `retry` and unknown fields are passed over; an
//! event without a `data` line is none. Two things differ on purpose: an event that the stream's end cuts off is given by
//! [`Parser::finish`], since providers are seen to end without the last blank line; and bytes that are not UTF-8 are an error,
//! where a browser would put replacement characters into the answer.
//!
//! Invariant: the events depend on the bytes alone, never on how they were cut into pieces; an event's size is bounded, and
//! so is the work per byte.

use crate::call::Malformed;

/// Most bytes of one event: an image of some megabytes in base64 fits, and the Worker's 128 MB hold several streams of them.
pub const EVENT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// The name of an event that gives none.
pub const DEFAULT_NAME: &str = "message";

const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its `event` field; [`DEFAULT_NAME`] if it has none.
    pub name: String,
    /// Its `data` lines, joined by line feeds.
    pub data: String,
}

impl Event {
    /// As text for the wire, with the blank line that ends it. A name of [`DEFAULT_NAME`] is left out. Line ends in the data
    /// begin a new `data` line; in a name they cannot be said, and become spaces.
    #[must_use]
    pub fn write(&self) -> String {
        let name = if self.name == DEFAULT_NAME { "" } else { self.name.as_str() };
        write(name, &self.data)
    }
}

/// An event as text for the wire; without a name if it is empty.
#[must_use]
pub fn write(name: &str, data: &str) -> String {
    let mut out = String::with_capacity(name.len() + data.len() + 24);
    if !name.is_empty() {
        out.push_str("event: ");
        out.extend(name.chars().map(|char| if matches!(char, '\r' | '\n') { ' ' } else { char }));
        out.push('\n');
    }
    let data = if data.contains('\r') { &data.replace("\r\n", "\n") } else { data };
    for line in data.split(['\r', '\n']) {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
    out
}

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub struct Parser {
    /// The bytes of the line that has not ended.
    line: Vec<u8>,
    /// What the fields read so far say.
    name: Option<String>,
    data: Option<String>,
    /// Bytes of the event so far, fields that are passed over included.
    size: usize,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The first line, which may begin with a byte order mark, has ended.
    begun: bool,
}

impl Parser {
    /// Reads on, and appends the events that are whole.
    ///
    /// # Errors
    ///
    /// An event is larger than [`EVENT_MAX_BYTES`], or a line is not UTF-8. What follows cannot be trusted.
    pub fn feed(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.after_cr && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            self.after_cr = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = bytes.split_at(end);
            self.keep(line)?;
            events.extend(self.end_line()?);
            bytes = match rest {
                [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
                [] => rest,
            };
            self.after_cr = rest == b"\r";
        }
        self.keep(bytes)
    }

    /// The stream has ended: the event that it cut off, if it has data.
    ///
    /// # Errors
    ///
    /// As [`Parser::feed`].
    pub fn finish(mut self) -> Result<Option<Event>, Malformed> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        Ok(self.end_event())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.size = self.size.saturating_add(bytes.len());
        if self.size > EVENT_MAX_BYTES {
            return Err(Malformed(format!("an event of more than {EVENT_MAX_BYTES} bytes")));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Event>, Malformed> {
        let mut line = std::mem::take(&mut self.line);
        let first = !std::mem::replace(&mut self.begun, true);
        let bytes = if first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line) } else { &line };
        if bytes.is_empty() {
            return Ok(self.end_event());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("an event that is not UTF-8".into()))?;
        self.field(text);
        line.clear();
        self.line = line;
        Ok(None)
    }

    fn field(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
    }

    fn end_event(&mut self) -> Option<Event> {
        self.size = 0;
        let name = self.name.take().filter(|name| !name.is_empty());
        let data = self.data.take()?;
        Some(Event { name: name.unwrap_or_else(|| DEFAULT_NAME.to_owned()), data })
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
