//! Formulas: precedence, functions, what is refused, and that nothing makes it slow.

use super::super::formula::{FORMULA_MAX_BYTES, Formula, FormulaError};
use proptest::prelude::*;

fn compute(formula: &str) -> Result<f64, FormulaError> {
    let scores = |name: &str| {
        [("a", 0.5), ("b", 2.0), ("zero", 0.0), ("größe_2", 3.0)]
            .into_iter()
            .find(|s| s.0 == name)
            .map(|s| s.1)
    };
    Formula::parse(formula)?.compute(&scores)
}

#[test]
fn formulas_follow_the_usual_precedence() {
    let cases = [
        ("a", 0.5),
        ("(a + b) / 2", 1.25),
        ("a + b * 2", 4.5),
        ("b - a - 1", 0.5),
        ("8 / 2 / b", 2.0),
        ("-b ^ 2", -4.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("2 ** -1", 0.5),
        ("--b", 2.0),
        ("0.5*a+.5*b", 1.25),
        ("1e2 + 1E-1", 100.1),
        ("2.e", f64::NAN),
        ("min(a, b, 0.1)", 0.1),
        ("max(a, min(b, 3))", 2.0),
        ("abs(-b) + floor(1.7) + ceil(1.2)", 5.0),
        ("exp(0) + sqrt(4) + log(1)", 3.0),
        ("größe_2 * 2", 6.0),
    ];
    for (formula, result) in cases {
        match compute(formula) {
            Ok(computed) => assert!((computed - result).abs() < 1e-12, "{formula}: {computed}"),
            Err(error) => assert!(result.is_nan(), "{formula}: {error}"),
        }
    }
}

#[test]
fn what_cannot_be_read_or_computed_is_an_error() {
    use FormulaError::{Arguments, Incomplete, NoFunction, NoScore, NotFinite, TooDeep, TooLong};
    let long = format!("{}1", "1+".repeat(FORMULA_MAX_BYTES));
    let cases = [
        ("", Incomplete),
        ("a +", Incomplete),
        ("(a", Incomplete),
        ("min()", FormulaError::Unexpected("`)`".into())),
        ("a b", FormulaError::Unexpected("`b`".into())),
        ("a)", FormulaError::Unexpected("`)`".into())),
        ("+a", FormulaError::Unexpected("`+`".into())),
        ("a; b", FormulaError::Unexpected("`;`".into())),
        ("1.2.3", FormulaError::Unexpected("`1.2.3`".into())),
        ("a == b", FormulaError::Unexpected("`=`".into())),
        ("system(1)", NoFunction("system".into())),
        ("sqrt(1, 2)", Arguments("sqrt", 2)),
        ("c", NoScore("c".into())),
        ("1 / zero", NotFinite),
        ("zero / zero", NotFinite),
        ("min(1, sqrt(-1))", NotFinite),
        ("log(0)", NotFinite),
        ("exp(1000)", NotFinite),
        (long.as_str(), TooLong),
        (&"(".repeat(2000), TooDeep),
        (&"-".repeat(2000), TooDeep),
        (&"2^".repeat(2000), TooDeep),
    ];
    for (formula, error) in cases {
        assert_eq!(compute(formula), Err(error), "{}", &formula[..formula.len().min(20)]);
    }
}

#[test]
fn a_formula_knows_the_names_that_it_uses() {
    let formula = Formula::parse("min(a, b) + a * exp(c)").unwrap();
    assert_eq!(formula.names().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
}

proptest! {
    #[test]
    fn any_text_is_computed_or_refused(text in "[a-c0-9+*/^()., e-]{0,60}") {
        let _ = compute(&text);
    }

    #[test]
    fn sums_are_sums(numbers in prop::collection::vec(-1e6..1e6f64, 1..50)) {
        let text: Vec<String> = numbers.iter().map(|n| format!("({n:?})")).collect();
        let sum = compute(&text.join(" + ")).unwrap();
        prop_assert!((sum - numbers.iter().sum::<f64>()).abs() < 1e-3);
    }
}
