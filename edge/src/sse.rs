//! One server-sent event as its lines: read, and written back with other data.
//!
//! After <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>; the bytes
//! given are one whole event with its blank line, whatever its line ends.

/// The data of an event: its `data:` lines joined by line feeds. `None` if it has none.
#[must_use]
pub fn data(event: &str) -> Option<String> {
    let mut data: Option<String> = None;
    for line in lines(event) {
        if let Some(value) = field(line, "data") {
            match &mut data {
                Some(text) => {
                    text.push('\n');
                    text.push_str(value);
                }
                None => data = Some(value.to_owned()),
            }
        }
    }
    data
}

/// The event with other data: every other line stays, line ends become line feeds.
#[must_use]
pub fn with_data(event: &str, data: &str) -> String {
    let mut out = String::with_capacity(data.len() + 64);
    for line in lines(event).filter(|line| !line.is_empty() && field(line, "data").is_none()) {
        out.push_str(line);
        out.push('\n');
    }
    write_data(&mut out, data);
    out
}

/// A new event of this type. `data` is one line of JSON.
#[must_use]
pub fn event(kind: &str, data: &str) -> String {
    let mut out = format!("event: {kind}\n");
    write_data(&mut out, data);
    out
}

fn write_data(out: &mut String, data: &str) {
    for line in data.split('\n') {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
}

fn lines(event: &str) -> impl Iterator<Item = &str> {
    event.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(name)?;
    if rest.is_empty() {
        return Some("");
    }
    let value = rest.strip_prefix(':')?;
    Some(value.strip_prefix(' ').unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_read_whatever_the_line_ends() {
        for eol in ["\n", "\r", "\r\n"] {
            let text = format!("event: x{eol}: note{eol}data: a{eol}data:b{eol}datax: c{eol}data{eol}{eol}");
            assert_eq!(data(&text).as_deref(), Some("a\nb\n"), "{eol:?}");
        }
        assert_eq!(data(": only a comment\n\n"), None);
    }

    #[test]
    fn other_lines_stay_when_data_is_replaced() {
        let text = "id: 7\r\nevent: x\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n";
        assert_eq!(with_data(text, "{}"), "id: 7\nevent: x\ndata: {}\n\n");
    }
}
