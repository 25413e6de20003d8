//! Named images under real gVisor: every language that an image has, what graders import, and what is not whole.
//!
//! Skipped, with a line that says why, where there is no gVisor or no image.

mod images {
    pub mod host;
}

use alphagate_contract::job::{Ending, Language};
use alphagate_runner::{
    image::{ImageError, Store},
    sandbox::GVISOR_MARK,
};
use images::host::{Host, job};

/// A program in every language, which prints 42 and where it runs.
const fn program(language: Language) -> &'static str {
    match language {
        Language::Python => "import os; print(6 * 7, os.uname().sysname, os.getcwd())",
        Language::Javascript => "console.log(6 * 7, require('os').type(), process.cwd())",
        Language::Bash => "echo $((6 * 7)) $(sed s/x/L/ <<< xinux) $PWD",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_language_of_every_image_runs_in_gvisor() {
    let rows: [(&str, &[Language]); 2] =
        [("minimal", Language::ALL), ("grader", &[Language::Python, Language::Bash])];
    let Some(host) = Host::new() else { return };
    for (image, languages) in rows {
        for &language in languages {
            let seen = host.run(&job(image, language, program(language))).await;
            assert_eq!(seen.report.ending, Ending::Exited { code: 0 }, "{image} {language:?}: {seen:?}");
            assert_eq!(seen.out(), "42 Linux /job\n", "{image} {language:?}");
            let isolation = seen.report.isolation.unwrap();
            assert!(isolation.kernel.contains(GVISOR_MARK) && !isolation.weak, "{isolation:?}");
            assert_eq!(isolation.image_digest, host.store.find(image).unwrap().digest);
        }
    }
}

/// Everything that OpenAI's image of 2025-05-08 has, but scikit-bio, and that it works, not only loads.
const GRADER: &str = r#"
import ast_grep_py, deepdiff, jsonschema, numpy, pandas, pydantic, sqlparse, sympy, yaml
import nltk.translate.bleu_score, rapidfuzz.fuzz, scipy.stats, sklearn.metrics
from rdkit.Chem import Descriptors, MolFromSmiles
from rouge_score import rouge_scorer

assert rapidfuzz.fuzz.ratio("abc", "abd") > 60
assert nltk.translate.bleu_score.sentence_bleu([["a", "b", "c", "d"]], ["a", "b", "c", "d"]) == 1
assert rouge_scorer.RougeScorer(["rougeL"]).score("the fox", "the fox")["rougeL"].fmeasure == 1
assert sklearn.metrics.f1_score([0, 1, 1], [0, 1, 1]) == 1
assert scipy.stats.spearmanr([1, 2, 3], [2, 4, 6]).statistic == 1
assert pandas.DataFrame({"a": numpy.arange(3)})["a"].sum() == 3
assert sympy.simplify("(x**2 - 1) / (x - 1)") == sympy.sympify("x + 1")
assert yaml.safe_load("a: 1") == {"a": 1} and not deepdiff.DeepDiff({"a": 1}, {"a": 1})
assert 46 < Descriptors.MolWt(MolFromSmiles("CCO")) < 47
jsonschema.validate({"a": 1}, {"required": ["a"]})
print("all of it")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn graders_find_what_they_import() {
    let Some(host) = Host::new() else { return };
    let seen = host.run(&job("grader", Language::Python, GRADER)).await;
    assert_eq!((seen.out().as_str(), seen.err().as_str()), ("all of it\n", ""), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_refused_before_a_start() {
    let Some(host) = Host::new() else { return };
    for image in ["absent", "..", "minimal/rootfs"] {
        let seen = host.run(&job(image, Language::Bash, "echo ran")).await;
        let Ending::NotRun { code, .. } = &seen.report.ending else { panic!("{image}: {seen:?}") };
        assert_eq!((code.as_str(), seen.out().as_str()), ("image_unavailable", ""), "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_content_was_changed_is_found_out() {
    let Some(host) = Host::new() else { return };
    let copy = tempfile::tempdir().unwrap();
    let home = copy.path().join("minimal");
    std::fs::create_dir_all(home.join("rootfs/etc")).unwrap();
    std::fs::write(home.join("rootfs/etc/passwd"), "root::0:0::/:/bin/sh\n").unwrap();
    std::fs::write(home.join("digest"), host.store.find("minimal").unwrap().digest).unwrap();
    let store = Store::new(copy.path().to_owned());
    assert!(matches!(store.verify("minimal"), Err(ImageError::Changed { .. })));
}
