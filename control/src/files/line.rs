//! One line of a file of data: `{"item": {…}, "sample": {…}}`, the sample only where it was made before.

use crate::body;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Longest line, bytes: an item and a sample of megabytes fit into a grader's sandbox and into a request to a judge.
pub(crate) const LINE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a line says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// The datum.
    pub(crate) item: Box<RawValue>,
    /// What a model answered to it.
    #[serde(default)]
    pub(crate) sample: Option<Box<RawValue>>,
}

/// Reads a line; an error is for people, and names the field.
pub(crate) fn read(bytes: &[u8]) -> Result<Line, String> {
    match body::inspect(bytes) {
        Err(error) => return Err(format!("cannot be read: {}", brief(&error))),
        Ok(Some(path)) => return Err(format!("has the character NUL in `{path}`")),
        Ok(None) => {}
    }
    let line: Line =
        serde_json::from_slice(bytes).map_err(|error| format!("has the wrong form: {}", brief(&error)))?;
    for (name, value) in [("item", Some(&line.item)), ("sample", line.sample.as_ref())] {
        let object =
            |value: &RawValue| serde_json::from_str::<BTreeMap<String, IgnoredAny>>(value.get()).is_ok();
        if value.is_some_and(|value| !object(value)) {
            return Err(format!("has a `{name}` that is not an object"));
        }
    }
    Ok(line)
}

/// What is wrong, without the place: a line is the place.
fn brief(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_an_item_and_perhaps_a_sample() {
        let line = read(br#"{"item":{"q":1},"sample":{"output_text":"a"}}"#).unwrap();
        assert_eq!((line.item.get(), line.sample.unwrap().get()), (r#"{"q":1}"#, r#"{"output_text":"a"}"#));
        assert!(read(b"{\"item\":{}}\r").unwrap().sample.is_none());
        let refused: [(&[u8], &str); 10] = [
            (b"", "not a JSON object"),
            (b"[]", "not a JSON object"),
            (b"{", "EOF"),
            (b"{}", "missing field `item`"),
            (br#"{"q":1}"#, "unknown field `q`"),
            (br#"{"item":1}"#, "`item` that is not an object"),
            (br#"{"item":{},"sample":[]}"#, "`sample` that is not an object"),
            (br#"{"item":{"a":1,"a":2}}"#, "stands there twice"),
            (b"{\"item\":{\"a\":\"\\u0000\"}}", "NUL in `item.a`"),
            (b"{\"item\":{\"a\":\"\xff\"}}", "invalid"),
        ];
        for (bytes, why) in refused {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(why), "{}: {error}", String::from_utf8_lossy(bytes));
        }
    }
}
