//! Functions and their lengths, found by their brackets.

use super::{
    code::closing,
    sources::{Kind, Source},
};

/// One function.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// The line it begins on.
    pub line: usize,
    /// From its name to its closing brace.
    pub lines: usize,
}

/// Words before brackets that are no names.
const KEYWORDS: [&str; 6] = ["if", "for", "while", "switch", "catch", "with"];

/// All functions of a source, also those of its tests.
pub fn functions(source: &Source) -> Vec<Function> {
    match source.kind {
        Kind::Rust => rust(&super::code::blank_strings(&source.text, Kind::Rust)),
        Kind::JavaScript => script(&source.code),
        Kind::Python | Kind::Sql => vec![],
    }
}

fn rust(code: &str) -> Vec<Function> {
    let starts =
        code.match_indices("fn ").filter(|(at, _)| *at == 0 || code[..*at].ends_with([' ', '\n', '(']));
    starts.filter_map(|(at, _)| rust_function(code, at)).collect()
}

fn rust_function(code: &str, at: usize) -> Option<Function> {
    let name = word(&code[at + 3..]);
    let mut here = at + 3 + name.len();
    // A declaration ends with `;` or `,`, outside of brackets; a function has a body there.
    while let Some(byte) = code.as_bytes().get(here) {
        match byte {
            b'{' if !name.is_empty() => return Some(function(code, name, at, closing(code, here))),
            b'(' | b'[' => here = closing(code, here),
            b';' | b'}' | b'{' => return None,
            _ => here += 1,
        }
    }
    None
}

/// In JavaScript: a block after `name(…)`, or after an arrow.
fn script(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut here = 0;
    while let Some(open) = code.get(here..).and_then(|rest| rest.find('(')).map(|at| here + at) {
        here = open + 1;
        let close = closing(code, open);
        let rest = &code[close..];
        let body = rest.trim_start();
        let body = body.strip_prefix("=>").map_or(body, str::trim_start);
        let before = code[..open].trim_end();
        let start =
            before.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '#').map_or(0, |at| at + 1);
        let name = &before[start..];
        if body.starts_with('{') && !KEYWORDS.contains(&name) {
            let brace = code.len() - body.len();
            found.push(function(code, name, start, closing(code, brace)));
        }
    }
    found
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

fn function(code: &str, name: &str, start: usize, end: usize) -> Function {
    let count = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    Function { name: name.to_owned(), line: count(&code[..start]), lines: count(&code[start..end]) }
}

#[test]
fn functions_are_measured() {
    let found = |name: &str, line, lines| Function { name: name.to_owned(), line, lines };
    let code = "fn a() -> [u8; 2] {\n}\ntrait T { fn b(&self); fn c() {\n\n} }\ntype F = fn(u8) -> u8;\n";
    assert_eq!(rust(code), [found("a", 1, 2), found("c", 3, 3)]);
    let code = "class A {\n  b(c) {\n    if (c) {\n    }\n  }\n}\nconst d = (e) => {\n};\nfunction f() {}";
    assert_eq!(script(code), [found("b", 2, 4), found("", 7, 2), found("f", 9, 1)]);
}
