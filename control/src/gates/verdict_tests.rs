//! The verdict, as a table and as laws.

use super::*;
use proptest::prelude::*;

fn measured(passed: i64, failed: i64, errored: i64) -> Measured {
    Measured {
        status: RunStatus::Completed,
        passed,
        failed,
        errored,
        infrastructure: errored,
        total: passed + failed + errored,
        mean_scores: BTreeMap::new(),
    }
}

fn rate(rate: f64) -> Thresholds {
    Thresholds { pass_rate: Some(rate), ..Thresholds::default() }
}

fn mean(grader: &str, least: f64) -> Thresholds {
    Thresholds { mean_score: [(grader.to_owned(), least)].into(), ..Thresholds::default() }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed { .. } => "failed",
        Verdict::Inconclusive { .. } => "inconclusive",
    }
}

#[test]
fn a_table_of_verdicts() {
    let with = |mut base: Measured, scores: &[(&str, f64)]| {
        base.mean_scores = scores.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect();
        base
    };
    let ended = |status| Measured { status, ..measured(10, 0, 0) };
    let rate_with = |least, max_errors| Thresholds { max_errors, ..rate(least) };
    let tolerant = rate_with(0.9, 2);
    let both = Thresholds { pass_rate: Some(1.0), ..mean("length", 0.5) };
    let cases = [
        (measured(10, 0, 0), rate(1.0), "passed"),
        (measured(9, 1, 0), rate(1.0), "failed"),
        (measured(9, 1, 0), rate(0.9), "passed"),
        (measured(1, 2, 0), rate(1.0 / 3.0), "passed"),
        (measured(7, 3, 0), rate(0.7), "passed"),
        (measured(0, 10, 0), rate(0.0), "passed"),
        // Ours: never the version's fault, whatever the other items say.
        (measured(9, 0, 1), rate(1.0), "inconclusive"),
        (measured(0, 9, 1), rate(1.0), "inconclusive"),
        (measured(0, 0, 10), rate(0.0), "inconclusive"),
        (measured(9, 0, 2), tolerant.clone(), "passed"),
        (measured(9, 2, 2), tolerant.clone(), "failed"),
        (measured(9, 0, 3), tolerant.clone(), "inconclusive"),
        (measured(0, 0, 2), tolerant, "inconclusive"),
        // Not ours: within what is allowed, they have not passed.
        (Measured { infrastructure: 0, ..measured(9, 0, 2) }, rate_with(0.9, 2), "failed"),
        (Measured { infrastructure: 1, ..measured(9, 0, 2) }, rate_with(0.9, 2), "passed"),
        (Measured { infrastructure: 0, ..measured(9, 0, 2) }, rate_with(0.9, 1), "inconclusive"),
        // Items that nobody has counted.
        (Measured { total: 11, ..measured(10, 0, 0) }, rate(1.0), "inconclusive"),
        (measured(0, 0, 0), rate(0.0), "inconclusive"),
        // A run that did not complete says nothing, even if all that it did passed.
        (ended(RunStatus::Canceled), rate(1.0), "inconclusive"),
        (ended(RunStatus::Failed), rate(1.0), "inconclusive"),
        // Scores.
        (with(measured(1, 0, 0), &[("length", 0.5)]), mean("length", 0.5), "passed"),
        (with(measured(1, 0, 0), &[("length", 0.49)]), mean("length", 0.5), "failed"),
        (with(measured(1, 0, 0), &[("length", f64::NAN)]), mean("length", 0.5), "inconclusive"),
        (with(measured(1, 0, 0), &[("other", 1.0)]), mean("length", 0.5), "inconclusive"),
        (measured(0, 1, 0), both.clone(), "failed"),
        (measured(1, 0, 0), both, "inconclusive"),
    ];
    for (number, (measured, thresholds, expected)) in cases.iter().enumerate() {
        let verdict = verdict(measured, thresholds);
        assert_eq!(word(&verdict), *expected, "case {number}: {measured:?} {thresholds:?} {verdict:?}");
    }
}

#[test]
fn a_failed_verdict_names_every_threshold_that_was_missed() {
    let thresholds = Thresholds { pass_rate: Some(0.8), ..mean("length", 0.5) };
    let mut run = measured(1, 1, 0);
    run.mean_scores.insert("length".to_owned(), 0.25);
    let reasons = vec![
        Reason::PassRate { wanted: 0.8, measured: 0.5 },
        Reason::MeanScore { grader: "length".to_owned(), wanted: 0.5, measured: 0.25 },
    ];
    assert_eq!(verdict(&run, &thresholds), Verdict::Failed { reasons });
}

#[test]
fn thresholds_that_say_nothing_or_nonsense_are_refused() {
    assert!(
        rate(0.0).check("t").is_ok() && rate(1.0).check("t").is_ok() && mean("a", -1.0).check("t").is_ok()
    );
    let many = (0..=MEAN_SCORES_MAX).map(|number| (number.to_string(), 0.5)).collect();
    let bad = [
        Thresholds::default(),
        Thresholds { max_errors: 3, ..Thresholds::default() },
        rate(1.1),
        rate(-0.1),
        rate(f64::NAN),
        mean("a", f64::INFINITY),
        Thresholds { mean_score: many, ..Thresholds::default() },
    ];
    for thresholds in bad {
        assert!(thresholds.check("t").is_err(), "{thresholds:?}");
    }
}

fn any_run() -> impl Strategy<Value = Measured> {
    let status = prop_oneof![8 => Just(RunStatus::Completed), 1 => Just(RunStatus::Failed)];
    let scores = proptest::option::of(-2.0..2.0_f64);
    (status, 0..1_000_i64, 0..1_000_i64, 0..4_i64, scores).prop_map(
        |(status, passed, failed, errored, score)| {
            let mean_scores = score.map(|score| ("g".to_owned(), score)).into_iter().collect();
            Measured { status, mean_scores, ..measured(passed, failed, errored) }
        },
    )
}

fn any_thresholds() -> impl Strategy<Value = Thresholds> {
    let (rates, scores) = (proptest::option::of(0.0..=1.0_f64), proptest::option::of(-2.0..2.0_f64));
    (rates, scores, 0..4_u32).prop_map(|(pass_rate, score, max_errors)| {
        let mean_score = score.map(|score| ("g".to_owned(), score)).into_iter().collect();
        Thresholds { pass_rate, mean_score, max_errors }
    })
}

proptest! {
    #[test]
    fn errors_of_ours_never_decide(run in any_run(), thresholds in any_thresholds()) {
        let found = verdict(&run, &thresholds);
        if run.errored > i64::from(thresholds.max_errors) || run.status != RunStatus::Completed {
            prop_assert_eq!(word(&found), "inconclusive");
        }
        // Within what is allowed, they change nothing: neither fail nor pass anything.
        let allowed = i64::from(thresholds.max_errors);
        let clean = Measured { errored: 0, infrastructure: 0, total: run.passed + run.failed, ..run.clone() };
        if run.errored <= allowed {
            prop_assert_eq!(found, verdict(&clean, &thresholds));
        }
    }

    #[test]
    fn a_better_run_never_does_worse(run in any_run(), thresholds in any_thresholds()) {
        prop_assume!(run.failed > 0);
        let better = Measured { passed: run.passed + 1, failed: run.failed - 1, ..run.clone() };
        if verdict(&run, &thresholds) == Verdict::Passed {
            prop_assert_eq!(verdict(&better, &thresholds), Verdict::Passed);
        }
    }

    #[test]
    fn a_stricter_gate_never_lets_more_through(run in any_run(), thresholds in any_thresholds(), by in 0.0..0.5_f64) {
        let mut stricter = thresholds.clone();
        stricter.pass_rate = thresholds.pass_rate.map(|rate| rate + by);
        stricter.mean_score.values_mut().for_each(|least| *least += by);
        if matches!(verdict(&run, &thresholds), Verdict::Failed { .. }) {
            prop_assert_eq!(word(&verdict(&run, &stricter)), "failed");
        }
        if verdict(&run, &stricter) == Verdict::Passed {
            prop_assert_eq!(verdict(&run, &thresholds), Verdict::Passed);
        }
    }

    #[test]
    fn a_failure_has_a_reason(run in any_run(), thresholds in any_thresholds()) {
        if let Verdict::Failed { reasons } = verdict(&run, &thresholds) {
            prop_assert!(!reasons.is_empty());
        }
    }
}
