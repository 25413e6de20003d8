//! The Porter stemmer as nltk has it: the algorithm of 1980 with nltk's extensions, which are its default.
//!
//! Steps are tables of suffixes: the first that fits decides, whether or not its condition holds.

/// Forms that the rules get wrong.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Steps 2, 3 and 4: suffix and what stands in its place.
const STEP_2: [(&str, &str); 22] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
    ("logi", "log"),
];
const STEP_3: [(&str, &str); 7] = [
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];
const STEP_4: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism",
    "ate", "iti", "ous", "ive", "ize",
];

/// The stem of a word in lower case.
pub(super) fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| *form == word) {
        return (*stem).to_owned();
    }
    if word.chars().count() <= 2 {
        return word.to_owned();
    }
    let mut word = step_1a(word);
    for step in [step_1b, step_1c, step_2, step_3, step_4, step_5] {
        word = step(&word);
    }
    word
}

/// Plurals.
fn step_1a(word: &str) -> String {
    if word.ends_with("ies") && word.chars().count() == 4 {
        return swap(word, "ies", "ie");
    }
    let rules = [("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")];
    apply(word, &rules, |_, _| true)
}

/// Past and progressive.
fn step_1b(word: &str) -> String {
    if word.ends_with("ied") {
        return swap(word, "ied", if word.chars().count() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word.to_owned() };
    }
    let stems = ["ed", "ing"].into_iter().filter_map(|suffix| word.strip_suffix(suffix));
    let Some(stem) = stems.into_iter().find(|stem| has_vowel(stem)) else { return word.to_owned() };
    for (suffix, with) in [("at", "ate"), ("bl", "ble"), ("iz", "ize")] {
        if stem.ends_with(suffix) {
            return swap(stem, suffix, with);
        }
    }
    let last = stem.chars().next_back().unwrap_or_default();
    if ends_double_consonant(stem) {
        let one = stem.get(..stem.len() - last.len_utf8()).unwrap_or(stem);
        return if matches!(last, 'l' | 's' | 'z') { stem.to_owned() } else { one.to_owned() };
    }
    if measure(stem) == 1 && ends_cvc(stem) { format!("{stem}e") } else { stem.to_owned() }
}

/// `y` after a consonant.
fn step_1c(word: &str) -> String {
    let rules = [("y", "i")];
    apply(word, &rules, |stem, _| stem.chars().count() > 1 && consonants(stem).last() == Some(&true))
}

fn step_2(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        return step_2(&format!("{stem}al"));
    }
    // The `l` of `logi` counts with the stem, so that short stems such as `geo` work like long ones.
    apply(
        word,
        &STEP_2,
        |stem, suffix| {
            if suffix == "logi" { measure(&format!("{stem}l")) > 0 } else { measure(stem) > 0 }
        },
    )
}

fn step_3(word: &str) -> String {
    apply(word, &STEP_3, |stem, _| measure(stem) > 0)
}

fn step_4(word: &str) -> String {
    let rules: Vec<(&str, &str)> = STEP_4.into_iter().map(|suffix| (suffix, "")).collect();
    apply(word, &rules, |stem, suffix| measure(stem) > 1 && (suffix != "ion" || stem.ends_with(['s', 't'])))
}

/// The last `e`, then the second of two `l`.
fn step_5(word: &str) -> String {
    let dropped = word.strip_suffix('e').filter(|stem| match measure(stem) {
        0 => false,
        1 => !ends_cvc(stem),
        _ => true,
    });
    let word = dropped.unwrap_or(word);
    let one = word.strip_suffix('l').filter(|stem| stem.ends_with('l') && measure(stem) > 1);
    one.unwrap_or(word).to_owned()
}

/// The first rule whose suffix the word has, if its condition holds for the stem.
fn apply(word: &str, rules: &[(&str, &str)], holds: impl Fn(&str, &str) -> bool) -> String {
    let rule = rules.iter().find_map(|(suffix, with)| Some((word.strip_suffix(suffix)?, suffix, with)));
    match rule {
        Some((stem, suffix, with)) if holds(stem, suffix) => format!("{stem}{with}"),
        _ => word.to_owned(),
    }
}

fn swap(word: &str, suffix: &str, with: &str) -> String {
    format!("{}{with}", word.strip_suffix(suffix).unwrap_or(word))
}

/// For every letter whether it is a consonant; `y` is one unless it follows one.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::new();
    for letter in word.chars() {
        let consonant = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => !flags.last().is_some_and(|before| *before),
            _ => true,
        };
        flags.push(consonant);
    }
    flags
}

/// How often a vowel is followed by a consonant.
fn measure(stem: &str) -> usize {
    let flags = consonants(stem);
    flags.iter().zip(flags.iter().skip(1)).filter(|(first, second)| !**first && **second).count()
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).contains(&false)
}

fn ends_double_consonant(word: &str) -> bool {
    let mut letters = word.chars().rev();
    let pair = letters.next().zip(letters.next());
    pair.is_some_and(|(last, before)| last == before) && consonants(word).last() == Some(&true)
}

/// Consonant, vowel, consonant but `w`, `x`, `y`; of a word of two letters, vowel and consonant.
fn ends_cvc(word: &str) -> bool {
    let flags = consonants(word);
    match flags.as_slice() {
        [false, true] => true,
        [.., true, false, true] => !word.ends_with(['w', 'x', 'y']),
        _ => false,
    }
}
