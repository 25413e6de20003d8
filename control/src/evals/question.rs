//! What the endpoint under test is asked about an item: the run's messages with the item filled in.

use super::source::{Ask, InputMessages};
use crate::graders::{Content, Message, Part, Piece, Role, Template};
use serde_json::{Value, json};

/// Most messages that an item may bring: a long conversation.
const TRAJECTORY_MAX: usize = 1_000;

/// The messages for an item; an error is the data's, in words for people.
pub(super) fn input(ask: &Ask, item: &Value) -> Result<Vec<Value>, String> {
    match &ask.messages {
        InputMessages::Template { template } => {
            let fill = |text: &str| {
                let template = Template::parse(text).map_err(|error| error.to_string())?;
                template.render(item, &Value::Null).map_err(|error| error.to_string())
            };
            template.iter().map(|message| written(message, &fill)).collect()
        }
        InputMessages::ItemReference { item_reference } => trajectory(item_reference, item),
    }
}

/// Messages that stand in the item: they are data, and nothing in them is a template.
fn trajectory(reference: &str, item: &Value) -> Result<Vec<Value>, String> {
    let template = Template::parse(&format!("{{{{{reference}}}}}")).map_err(|error| error.to_string())?;
    let place = template.references().next().ok_or("the reference is empty")?;
    let found = place.find(item, &Value::Null).map_err(|error| error.to_string())?;
    let Value::Array(messages) = found else {
        return Err(format!("`{reference}` is not an array of messages"));
    };
    if !(1..=TRAJECTORY_MAX).contains(&messages.len()) {
        return Err(format!("`{reference}` has 1 to {TRAJECTORY_MAX} messages"));
    }
    let as_it_is = |text: &str| Ok(text.to_owned());
    let one = |(at, message): (usize, &Value)| {
        let message: Message = serde_json::from_value(message.clone())
            .map_err(|error| format!("`{reference}[{at}]`: {error}"))?;
        written(&message, &as_it_is)
    };
    messages.iter().enumerate().map(one).collect()
}

type Fill<'a> = dyn Fn(&str) -> Result<String, String> + 'a;

fn written(message: &Message, fill: &Fill<'_>) -> Result<Value, String> {
    let content = match &message.content {
        Content::Text(text) => Value::String(fill(text)?),
        Content::Part(part) => Value::Array(vec![written_part(message.role, part, fill)?]),
        Content::Pieces(pieces) => {
            let piece = |piece: &Piece| match piece {
                Piece::Text(text) => written_text(message.role, text, fill),
                Piece::Part(part) => written_part(message.role, part, fill),
            };
            pieces.iter().map(piece).collect::<Result<_, _>>().map(Value::Array)?
        }
    };
    Ok(json!({"role": message.role, "content": content}))
}

/// The Responses API wants the text of an assistant as output, and all other text as input.
fn written_text(role: Role, text: &str, fill: &Fill<'_>) -> Result<Value, String> {
    let kind = if role == Role::Assistant { "output_text" } else { "input_text" };
    Ok(json!({"type": kind, "text": fill(text)?}))
}

fn written_part(role: Role, part: &Part, fill: &Fill<'_>) -> Result<Value, String> {
    match part {
        Part::InputText { text } | Part::OutputText { text } => written_text(role, text, fill),
        Part::InputImage { image_url, detail } => {
            let detail = detail.map_or_else(|| json!("auto"), |detail| json!(detail));
            Ok(json!({"type": "input_image", "image_url": fill(image_url)?, "detail": detail}))
        }
        Part::InputAudio { input_audio } => {
            let audio = json!({"data": fill(&input_audio.data)?, "format": input_audio.format});
            Ok(json!({"type": "input_audio", "input_audio": audio}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{sampling::Sampling, source::Ask};
    use super::*;

    fn asked(messages: Value, item: &Value) -> Result<Vec<Value>, String> {
        let messages = serde_json::from_value(messages).unwrap();
        input(&Ask { model: "m".into(), messages, sampling: Sampling::default() }, item)
    }

    #[test]
    fn a_template_is_filled_in() {
        let template = json!({"type": "template", "template": [
            {"role": "developer", "content": "Answer."},
            {"role": "user", "content": [
                {"type": "input_text", "text": "{{item.q}}"},
                {"type": "input_image", "image_url": "{{item.image}}", "detail": "low"},
                "or",
            ]},
            {"type": "message", "role": "assistant", "content": {"type": "output_text", "text": "{{item.q}}!"}},
        ]});
        let item = json!({"q": "{{item.image}}", "image": "data:,x"});
        let expected = json!([
            {"role": "developer", "content": "Answer."},
            {"role": "user", "content": [
                {"type": "input_text", "text": "{{item.image}}"},
                {"type": "input_image", "image_url": "data:,x", "detail": "low"},
                {"type": "input_text", "text": "or"},
            ]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "{{item.image}}!"}]},
        ]);
        assert_eq!(Value::Array(asked(template, &item).unwrap()), expected);
    }

    #[test]
    fn messages_of_an_item_are_data() {
        let reference = json!({"type": "item_reference", "item_reference": "item.talk"});
        let item = json!({"talk": [{"role": "user", "content": "{{item.talk}}"}]});
        assert_eq!(Value::Array(asked(reference.clone(), &item).unwrap()), item["talk"]);
        for (bad, why) in [
            (json!({}), "talk"),
            (json!({"talk": "x"}), "not an array"),
            (json!({"talk": []}), "1 to"),
            (json!({"talk": [{"role": "tool", "content": "x"}]}), "item.talk[0]"),
        ] {
            let error = asked(reference.clone(), &bad).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
