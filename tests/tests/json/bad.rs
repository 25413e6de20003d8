//! Texts that are not JSON, by families: each is wrong as a whole body and wrong as the value of a member.

/// Deep enough to end a parser that descends by calling itself.
const DEEP: usize = 100_000;

/// The texts of a family: between bars, the space around each taken away.
pub fn family(text: &str) -> impl Iterator<Item = &str> {
    text.split('¦').map(str::trim)
}

/// Every family, as values.
pub fn values() -> Vec<Vec<u8>> {
    let plain = [ARRAYS, OBJECTS, WORDS, GARBAGE, NUMBERS, OPEN_STRINGS].into_iter().flat_map(family);
    let mut all: Vec<Vec<u8>> =
        plain.chain(ODD.iter().copied()).map(|text| text.as_bytes().to_vec()).collect();
    let escapes = family(ESCAPES).chain(ODD_ESCAPES.iter().copied());
    all.extend(escapes.map(|escape| format!("\"a{escape}-\"").into_bytes()));
    all.extend(control_characters());
    all.extend(bad_utf8());
    all.extend(depth_bombs());
    all
}

/// A good body, spoilt as a whole: cut anywhere, or with something around it.
pub fn documents(good: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..good.len()).map(|end| good.iter().take(end).copied().collect()).collect();
    all.extend((1..good.len()).map(|start| good.iter().skip(start).copied().collect()));
    for around in
        ["\u{feff}", "\0", "\u{a0}", "\u{2028}", "\u{c}", "#", "/*c*/", "//c\n", "<", "{", "]", ",", "''"]
    {
        all.push([around.as_bytes(), good].concat());
        all.push([good, around.as_bytes()].concat());
    }
    all.push([good, good].concat());
    all.push(utf16(good));
    // A tail of it may be good by itself, such as a number; that is then not an object, which is another refusal.
    all.retain(|body| serde_json::from_slice::<serde_json::Value>(body).is_err());
    all
}

fn utf16(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| [*byte, 0]).collect()
}

const ARRAYS: &str = r#"
    [ ¦ ] ¦ [[ ¦ []] ¦ [[] ¦ [1 ¦ [1, ¦ [, ¦ [,] ¦ [,1] ¦ [1,] ¦ [1,,] ¦ [1,,2] ¦ [,,1] ¦ [1 2] ¦ [1 true] ¦
    [1:2] ¦ ["a":1] ¦ ["",] ¦ ["a" ¦ ["a" "b"] ¦ [1;2] ¦ [a] ¦ [1,{] ¦ [{} ¦ [3[4]] ¦ [} ¦ [1} ¦ [1)) ¦
    [<null>] ¦ [*] ¦ ['a'] ¦ [1,]] ¦ [\u000A""] ¦ ["": 1] ¦ [-] ¦ [   , ""] ¦ [][]
"#;

const OBJECTS: &str = r#"
    { ¦ } ¦ {{ ¦ {}} ¦ {] ¦ {,} ¦ {:} ¦ {"a" ¦ {"a"} ¦ {"a": ¦ {"a":} ¦ {"a":1 ¦ {"a":1, ¦ {"a":1,} ¦
    {"a":1,,} ¦ {"a":1,,"b":2} ¦ {,"a":1} ¦ {"a" 1} ¦ {"a":1 "b":2} ¦ {"a"::1} ¦ {"a":1:2} ¦ {"a",1} ¦
    {"a":1;"b":2} ¦ {a:1} ¦ {'a':1} ¦ {'a':'b'} ¦ {1:1} ¦ {null:1} ¦ {[]:1} ¦ {{}:1} ¦ {"a":a} ¦ {"a":'b'} ¦
    {"a":1}# ¦ {"a":1}// ¦ {"a":1}/**/ ¦ {"a":/*c*/1} ¦ {"a"=1} ¦ {"a":1] ¦ {"a":"b","c"} ¦ {"a":"b} ¦
    {"x"::"b"} ¦ {"x", null} ¦ {"id":0,,,,,} ¦ {garbage:"x"} ¦ {9999E9999:1} ¦ {"a":true} "x" ¦ {"a" b} ¦
    {"a":"a" 123} ¦ {"\uD834\uDD1":1} ¦ {"a\":1}
"#;

const WORDS: &str = r#"
    tru ¦ fals ¦ nul ¦ True ¦ TRUE ¦ False ¦ Null ¦ NULL ¦ nulll ¦ truee ¦ undefined ¦ None ¦ NaN ¦ -NaN ¦
    nan ¦ Infinity ¦ -Infinity ¦ +Infinity ¦ inf ¦ yes ¦ abc ¦ a ¦ true false ¦ truefalse ¦ null, ¦ $
"#;

const GARBAGE: &str = r#"
    # ¦ #1 ¦ / ¦ // ¦ /* ¦ /**/1 ¦ 1/**/ ¦ < ¦ > ¦ <?xml?> ¦ * ¦ & ¦ @ ¦ `1` ¦ (1) ¦ =1 ¦ : ¦ , ¦ ; ¦ \ ¦
    \u0031 ¦ " ¦ ' ¦ '' ¦ '1' ¦ 1 2 ¦ "a" "b" ¦ {}{} ¦ a=b&c=d ¦ --boundary ¦ """a"""
"#;

const NUMBERS: &str = r#"
    +1 ¦ ++1 ¦ +Inf ¦ --1 ¦ - ¦ - 1 ¦ -a ¦ -01 ¦ -00 ¦ 00 ¦ 01 ¦ 012 ¦ -012 ¦ 0123.4 ¦ 1. ¦ -1. ¦ -2. ¦ 0. ¦
    .1 ¦ -.1 ¦ . ¦ .e1 ¦ 0.e1 ¦ 2.e3 ¦ 2.e+3 ¦ 2.e-3 ¦ 1..2 ¦ 1.2.3 ¦ 0.1.2 ¦ -1.0. ¦ 1e ¦ 1E ¦ 1e+ ¦ 1e- ¦
    1E+ ¦ 0e ¦ 0e+ ¦ 0E ¦ 0E+ ¦ 0.3e ¦ 0.3e+ ¦ 1.0e ¦ 1.0e+ ¦ 1.0e- ¦ 1eE2 ¦ 1e1e1 ¦ 1ee1 ¦ 1e1.5 ¦ 9.e+ ¦
    1_000 ¦ 1 000.0 ¦ 1,000 ¦ 1a ¦ 1ea ¦ 0x1 ¦ 0x ¦ 0x42 ¦ 0b1 ¦ 0o7 ¦ 1n ¦ 1f ¦ 1L ¦ -1x ¦ -123.123foo ¦
    1+2 ¦ 1-2 ¦ -Inf ¦ 0,1 ¦ 1%
"#;

/// In the middle of a string.
const ESCAPES: &str = r#"
    \ ¦ \a ¦ \' ¦ \x00 ¦ \x15 ¦ \0 ¦ \1 ¦ \v ¦ \e ¦ \U0041 ¦ \u ¦ \u0 ¦ \u00 ¦ \u00A ¦ \u004 ¦ \u12G4 ¦
    \u{41} ¦ \uqqqq ¦ \u 041 ¦ \u-041 ¦ \uD834\u ¦ \uD834\uD ¦ \uD834\u12 ¦ \uD834\x ¦ \N{DASH}
"#;

const ODD_ESCAPES: &[&str] = &["\\ ", "\\\n", "\\\t", "\\\u{e9}", "\\\u{1f300}", "\\u00\u{e9}\u{e9}"];

const OPEN_STRINGS: &str = r#"
    "a ¦ "\ ¦ "\" ¦ "a\\\" ¦ "\u ¦ "\u004 ¦ "{} ¦ a" ¦ "a"b ¦ "a"b" ¦ 'a" ¦ "a'
"#;

/// What cannot be written between bars.
#[rustfmt::skip]
const ODD: &[&str] = &[
    "", " ", "\n", "\0", "\u{feff}", "\u{feff}{}", "\u{2060}", "\u{a0}1", "\u{c}1", "\u{e9}", "\u{1f338}", "1e1\u{661}",
    "\u{ff11}", "1\u{e5}", "1\0", "[\"a\",\n4\n,1,", "[1,\n1\n,1", "[]\u{b}", "{\"a\":/*c\n1}", "{\u{1f1e8}\u{1f1ed}}",
    "{\"a\n\":1}",
];

/// Raw control characters in a string: none is allowed.
fn control_characters() -> Vec<Vec<u8>> {
    (0..0x20).map(|byte| vec![b'"', b'a', byte, b'b', b'"']).collect()
}

/// Bytes that are no UTF-8, in a string, and alone.
fn bad_utf8() -> Vec<Vec<u8>> {
    #[rustfmt::skip]
    const WRONG: &[&[u8]] = &[
        b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe0\x80\xaf", b"\xe2\x82", b"\xe2(\xa1",
        b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\xaf", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xff\xfe",
    ];
    let in_string = |wrong: &&[u8]| [b"\"a", *wrong, b"b\""].concat();
    WRONG
        .iter()
        .map(in_string)
        .chain([b"\xff\xfe1\0".to_vec(), b"\xe5".to_vec(), b"1\xe5".to_vec(), b"[\xff]".to_vec()])
        .collect()
}

/// Closed or not, what follows each cannot follow.
fn depth_bombs() -> Vec<Vec<u8>> {
    let closed = |open: &str, close: &str| (open.repeat(DEEP) + "1" + &close.repeat(DEEP)).into_bytes();
    let open = ["[", "]", "{\"a\":", "[{\"a\":", "[[],"].map(|part| part.repeat(DEEP).into_bytes());
    let crossed = [closed("[", "}"), closed("{\"a\":", "]"), closed("[", "] ")];
    let mut bombs = [open.as_slice(), &crossed].concat();
    bombs.iter_mut().for_each(|bomb| bomb.push(b','));
    bombs
}
