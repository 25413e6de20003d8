//! Templates: text with `{{ item.a.b }}` and `{{ sample.output_text }}` in it.
//!
//! A reference starts with `item` or `sample`; what follows are names (`.name`, `['any name']`) and places in arrays
//! (`[0]`, `.0`). Text is put in as it is, everything else as JSON. A literal `{{` is written `{{ '{{' }}`. Nothing is
//! evaluated, and what was put in is never read as a template again.

use super::reference::{MissingReference, Reference, Root};
use serde_json::Value;
use std::borrow::Cow;

/// Longest template, bytes: as long as a python grader may be.
pub const TEMPLATE_MAX_BYTES: usize = 256 * 1000;
/// Longest text that a template may become, bytes: half of what a request through the edge may have.
pub const RENDERED_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Text with references in it, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Reference(Reference),
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It has more than [`TEMPLATE_MAX_BYTES`].
    #[error("a template has at most {TEMPLATE_MAX_BYTES} bytes")]
    TooLong,
    /// Braces are opened and not closed.
    #[error("`{{{{` is not closed with `}}}}`; a literal `{{{{` is written {{{{ '{{{{' }}}}")]
    Unclosed,
    /// What stands between the braces is no reference.
    #[error(
        "`{{{{{0}}}}}` is not a reference: it has the form {{{{ item.name }}}} or {{{{ sample.name }}}}; a literal `{{{{` is written {{{{ '{{{{' }}}}"
    )]
    NotAReference(String),
}

/// Why a template could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A reference leads nowhere.
    #[error(transparent)]
    Missing(#[from] MissingReference),
    /// The text became longer than [`RENDERED_MAX_BYTES`].
    #[error("the text with everything filled in is longer than {RENDERED_MAX_BYTES} bytes")]
    TooLong,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_MAX_BYTES {
            return Err(TemplateError::TooLong);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, inside)) = open(rest) {
            push_text(&mut pieces, before);
            let (piece, after) = expression(inside)?;
            match piece {
                Piece::Text(text) => push_text(&mut pieces, &text),
                reference => pieces.push(reference),
            }
            rest = after;
        }
        push_text(&mut pieces, rest);
        Ok(Self { pieces })
    }

    /// Its references, in order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Text(_) => None,
        })
    }

    /// The text, with everything filled in.
    pub fn render(&self, item: &Value, sample: &Value) -> Result<String, RenderError> {
        self.render_with(item, sample, |_, text| text)
    }

    /// The text, with everything filled in after `mark` has had a look at it.
    pub fn render_with(
        &self,
        item: &Value,
        sample: &Value,
        mark: impl for<'a> Fn(Root, Cow<'a, str>) -> Cow<'a, str>,
    ) -> Result<String, RenderError> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Reference(reference) => {
                    let value = reference.find(item, sample)?;
                    out.push_str(&mark(reference.root(), written(value)));
                }
            }
            if out.len() > RENDERED_MAX_BYTES {
                return Err(RenderError::TooLong);
            }
        }
        Ok(out)
    }
}

/// A value as it stands in a text.
fn written(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if text.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// The text before the next `{{`, and what follows it. Of `{{{` the last two open: so JSON can be written around a
/// reference.
fn open(text: &str) -> Option<(&str, &str)> {
    let mut start = text.find("{{")?;
    while text.get(start + 2..)?.starts_with('{') {
        start += 1;
    }
    Some((text.get(..start)?, text.get(start + 2..)?))
}

/// What stands between the braces, and the text after them.
fn expression(inside: &str) -> Result<(Piece, &str), TemplateError> {
    if let Some((literal, after)) = literal(inside) {
        return Ok((Piece::Text(literal.to_owned()), after));
    }
    let Some((inner, after)) = inside.split_once("}}") else { return Err(TemplateError::Unclosed) };
    let reference = Reference::parse(inner.trim())
        .ok_or_else(|| TemplateError::NotAReference(inner.chars().take(SHOWN_MAX_CHARS).collect()))?;
    Ok((Piece::Reference(reference), after))
}

/// How much of a wrong reference is shown.
const SHOWN_MAX_CHARS: usize = 80;

/// A text in quotes between braces.
fn literal(inside: &str) -> Option<(&str, &str)> {
    let inside = inside.trim_start();
    let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (text, after) = inside.get(1..)?.split_once(quote)?;
    Some((text, after.trim_start().strip_prefix("}}")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn render(template: &str) -> Result<String, String> {
        let item = json!({"q": "2+2?", "n": 4, "deep": {"list": ["a", {"b": true}]}, "a key": null, "t": "{{item.q}}"});
        let sample = json!({"output_text": "four", "output_json": {"x": 1.5}});
        let template = Template::parse(template).map_err(|error| error.to_string())?;
        template.render(&item, &sample).map_err(|error| error.to_string())
    }

    #[test]
    fn references_are_filled_in() {
        let cases = [
            ("", ""),
            ("plain } text { with } braces", "plain } text { with } braces"),
            ("Q: {{item.q}} A: {{ sample.output_text }}", "Q: 2+2? A: four"),
            ("{{item.n}}{{item.n}}", "44"),
            ("{{item.deep.list[0]}} {{ item.deep.list.0 }} {{item.deep.list[1].b}}", "a a true"),
            ("{{item.deep}}", r#"{"list":["a",{"b":true}]}"#),
            ("{{item['a key']}}", "null"),
            (r#"{{ item["deep"]['list'][1] }}"#, r#"{"b":true}"#),
            ("{{sample}}", r#"{"output_json":{"x":1.5},"output_text":"four"}"#),
            (r#"{"x": {{sample.output_json.x}}}"#, r#"{"x": 1.5}"#),
            ("{{{item.n}}}", "{4}"),
            ("{{item.t}}", "{{item.q}}"),
            ("{{ '{{' }}item.q}} {{\"}}\"}}", "{{item.q}} }}"),
        ];
        for (template, text) in cases {
            assert_eq!(render(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_with_a_hint() {
        for template in [
            "{{",
            "{{item.q}",
            "{{}}",
            "{{ }}",
            "{{foo.bar}}",
            "{{items.q}}",
            "{{item..q}}",
            "{{item.}}",
            "{{item[}}",
            "{{item[x]}}",
            "{{item q}}",
            "{{item.q | upper}}",
            "{{item.q + 1}}",
            "{{ 'open }}",
            "{{item[-1]}}",
        ] {
            let message = render(template).unwrap_err();
            assert!(message.contains("a literal `{{` is written {{ '{{' }}"), "{template}: {message}");
        }
    }

    #[test]
    fn a_missing_reference_is_named() {
        for (template, name) in [
            ("{{item.nope}}", "item.nope"),
            ("{{item.deep.list[2]}}", "item.deep.list[2]"),
            ("{{item.q.length}}", "item.q.length"),
            ("{{sample.output_tools}}", "sample.output_tools"),
        ] {
            let message = render(template).unwrap_err();
            assert!(message.contains(name), "{template}: {message}");
        }
    }

    #[test]
    fn a_text_that_grows_without_bound_is_refused() {
        let template = Template::parse(&"{{item.x}}".repeat(1000)).unwrap();
        let item = json!({"x": "y".repeat(10_000)});
        assert_eq!(template.render(&item, &Value::Null), Err(RenderError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in "(\\{|\\}|item|sample|\\.|\\[|\\]|'|[a-z0 ]){0,40}") {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.render(&json!({"a": [1]}), &json!({"a": "{{"}));
            }
        }

        #[test]
        fn text_without_braces_stays_as_it_is(text in "[^{]*") {
            let template = Template::parse(&text).unwrap();
            prop_assert_eq!(template.render(&Value::Null, &Value::Null).unwrap(), text);
        }
    }
}
