//! Event streams, read as the specification says, so that what a proxy did to the bytes does not matter.

use serde_json::Value;

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; `message` if there is none.
    pub name: String,
    /// The `data` field.
    pub data: String,
}

impl Event {
    /// The data as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_default()
    }
}

/// All events of a stream that has ended. As browsers do, an event without its blank line is not dispatched.
pub fn read_events(bytes: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    text.split_inclusive("\n\n").filter(|block| block.ends_with("\n\n")).filter_map(read_event).collect()
}

fn read_event(block: &str) -> Option<Event> {
    let mut name = "message".to_owned();
    let mut data: Option<String> = None;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => {
                data = Some(data.map_or_else(|| value.to_owned(), |before| format!("{before}\n{value}")));
            }
            _ => {}
        }
    }
    data.map(|data| Event { name, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whatever_the_line_ends() {
        for eol in ["\n", "\r", "\r\n"] {
            let text = format!(
                ": hi{eol}{eol}event: a{eol}data: 1{eol}data: 2{eol}{eol}data: x{eol}{eol}data: lost{eol}"
            );
            let events = read_events(text.as_bytes());
            let expected = [("a", "1\n2"), ("message", "x")]
                .map(|(name, data)| Event { name: name.into(), data: data.into() });
            assert_eq!(events, expected);
        }
    }
}
