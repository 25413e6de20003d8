//! The messages of a connection: what the caller sends, and how a failure is told.
//!
//! Pure but for the clock of the visit. After the Open Responses specification of 2026-04-24, "WebSocket transport"
//! (<https://www.openresponses.org/specification>).
//!
//! Invariant: what is not understood is refused by name, never passed over.

use crate::{json_splice::Members, request, visit::Visit};
use alphagate_contract::problem::{Code, Problem};
use serde_json::json;

/// The one type of message.
const CREATE: &str = "response.create";
/// Members that are the connection's, and no part of what is asked.
const OWN: [&str; 5] = ["type", "event_id", "stream", "stream_id", "generate"];

/// A caller's message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// What is asked, as the body of a request for a stream.
    pub body: String,
    /// Whether anything is to be generated; if not, the conversation is only made ready.
    pub generate: bool,
    /// What is to be continued.
    pub previous: Option<String>,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// 400 for what is no JSON object, of another type, or asks for what a connection has not.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let members = request::members(bytes).map_err(|problem| match problem.code {
            Code::BodyMalformed => problem.message("The message is not a valid JSON object."),
            _ => problem,
        })?;
        let text =
            |field: &str| members.get(field).and_then(|text| serde_json::from_str::<String>(text).ok());
        if text("type").as_deref() != Some(CREATE) {
            let message = "Send messages of the type `response.create`: there are no others here.";
            return Err(Problem::new(Code::ParameterInvalid).message(message).param("type"));
        }
        check(&members)?;
        let generate = match given(&members, "generate") {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => {
                let message = "`generate` must be true or false.";
                return Err(Problem::new(Code::ParameterInvalid).message(message).param("generate"));
            }
        };
        let mut body = members.without(&OWN);
        let is_empty = body.len() <= 2;
        body.insert_str(1, if is_empty { "\"stream\":true" } else { "\"stream\":true," });
        Ok(Self { body, generate, previous: text("previous_response_id") })
    }
}

fn given<'a>(members: &Members<'a>, field: &str) -> Option<&'a str> {
    members.get(field).filter(|text| *text != "null")
}

/// What makes sense over HTTP only, or on connections that make several responses at once.
fn check(members: &Members<'_>) -> Result<(), Problem> {
    let refuse = |field: &str, message: &str| {
        Err(Problem::new(Code::ParameterUnsupported).message(message).param(field))
    };
    if given(members, "stream").is_some_and(|stream| stream != "true") {
        return refuse("stream", "On a connection every response comes as events: leave `stream` out.");
    }
    if given(members, "background").is_some_and(|background| background != "false") {
        return refuse(
            "background",
            "On a connection no response goes on without the caller: leave `background` out.",
        );
    }
    if given(members, "stream_id").is_some() {
        return refuse("stream_id", "A connection makes one response at a time: leave `stream_id` out.");
    }
    Ok(())
}

/// A failure as a frame: the specification's form, with the flat members that SDKs look for in streams, and the headers that
/// an answer over HTTP would have.
#[must_use]
pub fn frame(problem: &Problem, visit: &Visit) -> String {
    framed(problem, &visit.id.to_string())
}

fn framed(problem: &Problem, request_id: &str) -> String {
    let error = problem.error_object();
    let mut headers = json!({
        "x-request-id": request_id,
        "x-should-retry": problem.code.retryable().to_string(),
    });
    if let (Some(seconds), Some(headers)) = (problem.retry_after_s(), headers.as_object_mut()) {
        headers.insert("retry-after".into(), seconds.to_string().into());
    }
    json!({
        "type": "error", "status": problem.code.status(), "sequence_number": 0, "code": error.code,
        "message": error.message, "param": error.param, "error": error, "headers": headers,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_message_is_the_body_of_a_request_for_a_stream() {
        let cases = [
            (r#"{"type":"response.create"}"#, r#"{"stream":true}"#, true),
            (
                r#"{"type":"response.create","model":"m","input": [ 1.50 ],"event_id":"e","stream":true}"#,
                r#"{"stream":true,"model":"m","input":[ 1.50 ]}"#,
                true,
            ),
            (
                r#"{"model":"m","generate":false,"type":"response.create","stream_id":null}"#,
                r#"{"stream":true,"model":"m"}"#,
                false,
            ),
        ];
        for (text, body, generate) in cases {
            let message = Message::read(text.as_bytes()).unwrap();
            assert_eq!((message.body.as_str(), message.generate), (body, generate));
        }
        let text = br#"{"type":"response.create","previous_response_id":"resp_1"}"#;
        assert_eq!(Message::read(text).unwrap().previous.as_deref(), Some("resp_1"));
    }

    #[test]
    fn what_a_connection_has_not_is_refused_by_name() {
        let cases = [
            ("nothing", Code::BodyMalformed, None),
            ("[1]", Code::ParameterInvalid, None),
            ("{}", Code::ParameterInvalid, Some("type")),
            (r#"{"type":"response.cancel"}"#, Code::ParameterInvalid, Some("type")),
            (r#"{"type":"response.create","generate":1}"#, Code::ParameterInvalid, Some("generate")),
            (r#"{"type":"response.create","stream":false}"#, Code::ParameterUnsupported, Some("stream")),
            (
                r#"{"type":"response.create","background":true}"#,
                Code::ParameterUnsupported,
                Some("background"),
            ),
            (r#"{"type":"response.create","stream_id":"a"}"#, Code::ParameterUnsupported, Some("stream_id")),
            (r#"{"type":"response.create","input":1,"input":2}"#, Code::ParameterInvalid, Some("input")),
        ];
        for (text, code, param) in cases {
            let problem = Message::read(text.as_bytes()).unwrap_err();
            assert_eq!((problem.code, problem.param.as_deref()), (code, param), "{text}");
        }
    }

    #[test]
    fn a_failure_is_told_in_the_specifications_form() {
        let problem = Problem::new(Code::QuotaExceeded).retry_after_ms(1_500);
        let frame: Value = serde_json::from_str(&framed(&problem, "req_1")).unwrap();
        assert_eq!((&frame["type"], &frame["status"]), (&json!("error"), &json!(429)));
        assert_eq!(
            (&frame["error"]["code"], &frame["code"]),
            (&json!("quota_exceeded"), &json!("quota_exceeded"))
        );
        assert_eq!((&frame["headers"]["retry-after"], &frame["param"]), (&json!("2"), &Value::Null));
    }
}
