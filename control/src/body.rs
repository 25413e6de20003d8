//! Request bodies: JSON objects, read strictly.
//!
//! What is not JSON is 400; what is JSON but not what the route takes is 422 with the path of the field. Doubled keys,
//! NUL in a text and unknown fields are refused, so that what is stored is what the caller meant. Memory is bounded by
//! [`BODY_MAX_BYTES`] and serde_json's nesting limit of 128.

use crate::{app::App, error::Error, idempotency::Once};
use alphagate_contract::problem::{Code, Problem};
use axum::{
    body::Body as RawBody,
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use http_body_util::BodyExt as _;
use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, collections::HashSet, fmt};

/// Longest body of an admin call: a version with 256 KiB of instructions and 256 KiB of defaults, escaped, fits.
pub(crate) const BODY_MAX_BYTES: usize = 1024 * 1024;
/// Longest body from the edge: 1,000 usage events of about 1 KB, four times over.
pub(crate) const EDGE_BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How much of a body that is too long is read and thrown away, so that the client sees the answer, not a reset.
const DRAIN_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The body of a call, of at most `MAX` bytes, and how to tell a repetition of it.
pub(crate) struct Body<T, const MAX: usize = BODY_MAX_BYTES> {
    /// What it says.
    pub(crate) value: T,
    /// Its `Idempotency-Key`, if there is one.
    pub(crate) once: Once,
}

impl<T: DeserializeOwned, const MAX: usize> FromRequest<App> for Body<T, MAX> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let bytes = read(app, &parts.headers, body, MAX).await?;
        let once = Once::read(&parts, &bytes)?;
        Ok(Self { value: parse(&bytes)?, once })
    }
}

/// Reads a whole body of at most `max_bytes` before the deadline.
pub(crate) async fn read(
    app: &App,
    headers: &HeaderMap,
    body: RawBody,
    max_bytes: usize,
) -> Result<Vec<u8>, Error> {
    let deadline = app.settings().body_deadline;
    let Ok(bytes) = tokio::time::timeout(deadline, collect(body, max_bytes)).await else {
        return Err(Code::BodyTimeout.into());
    };
    match bytes? {
        Some(bytes) => Ok(bytes),
        None => {
            tracing::debug!(declared = ?headers.get("content-length"), "body too large");
            let message = format!("The request body is over {max_bytes} bytes.");
            Err(Problem::new(Code::BodyTooLarge).message(message).into())
        }
    }
}

async fn collect(mut body: RawBody, max_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut kept = Vec::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::from(Code::RequestMalformed))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= max_bytes {
            kept.extend_from_slice(&data);
        } else if seen > DRAIN_MAX_BYTES {
            break;
        } else {
            kept = Vec::new();
        }
    }
    Ok((seen <= max_bytes).then_some(kept))
}

/// Reads a JSON object as `T`.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let nul = inspect(bytes).map_err(|error| {
        Error::from(
            Problem::new(Code::BodyMalformed).message(format!("The request body cannot be read: {error}.")),
        )
    })?;
    if let Some(path) = nul {
        return Err(Error::field(path, "must not contain the character NUL"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let text = error.inner().to_string();
        let message = text.split(" at line ").next().unwrap_or_default();
        Error::field(param(&error.path().to_string(), message), message)
    })
}

/// Checks syntax and keys of the whole text; gives the path of a text with NUL in it.
pub(crate) fn inspect(bytes: &[u8]) -> serde_json::Result<Option<String>> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(serde::de::Error::custom("it is not a JSON object"));
    }
    let mut look = Look { path: String::new(), nul: None };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    look.deserialize(&mut json)?;
    json.end()?;
    Ok(look.nul)
}

/// The path of the field that an error is about; for unknown and missing fields, their own.
pub(crate) fn param(path: &str, message: &str) -> String {
    // A key of a map that is no text is told as `?`.
    let path = path.strip_suffix(".?").unwrap_or(path);
    let parent = if path == "." { "" } else { path };
    let field = ["unknown field `", "missing field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    match field {
        Some(field) if parent.is_empty() => field.to_owned(),
        Some(field) if parent == field || parent.ends_with(&format!(".{field}")) => parent.to_owned(),
        Some(field) => format!("{parent}.{field}"),
        None => parent.to_owned(),
    }
}

/// Walks a JSON text without keeping it.
struct Look {
    path: String,
    nul: Option<String>,
}

impl Look {
    fn text(&mut self, text: &str) {
        if text.contains('\0') && self.nul.is_none() {
            self.nul = Some(self.path.clone());
        }
    }

    /// Looks at one part, under its name in the path.
    fn part<'de, E>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E>
    where
        E: serde::de::Error + 'de,
    {
        let length = self.path.len();
        if !(self.path.is_empty() || name.starts_with('[')) {
            self.path.push('.');
        }
        self.path.push_str(name);
        let result = read(self);
        self.path.truncate(length);
        result
    }
}

impl<'de> DeserializeSeed<'de> for &mut Look {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Look {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut more = true;
        let mut index = 0_usize;
        while more {
            self.part(&format!("[{index}]"), |look| {
                more = items.next_element_seed(look)?.is_some();
                Ok::<_, A::Error>(())
            })?;
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            self.text(&name);
            self.part(&name, |look| fields.next_value_seed(look))?;
            if let Some(twice) = seen.replace(name) {
                return Err(serde::de::Error::custom(format_args!("the key `{twice}` stands there twice")));
            }
        }
        Ok(())
    }
}

/// Reads a field that has to be there, though it may be null.
pub(crate) fn present<'de, D: Deserializer<'de>, T: serde::Deserialize<'de>>(
    json: D,
) -> Result<Option<T>, D::Error> {
    serde::Deserialize::deserialize(json)
}

/// The word that serde writes for a unit variant: what a text column holds.
pub(crate) fn word(value: impl serde::Serialize) -> String {
    match value.serialize(serde_json::value::Serializer) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

/// The unit variant of a word from a text column.
pub(crate) fn from_word<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_value(text.into()).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Vec<Inner>,
        #[serde(default)]
        rest: serde_json::Value,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "read by serde only")]
        text: String,
    }

    fn refusal(body: &str) -> (Code, Option<String>) {
        match parse::<Outer>(body.as_bytes()) {
            Err(Error::Problem(problem)) => (problem.code, problem.param),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_one_json_object_is_malformed() {
        let deep = "[".repeat(100_000);
        let bodies = [
            "",
            " ",
            "null",
            "[]",
            "\"x\"",
            "{",
            "{}{}",
            "{\"inner\":[]}x",
            "{'inner':[]}",
            "\u{feff}{}",
            "{\"inner\":[],\"rest\":1e999}",
            "{\"inner\":[],\"inner\":[]}",
            "{\"inner\":[],\"rest\":{\"a\":1,\"a\":2}}",
            &format!("{{\"rest\":{deep}"),
        ];
        for body in bodies {
            assert_eq!(refusal(body), (Code::BodyMalformed, None), "{}", &body[..body.len().min(40)]);
        }
        assert!(parse::<Outer>(b"{\"inner\":[],\"rest\":\"\xff\"}").is_err());
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_path() {
        let cases = [
            ("{}", "inner"),
            ("{\"inner\":1}", "inner"),
            ("{\"inner\":[],\"org_id\":1}", "org_id"),
            ("{\"inner\":[{\"text\":\"\"},{}]}", "inner[1].text"),
            ("{\"inner\":[{\"text\":1}]}", "inner[0].text"),
            ("{\"inner\":[{\"text\":\"\",\"x\":1}]}", "inner[0].x"),
            ("{\"inner\":[{\"text\":\"a\\u0000\"}]}", "inner[0].text"),
            ("{\"inner\":[],\"rest\":{\"a\":[0,\"\\u0000\"]}}", "rest.a[1]"),
        ];
        for (body, param) in cases {
            assert_eq!(refusal(body), (Code::Unprocessable, Some(param.to_owned())), "{body}");
        }
    }

    #[test]
    fn good_bodies_are_read() {
        let body = "{\"inner\":[{\"text\":\"\u{1F600}\"}],\"rest\":{\"a\":[1,-2,0.5,true,null]}}";
        let outer: Outer = parse(body.as_bytes()).unwrap();
        assert_eq!((outer.inner.len(), outer.rest.is_object()), (1, true));
    }
}
