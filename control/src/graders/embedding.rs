//! `cosine`: the angle between the embeddings of two texts, as an embeddings endpoint gives them.

use super::fault::{Code, GraderError};
use serde_json::Value;

/// The cosine, from the answer of `/v1/embeddings` to two texts; from -1 to 1.
pub(super) fn cosine(answer: &Value) -> Result<f64, GraderError> {
    let wrong = |what: &str| GraderError::users(Code::ModelGraderParse, what.to_owned());
    let vector = |index: u64| -> Option<Vec<f64>> {
        let data = answer.get("data")?.as_array()?;
        let entry = data.iter().find(|entry| entry.get("index").and_then(Value::as_u64) == Some(index))?;
        entry.get("embedding")?.as_array()?.iter().map(Value::as_f64).collect()
    };
    let (Some(input), Some(reference)) = (vector(0), vector(1)) else {
        return Err(wrong("the endpoint did not answer with two embeddings of numbers"));
    };
    if input.len() != reference.len() {
        return Err(wrong("the embeddings have different lengths"));
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = dot(&input, &reference) / (dot(&input, &input).sqrt() * dot(&reference, &reference).sqrt());
    if cosine.is_finite() { Ok(cosine.clamp(-1.0, 1.0)) } else { Err(wrong("an embedding has no direction")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(input: &Value, reference: &Value) -> Value {
        json!({"data": [{"index": 1, "embedding": reference}, {"index": 0, "embedding": input}]})
    }

    #[test]
    fn the_cosine_is_that_of_the_two_vectors() {
        for (input, reference, expected) in [
            (json!([1, 0]), json!([2, 0]), 1.0),
            (json!([1, 0]), json!([0, 3.5]), 0.0),
            (json!([1, 1]), json!([-1, -1]), -1.0),
            (json!([1, 2, 3]), json!([4, 5, 6]), 0.974_631_846_197_076_2),
        ] {
            assert!(
                (cosine(&answer(&input, &reference)).unwrap() - expected).abs() < 1e-12,
                "{input} {reference}"
            );
        }
    }

    #[test]
    fn vectors_without_an_angle_are_errors() {
        for (input, reference) in [
            (json!([0, 0]), json!([1, 0])),
            (json!([1]), json!([1, 0])),
            (json!([]), json!([])),
            (json!("AAAA"), json!("AAAA")),
            (json!([1, null]), json!([1, 0])),
        ] {
            assert_eq!(cosine(&answer(&input, &reference)).unwrap_err().code, Code::ModelGraderParse);
        }
        assert!(cosine(&json!({"data": []})).is_err());
    }
}
