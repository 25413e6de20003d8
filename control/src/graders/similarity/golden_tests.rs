//! Tests of the measures against golden vectors from their reference implementations: see `golden/make.py`.

use super::{Metric, SimilarityError, TEXT_MAX_BYTES, porter, score};
use proptest::prelude::*;
use serde_json::Value;

/// The sums are the same; only their order differs.
const TOLERANCE: f64 = 1e-9;

const METRICS: [(&str, Metric); 10] = [
    ("fuzzy_match", Metric::FuzzyMatch),
    ("bleu", Metric::Bleu),
    ("gleu", Metric::Gleu),
    ("meteor", Metric::Meteor),
    ("rouge_1", Metric::Rouge1),
    ("rouge_2", Metric::Rouge2),
    ("rouge_3", Metric::Rouge3),
    ("rouge_4", Metric::Rouge4),
    ("rouge_5", Metric::Rouge5),
    ("rouge_l", Metric::RougeL),
];

#[test]
fn every_measure_gives_what_its_reference_implementation_gives() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("../golden/similarity.json")).unwrap();
    assert!(rows.len() > 150);
    let mut wrong = Vec::new();
    for row in &rows {
        let (input, reference) = (row["input"].as_str().unwrap(), row["reference"].as_str().unwrap());
        for (name, metric) in METRICS {
            let (ours, golden) = (score(metric, input, reference).unwrap(), row[name].as_f64().unwrap());
            if (ours - golden).abs() > TOLERANCE {
                wrong.push(format!("{name}: {ours} is not {golden}: {input:?} {reference:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len() * METRICS.len(), wrong.join("\n"));
}

#[test]
fn stems_are_those_of_nltk() {
    let rows: Vec<[String; 2]> = serde_json::from_str(include_str!("../golden/stems.json")).unwrap();
    assert!(rows.len() > 5_000);
    let wrong: Vec<String> = rows
        .iter()
        .filter(|[word, stem]| porter::stem(word) != *stem)
        .map(|[word, stem]| format!("{word}: {} is not {stem}", porter::stem(word)))
        .collect();
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
}

#[test]
fn texts_are_bounded() {
    let long = "x".repeat(TEXT_MAX_BYTES + 1);
    assert_eq!(score(Metric::Bleu, &long, "x"), Err(SimilarityError::InputTooLong));
    assert_eq!(score(Metric::Bleu, "x", &long), Err(SimilarityError::ReferenceTooLong));
    assert_eq!(score(Metric::Cosine, "x", "x"), Err(SimilarityError::NeedsEmbeddings));
}

proptest! {
    #[test]
    fn a_score_lies_between_0_and_1(input in "\\PC{0,40}", reference in "\\PC{0,120}") {
        for (name, metric) in METRICS {
            let likeness = score(metric, &input, &reference).unwrap();
            prop_assert!((0.0..=1.0 + TOLERANCE).contains(&likeness), "{name}: {likeness}");
        }
    }
}
