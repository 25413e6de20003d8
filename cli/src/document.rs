//! Documents in YAML: the bodies that the API takes, read from a file, with the place of every field.
//!
//! What is in a document is the API's business: unknown fields are passed on, and refused there; the refusal names the
//! field, and the document knows on which line it stands. JSON is YAML, so files of JSON are read, too.

use crate::{failure::Failure, path};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};
use std::{collections::HashMap, fmt, io::Read as _, path::Path, str::FromStr};

/// Longest document: more than the longest body that control takes.
const DOCUMENT_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Most values that aliases repeat: hundreds of graders that share their template.
const ALIASED_MAX: usize = 10_000;
/// The file name that means standard input.
const STDIN: &str = "-";

/// A document.
#[derive(Debug)]
pub(crate) struct Document {
    /// What messages call it.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) value: Value,
    places: HashMap<Vec<String>, (u64, u64)>,
}

/// `path=value`: a member that the command line puts into a document.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    steps: Vec<String>,
    value: Value,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) = text.split_once('=').ok_or("must have the form path=value")?;
        let steps = path::steps(path);
        if steps.is_empty() {
            return Err("must have a path before the `=`".into());
        }
        let node =
            parse(value).map_err(|error| format!("the value is no YAML: {}", error.without_snippet()))?;
        Ok(Self { steps, value: node.value.into_value() })
    }
}

impl Assignment {
    /// Puts the value into a document.
    pub(crate) fn apply(&self, target: &mut Value) -> Result<(), Failure> {
        path::set(target, &self.steps, self.value.clone())
            .map_err(|why| Failure::said(format!("--set {}: {why}", path::text(&self.steps))))
    }
}

impl Document {
    /// Reads a file, or standard input for `-`, and sets what the command line says.
    pub(crate) fn read(file: &Path, assignments: &[Assignment]) -> Result<Self, Failure> {
        let name =
            if file == Path::new(STDIN) { "standard input".into() } else { file.display().to_string() };
        let text = read(file).map_err(|error| Failure::said(format!("{name}: {error}")))?;
        let mut document = Self::parse(&name, &text)?;
        assignments.iter().try_for_each(|assignment| assignment.apply(&mut document.value))?;
        Ok(document)
    }

    fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let node = parse(text).map_err(|error| {
            let at = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
            Failure::said(format!("{name}{at}: {}", error.without_snippet()))
        })?;
        let mut places = HashMap::new();
        note_places(&node, &mut Vec::new(), &mut places);
        let value = node.value.into_value();
        if !value.is_object() {
            return Err(Failure::said(format!("{name}: a document is an object, with its fields by name")));
        }
        Ok(Self { name: name.to_owned(), value, places })
    }

    /// Takes a member out.
    pub(crate) fn take(&mut self, member: &str) -> Option<Value> {
        self.value.as_object_mut()?.remove(member)
    }

    /// A member that is a text.
    pub(crate) fn text(&self, member: &str) -> Result<&str, Failure> {
        let missing = || Failure::said(format!("{}: `{member}` is missing, or no text", self.name));
        self.value[member].as_str().ok_or_else(missing)
    }

    /// Where a field stands, as an editor understands it: `file:line:column`. `under` is the member that was the body.
    /// Of a field that is not there, it is the place of what it would be in.
    pub(crate) fn place(&self, under: &str, param: &str) -> String {
        let mut steps = path::steps(under);
        steps.extend(path::steps(param));
        loop {
            if let Some((line, column)) = self.places.get(&steps) {
                return format!("{}:{line}:{column}", self.name);
            }
            if steps.pop().is_none() {
                return self.name.clone();
            }
        }
    }

    /// Tells a refusal of a body that came from here where the field stands.
    pub(crate) fn locate(&self, under: &str, failure: Failure) -> Failure {
        failure.at(|param| Some(self.place(under, param)))
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if file == Path::new(STDIN) {
        std::io::stdin().lock().take(DOCUMENT_MAX_BYTES).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.take(DOCUMENT_MAX_BYTES).read_to_string(&mut text)?;
    }
    if text.len() as u64 == DOCUMENT_MAX_BYTES {
        return Err(std::io::Error::other(format!("longer than {DOCUMENT_MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// YAML 1.2: `yes`, `no` and `on` are texts, a doubled key is an error, and aliases are bounded.
fn parse(text: &str) -> Result<Spanned<Node>, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIASED_MAX },
    };
    serde_saphyr::from_str_with_options(text, options)
}

fn note_places(node: &Spanned<Node>, at: &mut Vec<String>, places: &mut HashMap<Vec<String>, (u64, u64)>) {
    if node.referenced != Location::UNKNOWN {
        places.insert(at.clone(), (node.referenced.line(), node.referenced.column()));
    }
    let mut inside = |step: String, node: &Spanned<Node>| {
        at.push(step);
        note_places(node, at, places);
        at.pop();
    };
    match &node.value {
        Node::Leaf(_) => {}
        Node::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| inside(index.to_string(), item));
        }
        Node::Object(members) => {
            members.iter().for_each(|(name, member)| inside(name.clone(), member));
        }
    }
}

/// Anything, with the places of what is in it.
#[derive(Debug)]
enum Node {
    Leaf(Value),
    List(Vec<Spanned<Node>>),
    Object(Vec<(String, Spanned<Node>)>),
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Self::Leaf(value) => value,
            Self::List(items) => items.into_iter().map(|item| item.value.into_value()).collect(),
            Self::Object(members) => {
                let members = members.into_iter().map(|(name, member)| (name, member.value.into_value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has, too")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("JSON has no such number"))?;
        Ok(Node::Leaf(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element()? {
            read.push(item);
        }
        Ok(Node::List(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut read = Vec::new();
        while let Some(member) = members.next_entry()? {
            read.push(member);
        }
        Ok(Node::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ENDPOINT: &str = "\
# An endpoint
name: haiku
version:
  targets:
    - base_url: https://api.example.com/v1
      model: small
      weight: 3
  instructions: |
    One haiku.
    Three lines.
  defaults: {temperature: 0.5, stop: [no, 'x'], n: null}
";

    fn parse(text: &str) -> Result<Document, Failure> {
        Document::parse("x.yaml", text)
    }

    #[test]
    fn a_document_is_the_json_that_the_api_takes() {
        let expected = json!({"name": "haiku", "version": {
            "targets": [{"base_url": "https://api.example.com/v1", "model": "small", "weight": 3}],
            "instructions": "One haiku.\nThree lines.\n",
            "defaults": {"temperature": 0.5, "stop": ["no", "x"], "n": null},
        }});
        assert_eq!(parse(ENDPOINT).unwrap().value, expected);
        assert_eq!(parse(&expected.to_string()).unwrap().value, expected);
    }

    #[test]
    fn a_field_is_found_by_its_path() {
        let document = parse(ENDPOINT).unwrap();
        let cases = [
            ("", "name", "x.yaml:2:7"),
            ("version", "targets[0].base_url", "x.yaml:5:17"),
            ("version", "targets.0.weight", "x.yaml:7:15"),
            ("version", "defaults.stop[1]", "x.yaml:11:43"),
            ("version", "targets[0].missing", "x.yaml:5:7"),
            ("nowhere", "at.all", "x.yaml:2:1"),
        ];
        for (under, param, place) in cases {
            assert_eq!(document.place(under, param), place, "{under} {param}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_place() {
        let cases = [
            ("a: 1\na: 2\n", "x.yaml:2:1"),
            ("a: [1\n", "x.yaml:"),
            ("- 1\n", "x.yaml: a document is an object"),
            ("", "x.yaml: a document is an object"),
            ("a: .nan\n", "x.yaml:1:4"),
        ];
        for (text, told) in cases {
            let failure = parse(text).unwrap_err().text();
            assert!(failure.starts_with(told), "{text}: {failure}");
        }
        let bomb = "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\n\
            d: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d]\n\
            f: &f [*e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f]\n\
            h: [*g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g, *g]\n";
        assert!(parse(bomb).is_err(), "a document of aliases is not unfolded without end");
    }

    #[test]
    fn the_command_line_sets_members() {
        let mut document = parse(ENDPOINT).unwrap();
        for text in ["version.targets[0].model=large", "version.max_output_tokens=5", "version.retries='2'"] {
            text.parse::<Assignment>().unwrap().apply(&mut document.value).unwrap();
        }
        let version = &document.value["version"];
        assert_eq!(
            (&version["targets"][0]["model"], &version["max_output_tokens"], &version["retries"]),
            (&json!("large"), &json!(5), &json!("2"))
        );
        for bad in ["x", "=1", "a=[1"] {
            assert!(bad.parse::<Assignment>().is_err(), "{bad}");
        }
    }
}
