//! Texts that are JSON, by families: odd ones, which parsers are tempted to refuse or to write anew.

use super::bad::family;

/// White space, wherever it may stand.
pub const SPACES: [&str; 4] = [" ", "\t", "\r\n", " \n\t\r "];

/// How deep arrays lie in each other: deeper than parsers that build trees allow.
const DEEP: usize = 1_000;

/// Every family.
pub fn values() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let plain = [ARRAYS, OBJECTS, WORDS, NUMBERS].into_iter().flat_map(family);
    all.extend(plain.chain(SPACED.iter().copied()).map(|text| text.as_bytes().to_vec()));
    let strings = family(STRINGS).chain(UNICODE.iter().copied());
    all.extend(strings.map(|text| format!("\"{text}\"").into_bytes()));
    all.push(("[".repeat(DEEP) + &"]".repeat(DEEP)).into_bytes());
    all.push(("{\"a\":".repeat(DEEP) + "1" + &"}".repeat(DEEP)).into_bytes());
    all.push(format!("\"{}\"", "x".repeat(10_000)).into_bytes());
    all.push(format!("{{\"id\":\"{0}\",\"{0}\":1}}", "x".repeat(40)).into_bytes());
    all
}

const ARRAYS: &str = r#"
    [] ¦ [[]   ] ¦ [""] ¦ [false] ¦ [null, 1, "1", {}] ¦ [null] ¦ [1,null,null,null,2] ¦ [[[[[]]]]] ¦ [ ] ¦
    [true,false,null] ¦ [0,0,0] ¦ [{"a":1},{"a":1}] ¦ ["","",""]
"#;

const OBJECTS: &str = r#"
    {} ¦ { } ¦ {"asd":"sdf", "dfg":"fgh"} ¦ {"asd":"sdf"} ¦ {"a":"b","a":"c"} ¦ {"a":"b","a":"b"} ¦ {"":0} ¦
    {"foo\u0000bar": 42} ¦ { "min": -1.0e+28, "max": 1.0e+28 } ¦ {"a":[]} ¦ {"a":{}} ¦
    {"title":"\u041f\u043e\u043b\u0442\u043e\u0440\u0430" } ¦ {"a":1,"b":2,"c":{"d":[{"e":null}]}} ¦
    {"__proto__":{"x":1}} ¦ {"constructor":1,"toString":2} ¦ {"\u0061":1}
"#;

const WORDS: &str = r#"
    true ¦ false ¦ null ¦ ""
"#;

const NUMBERS: &str = r#"
    0 ¦ -0 ¦ 0.0 ¦ -0.0 ¦ -1 ¦ -123 ¦ 123 ¦ 123e65 ¦ 0e+1 ¦ 0e1 ¦ 0E0 ¦ 20e1 ¦ 1E22 ¦ 1E-2 ¦ 1E+2 ¦ 123e45 ¦
    123.456e78 ¦ 1e-2 ¦ 1e+2 ¦ 1e00 ¦ 1e-007 ¦ 123.456789 ¦ 1.0 ¦ 1.50 ¦ 0.1000 ¦ -0.1 ¦
    100000000000000000000000000000000 ¦ 9007199254740993 ¦ 18446744073709551616 ¦ -9223372036854775809 ¦
    0.30000000000000004441 ¦ 1e999 ¦ -1e999 ¦ 1e-999 ¦ 1.7976931348623157e309 ¦
    -0.000000000000000000000000000000000000000000000000000000000000000000000000000001
"#;

/// Between quotes.
const STRINGS: &str = r#"
    \u0060\u012a\u12AB ¦ \uD801\udc37 ¦ \ud83d\ude39\ud83d\udc8d ¦ \"\\\/\b\f\n\r\t ¦ \\u0000 ¦ \" ¦
    a/*b*/c/*d//e ¦ \\a ¦ \\n ¦ \u0012 ¦ \uFFFF ¦ asd ¦ \uDBFF\uDFFF ¦ new\u00A0line ¦ \u0000 ¦ \u002c ¦
    \uD834\uDd1e ¦ \u0821 ¦ \u0123 ¦ \u0061\u30af\u30EA\u30b9 ¦ new\u000Aline ¦ \uA66D ¦ \u005C ¦ \u200B ¦
    \u2064 ¦ \uFDD0 ¦ \uFFFE ¦ \uDBFF\uDFFE ¦ \uD83F\uDFFE ¦ \u0022 ¦ \/ ¦ / ¦ </script> ¦ {\"a\":1}
"#;

/// With space around and inside, which must stay.
#[rustfmt::skip]
const SPACED: &[&str] = &[
    "[\"a\"]\n", "[1\n]", " [1]", "[2] ", "[\t1\t,\r\n2 ]", "{\n\"a\": \"b\"\n}", "{\"a\" : 1 , \"b\" :\t2}", " true ", "\nnull\n",
    " 4", "42 ", "{\"\u{1f338}\":\"\u{98a8}\"}", "\"asd \"", "\" \"",
];

/// Between quotes, unescaped.
#[rustfmt::skip]
const UNICODE: &[&str] = &[
    "\u{10ffff}", "\u{ffff}", "\u{fdd0}", "\u{3c0}", "\u{1bfff}", "\u{2028}", "\u{2029}", "\u{7f}", "\u{2342}\u{3256}",
    "\u{20ac}\u{1d11e}", "a\u{7f}a", "\u{feff}", "e\u{301}", "\\u00e9\u{e9}", "\u{200f}\u{202e}",
];
