//! Tells code from comments and strings in Rust and JavaScript, as far as counting braces and finding words needs.
//!
//! Invariant: what is blanked becomes spaces of the same number of bytes, so that every line and place stays.

use std::ops::Range;

use super::sources::Kind;

/// What a stretch of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Comment,
    Text,
}

/// The text with its comments blank.
pub fn blank_comments(text: &str, kind: Kind) -> String {
    let parts = parts(text, kind).into_iter().filter(|(part, _)| *part == Part::Comment);
    blank(text, parts.map(|(_, range)| range))
}

/// The text with its comments and strings blank.
pub fn blank_strings(text: &str, kind: Kind) -> String {
    blank(text, parts(text, kind).into_iter().map(|(_, range)| range))
}

/// The text without its `#[cfg(test)] mod … { … }`, found in `code`, which is the same text without strings.
pub fn blank_tests(text: &str, code: &str) -> String {
    let mut tests = Vec::new();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        let rest = &code[start..];
        let open = rest.find('{').unwrap_or(rest.len());
        let semicolon = rest.find(';').unwrap_or(rest.len());
        if open < semicolon {
            tests.push(start..closing(code, start + open));
        }
    }
    blank(text, tests.into_iter())
}

/// The place after the bracket that closes the one at `open`.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

fn blank(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges {
        bytes[range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    String::from_utf8(bytes).expect("whole characters were blanked")
}

/// Comments and strings, in order.
fn parts(text: &str, kind: Kind) -> Vec<(Part, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let here = part_at(text, at, kind);
        if let Some((part, end)) = here {
            found.push((part, at..end));
        }
        at = here.map_or(at + 1, |(_, end)| end);
    }
    found
}

fn part_at(text: &str, at: usize, kind: Kind) -> Option<(Part, usize)> {
    let rest = text.as_bytes().get(at..)?;
    let end_of = |length: Option<usize>| length.map_or(text.len(), |length| at + length);
    match rest {
        [b'/', b'/', ..] => Some((Part::Comment, end_of(find(rest, b"\n", 0)))),
        [b'/', b'*', ..] => Some((Part::Comment, end_of(find(rest, b"*/", 2).map(|at| at + 2)))),
        [b'"', ..] => Some((Part::Text, end_of(quoted(rest, b'"')))),
        [quote @ (b'\'' | b'`'), ..] if kind == Kind::JavaScript => {
            Some((Part::Text, end_of(quoted(rest, *quote))))
        }
        [b'/', ..] if kind == Kind::JavaScript && begins_value(text, at) => {
            Some((Part::Text, end_of(quoted(rest, b'/'))))
        }
        [b'r', b'"' | b'#', ..] if kind == Kind::Rust && !within_word(text, at) => {
            raw(rest).map(|length| (Part::Text, at + length))
        }
        [b'\'', ..] if kind == Kind::Rust => character(rest).map(|length| (Part::Text, at + length)),
        _ => None,
    }
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted);
    found.map(|at| at + from)
}

/// The length of what stands between two of these quotes, and the quotes.
fn quoted(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match *byte {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// The length of `r#"…"#`.
fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().skip(1).take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    find(rest, &end, 2 + hashes).map(|at| at + end.len())
}

/// The length of a character's literal; a lifetime is none.
fn character(rest: &[u8]) -> Option<usize> {
    match rest {
        [_, b'\\', ..] => quoted(rest, b'\''),
        _ => {
            let length = std::str::from_utf8(rest.get(1..5.min(rest.len()))?).map_or_else(
                |error| error.valid_up_to().max(1),
                |text| text.chars().next().map_or(1, char::len_utf8),
            );
            let length = if rest.get(2) == Some(&b'\'') { 1 } else { length };
            (rest.get(1 + length) == Some(&b'\'')).then_some(length + 2)
        }
    }
}

fn within_word(text: &str, at: usize) -> bool {
    // `br"…"` is a string as well.
    let before = text[..at].trim_end_matches('b');
    before.ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

/// A slash after these divides nothing: a regular expression begins.
fn begins_value(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end();
    before.ends_with(|before: char| "(,=:[!&|?{};".contains(before)) || before.ends_with("return")
}

#[test]
fn comments_and_strings_are_told_from_code() {
    let rust = "let a = \"{ // \\\" {\"; // {\nlet b = r#\"{\"#; let c = '{'; fn d<'e>(f: &'e str) { '\\'' } /* { */ 'é' b'}'";
    let wanted = "let a =            ;     \nlet b =       ; let c =    ; fn d<'e>(f: &'e str) {      }              b   ";
    assert_eq!(blank_strings(rust, Kind::Rust), wanted);
    let script = "const a = '{'; b(/[{\"]/); c / d / e; `{${f}`; // {";
    assert_eq!(blank_strings(script, Kind::JavaScript), "const a =    ; b(      ); c / d / e;        ;     ");
    let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n{ }\n}\nfn b() {}";
    assert_eq!(blank_tests(code, code).split_whitespace().collect::<String>(), "fna(){}fnb(){}");
}
