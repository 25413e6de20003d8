//! The answer to `POST /embeddings`: vectors of length 1 that depend on the words of a text and on nothing else.
//!
//! Invariant: equal texts have cosine 1, and texts that share words are nearer to each other than texts that do not.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Numbers in a vector when the call does not say.
const DIMENSIONS: usize = 256;
/// What OpenAI allows at most.
const DIMENSIONS_MAX: usize = 3_072;
/// What OpenAI counts on average for English.
const BYTES_PER_TOKEN: usize = 4;

/// A call of the Embeddings API.
#[derive(Debug, Deserialize)]
struct Call {
    model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Encoding,
    #[serde(default)]
    dimensions: Option<usize>,
}

/// One input or several, as text or as tokens.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    Base64,
}

impl Input {
    /// Every input as text; a token is its number.
    fn texts(self) -> Vec<String> {
        let written = |tokens: Vec<u32>| tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        match self {
            Self::Text(text) => vec![text],
            Self::Texts(texts) => texts,
            Self::Tokens(tokens) => vec![written(tokens)],
            Self::ManyTokens(lists) => lists.into_iter().map(written).collect(),
        }
    }
}

/// The answer to a call with this body, or what is wrong with it.
pub(super) fn answer(body: &[u8]) -> Result<Value, String> {
    let call: Call = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let dimensions = call.dimensions.unwrap_or(DIMENSIONS);
    if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
        return Err(format!("`dimensions` must be between 1 and {DIMENSIONS_MAX}."));
    }
    let texts = call.input.texts();
    let tokens: usize = texts.iter().map(|text| text.len().div_ceil(BYTES_PER_TOKEN)).sum();
    let item = |(index, text): (usize, &String)| {
        let vector = vector(text, dimensions);
        let embedding = match call.encoding_format {
            Encoding::Float => json!(vector),
            Encoding::Base64 => {
                json!(
                    STANDARD
                        .encode(vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
                )
            }
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(item).collect();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok(json!({"object": "list", "data": data, "model": call.model, "usage": usage}))
}

/// The sum of a direction for each word, made 1 long.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimensions];
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    // A text without words has a direction, too.
    let words: Vec<&str> = words.collect();
    let words = if words.is_empty() { vec![lower.as_str()] } else { words };
    for word in words {
        for (block, numbers) in sum.chunks_mut(32).enumerate() {
            let digest = Sha256::new_with_prefix(word).chain_update(block.to_be_bytes()).finalize();
            numbers.iter_mut().zip(digest).for_each(|(number, byte)| *number += f64::from(byte) - 127.5);
        }
    }
    let length = sum.iter().map(|number| number * number).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "single precision is what the API gives")]
    sum.iter().map(|number| (number / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(one: &str, other: &str) -> f32 {
        vector(one, DIMENSIONS).iter().zip(vector(other, DIMENSIONS)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn equal_texts_are_one_and_others_are_nearer_the_more_words_they_share() {
        assert!((cosine("An old silent pond", "An old silent pond") - 1.0).abs() < 1e-5);
        assert!((cosine("", "") - 1.0).abs() < 1e-5);
        let (near, far) =
            (cosine("an old silent pond", "an old pond"), cosine("an old silent pond", "winter wind"));
        assert!(near > 0.6 && far < 0.3, "{near} {far}");
    }

    #[test]
    fn every_form_of_input_and_answer_is_openais() {
        let ask = |extra: Value| {
            let mut body = json!({"model": "m"});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            answer(body.to_string().as_bytes())
        };
        let inputs = [json!("a b"), json!(["a b"]), json!([1, 2]), json!([[1, 2]])];
        for input in inputs {
            let list = ask(json!({"input": input, "dimensions": 8})).unwrap();
            assert_eq!(list["data"][0]["embedding"].as_array().unwrap().len(), 8, "{list}");
            assert_eq!(list["usage"]["prompt_tokens"], 1);
        }
        let packed = ask(json!({"input": "a", "encoding_format": "base64", "dimensions": 3})).unwrap();
        let packed = STANDARD.decode(packed["data"][0]["embedding"].as_str().unwrap()).unwrap();
        assert_eq!(packed.len(), 3 * size_of::<f32>());
        assert!(ask(json!({"input": "a", "dimensions": 0})).is_err() && ask(json!({})).is_err());
    }
}
