//! `text_similarity`: how alike two texts are, after the reference implementation of each measure.
//!
//! | measure | reference | words |
//! | --- | --- | --- |
//! | `fuzzy_match` | RapidFuzz 3, `fuzz.WRatio` with `utils.default_process`, divided by 100 | letters |
//! | `bleu` | sacrebleu 2, `sentence_bleu` (4-grams, smoothing `exp`, effective order), divided by 100 | 13a |
//! | `gleu` | nltk 3, `sentence_gleu` (1 to 4 words) | 13a |
//! | `meteor` | nltk 3, `single_meteor_score` with its Porter stemmer and without WordNet: no synonyms | 13a |
//! | `rouge_1` … `rouge_5`, `rouge_l` | rouge-score 0.1, F1, no stemmer | runs of `a-z0-9` |
//!
//! OpenAI names the measures and not their settings; where it leaves a choice, this is ours. Golden vectors are made by
//! `golden/make.py` from those packages; the tests hold them to 1e-9. ROUGE's words are ASCII by definition: texts in
//! other scripts have none, and score 0.

mod bleu;
mod fuzzy;
mod gleu;
#[cfg(test)]
mod golden_tests;
mod meteor;
mod porter;
mod rouge;
mod windows;
mod words;

use super::grader::Metric;

/// Longest text that is compared, bytes. The slowest pair, under `fuzzy_match`, takes one step for each pair of letters,
/// up to three times: two seconds of one core at this length. Whoever calls it does so beside its event loop.
pub const TEXT_MAX_BYTES: usize = 32 * 1024;

/// Why two texts were not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SimilarityError {
    /// The text that is graded has more than [`TEXT_MAX_BYTES`]: the subject's doing.
    #[error("the input has more than {TEXT_MAX_BYTES} bytes")]
    InputTooLong,
    /// The reference has more than [`TEXT_MAX_BYTES`]: the evaluator's doing.
    #[error(
        "the reference has more than {TEXT_MAX_BYTES} bytes; text_similarity does not compare longer ones"
    )]
    ReferenceTooLong,
    /// `cosine` compares embeddings, not texts.
    #[error("cosine compares embeddings")]
    NeedsEmbeddings,
}

/// The likeness of a text and its reference, from 0 to 1.
pub fn score(metric: Metric, input: &str, reference: &str) -> Result<f64, SimilarityError> {
    if reference.len() > TEXT_MAX_BYTES {
        return Err(SimilarityError::ReferenceTooLong);
    }
    if input.len() > TEXT_MAX_BYTES {
        return Err(SimilarityError::InputTooLong);
    }
    Ok(match metric {
        Metric::Cosine => return Err(SimilarityError::NeedsEmbeddings),
        Metric::FuzzyMatch => fuzzy::weighted_ratio(input, reference),
        Metric::Bleu => bleu::score(input, reference),
        Metric::Gleu => gleu::score(input, reference),
        Metric::Meteor => meteor::score(input, reference),
        Metric::Rouge1 => rouge::ngrams(1, input, reference),
        Metric::Rouge2 => rouge::ngrams(2, input, reference),
        Metric::Rouge3 => rouge::ngrams(3, input, reference),
        Metric::Rouge4 => rouge::ngrams(4, input, reference),
        Metric::Rouge5 => rouge::ngrams(5, input, reference),
        Metric::RougeL => rouge::longest_subsequence(input, reference),
    })
}
