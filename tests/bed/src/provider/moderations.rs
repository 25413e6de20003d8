//! The answer to `POST /moderations`: scores that stand in the texts themselves.
//!
//! A text that contains `hate=0.7` has that score of that category. Invariant: every category that OpenAI's model knows has a
//! score, and what does not say otherwise has one near 0.

use serde::Deserialize;
use serde_json::{Value, json};

/// The categories of `omni-moderation-latest`.
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];
/// The score of what is harmless: real ones are never quite 0.
const HARMLESS: f64 = 0.000_1;
/// From this score on the model itself calls a text flagged.
const FLAGGED: f64 = 0.5;

/// A call of the Moderations API.
#[derive(Debug, Deserialize)]
struct Call {
    model: String,
    input: Input,
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
}

/// The answer to a call with this body, or what is wrong with it.
pub(super) fn answer(body: &[u8]) -> Result<Value, String> {
    let call: Call = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let texts = match call.input {
        Input::Text(text) => vec![text],
        Input::Texts(texts) => texts,
    };
    if texts.iter().any(String::is_empty) {
        return Err("`input` must not be empty.".to_owned());
    }
    let results: Vec<Value> = texts.iter().map(|text| result(text)).collect();
    Ok(json!({"id": super::answer::id("modr-"), "model": call.model, "results": results}))
}

fn result(text: &str) -> Value {
    let scores = CATEGORIES.map(|category| (category, score(text, category)));
    let scored = |of: &dyn Fn(f64) -> Value| -> Value {
        scores.iter().map(|(category, score)| ((*category).to_owned(), of(*score))).collect()
    };
    json!({
        "flagged": scores.iter().any(|(_, score)| *score >= FLAGGED),
        "categories": scored(&|score| json!(score >= FLAGGED)),
        "category_scores": scored(&|score| json!(score)),
    })
}

fn score(text: &str, category: &str) -> f64 {
    let said = text.split_once(&format!("{category}=")).map(|(_, rest)| rest);
    let digits = said.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit() && c != '.').next());
    digits.and_then(|digits| digits.trim_end_matches('.').parse().ok()).unwrap_or(HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_what_the_text_says() {
        let ask = |input: Value| answer(json!({"model": "omni", "input": input}).to_string().as_bytes());
        let said = ask(json!(["A hate=0.7.", "none"])).unwrap();
        assert_eq!(said["results"][0]["category_scores"]["hate"], 0.7);
        assert_eq!(said["results"][0]["flagged"], true);
        assert_eq!(said["results"][1]["category_scores"]["hate"], HARMLESS);
        assert_eq!(said["results"][1]["flagged"], false);
        assert_eq!(said["results"][0]["category_scores"].as_object().unwrap().len(), CATEGORIES.len());
        assert!(ask(json!("")).is_err() && ask(json!(1)).is_err());
    }
}
