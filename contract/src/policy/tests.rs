//! What a policy may be, and that several of them are never looser together than each is alone.

use super::*;
use crate::endpoint::{ImageKind, Retain, ToolPolicy, VersionConfig};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

fn policy(document: Value) -> Policy {
    serde_json::from_value(document).unwrap()
}

fn version(extra: Value) -> VersionConfig {
    let mut body = json!({"targets": [{"base_url": "https://api.example.com/v1", "model": "m"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(body).unwrap()
}

fn moderation(extra: Value) -> Value {
    let mut moderation = json!({"base_url": "https://a/v1", "model": "omni", "thresholds": {"hate": 0.5}, "looks_at": "input"});
    moderation.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    moderation
}

#[test]
fn what_cannot_be_a_policy_is_refused_with_its_path() {
    let many: Vec<Value> = (0..5).map(|n| moderation(json!({"model": format!("m{n}")}))).collect();
    let cases = [
        (json!({"shape": {"images_max": 501}}), "shape.images_max"),
        (json!({"locked": ["stream"]}), "locked"),
        (json!({"locked": vec!["x"; NAMES_MAX + 1]}), "locked"),
        (json!({"retention": {"max_days": 366}}), "retention.max_days"),
        (json!({"moderation": many}), "moderation"),
        (json!({"moderation": [moderation(json!({})), moderation(json!({}))]}), "moderation[1]"),
        (json!({"moderation": [moderation(json!({"model": ""}))]}), "moderation[0].model"),
        (json!({"moderation": [moderation(json!({"base_url": ""}))]}), "moderation[0].base_url"),
        (json!({"moderation": [moderation(json!({"thresholds": {}}))]}), "moderation[0].thresholds"),
        (
            json!({"moderation": [moderation(json!({"thresholds": {"hate": 1.5}}))]}),
            "moderation[0].thresholds.hate",
        ),
        (
            json!({"moderation": [moderation(json!({"thresholds": {"x".repeat(65): 1}}))]}),
            &format!("moderation[0].thresholds.{}", "x".repeat(65)),
        ),
    ];
    for (document, param) in cases {
        assert_eq!(policy(document).check().unwrap_err().param, param);
    }
    for unknown in [
        json!({"pii": {"name": "redact"}}),
        json!({"pii": {"email": "hide"}}),
        json!({"retention": {"max_hours": 1}}),
        json!({"moderation": [moderation(json!({"looks_at": "nothing"}))]}),
        json!({"prompt": 1}),
    ] {
        assert!(serde_json::from_value::<Policy>(unknown.clone()).is_err(), "{unknown}");
    }
}

#[test]
fn a_policy_with_every_part_is_written_as_it_was_read_and_an_empty_one_is_empty() {
    let every = json!({
        "shape": {"images_max": 0}, "locked": ["instructions"], "retention": {"max_days": 1},
        "pii": {"email": "redact", "us_ssn": "refuse"}, "moderation": [moderation(json!({"looks_at": "both"}))],
    });
    assert_eq!(policy(every.clone()).check(), Ok(()));
    assert_eq!(serde_json::to_value(policy(every.clone())).unwrap(), every);
    assert_eq!(serde_json::to_value(Policy::default()).unwrap(), json!({}));
}

#[test]
fn a_version_refers_to_each_policy_once() {
    let refers = |policies: Value| version(json!({"policies": policies})).check();
    assert_eq!(refers(json!([{"name": "school"}, {"name": "pii", "revision": 3}])), Ok(()));
    let twice = json!([{"name": "a"}, {"name": "a", "revision": 2}]);
    assert_eq!(refers(twice).unwrap_err().param, "policies[1].name");
    assert_eq!(refers(json!([{"name": "a", "revision": 0}])).unwrap_err().param, "policies[0].revision");
    let many: Vec<Value> = (0..=POLICIES_MAX).map(|n| json!({"name": format!("p{n}")})).collect();
    assert_eq!(refers(json!(many)).unwrap_err().param, "policies");
}

#[test]
fn retention_caps_what_is_kept_here_and_ends_what_is_kept_elsewhere() {
    let open =
        json!({"retain": {"days": 30}, "allow": {"store": true, "background": true, "conversation": true}});
    let days = |max_days: u16| Policy { retention: Some(Retention { max_days }), ..Policy::default() };
    for (max_days, kept) in [(0, None), (1, Some(1)), (30, Some(30)), (365, Some(30))] {
        let resolved = version(open.clone()).under(&[days(max_days)]).unwrap();
        assert_eq!(resolved.retain, kept.map(|days| Retain { days }), "{max_days}");
        assert!(!(resolved.allow.store || resolved.allow.background || resolved.allow.conversation));
    }
    assert_eq!(version(json!({})).under(&[days(7)]).unwrap().retain, None);
    let refused = version(json!({"defaults": {"background": true}})).under(&[days(7)]).unwrap_err();
    assert_eq!(refused.param, "defaults.background");
}

#[test]
fn without_policies_a_version_is_as_it_was_written() {
    let written = version(json!({"locked": ["z", "a"], "shape": {"images_max": 0, "image_kinds": ["png"]}}));
    assert_eq!(written.under(&[]), Ok(written.clone()));
    let refers = version(json!({"policies": [{"name": "a", "revision": 1}]}));
    assert_eq!(refers.under(&[Policy::default()]).unwrap().policies, []);
}

#[test]
fn together_they_must_be_within_the_limits_too() {
    let names = |from: usize| (from..from + NAMES_MAX).map(|n| format!("f{n}")).collect();
    let many = [0, NAMES_MAX].map(|from| Policy { locked: names(from), ..Policy::default() });
    assert_eq!(version(json!({})).under(&many).unwrap_err().param, "locked");
}

prop_compose! {
    fn shapes()(
        fields in option::of(vec(select(vec!["temperature", "tools", "user", "top_p"]), 0..4)),
        input_max_bytes in option::of(1_u64..5),
        images_max in option::of(0_u16..4),
        image_kinds in option::of(vec(select(KINDS.to_vec()), 1..4)),
        tools in prop_oneof![
            Just(ToolPolicy::Any),
            Just(ToolPolicy::None),
            vec(select(vec!["f", "g", "h"]), 0..4)
                .prop_map(|names| ToolPolicy::Named(names.into_iter().map(Into::into).collect())),
        ],
    ) -> Shape {
        let fields = fields.map(|fields| fields.into_iter().map(Into::into).collect());
        Shape { fields, input_max_bytes, images_max, image_kinds, tools }
    }
}

const KINDS: [ImageKind; 4] = [ImageKind::Png, ImageKind::Jpeg, ImageKind::Gif, ImageKind::Webp];

prop_compose! {
    fn moderations()(
        model in select(vec!["m", "n"]),
        thresholds in proptest::collection::btree_map(select(vec!["hate", "violence"]), 0_u8..5, 1..3),
        looks_at in select(vec![LooksAt::Input, LooksAt::Output, LooksAt::Both]),
    ) -> Moderation {
        let thresholds = thresholds.into_iter().map(|(name, tenths)| (name.to_owned(), f64::from(tenths) / 10.0));
        let (base_url, model) = ("https://a/v1".into(), model.into());
        Moderation { base_url, credential: None, model, thresholds: thresholds.collect(), looks_at }
    }
}

prop_compose! {
    fn policies()(
        shape in shapes(),
        locked in vec(select(vec!["tools", "user", "temperature"]), 0..3),
        max_days in option::of(0_u16..5),
        pii in proptest::collection::btree_map(
            select(PiiKind::ALL.to_vec()), select(vec![PiiAction::Redact, PiiAction::Refuse]), 0..4),
        moderation in vec(moderations(), 0..2),
    ) -> Policy {
        let retention = max_days.map(|max_days| Retention { max_days });
        Policy { shape, locked: locked.into_iter().map(Into::into).collect(), retention, pii, moderation }
    }
}

/// A request with its answer, as far as policies look at it.
#[derive(Debug, Clone)]
struct Walk {
    field: &'static str,
    input_bytes: u64,
    images: Vec<ImageKind>,
    tool: &'static str,
    kept_days: u16,
    pii: (PiiKind, Option<PiiAction>),
    score: (&'static str, &'static str, f64, LooksAt),
}

prop_compose! {
    fn walks()(
        field in select(vec!["temperature", "tools", "user", "top_p"]),
        input_bytes in 0_u64..6,
        images in vec(select(KINDS.to_vec()), 0..4),
        tool in select(vec!["f", "g", "h"]),
        kept_days in 0_u16..6,
        kind in select(PiiKind::ALL.to_vec()),
        action in option::of(select(vec![PiiAction::Redact, PiiAction::Refuse])),
        model in select(vec!["m", "n"]),
        category in select(vec!["hate", "violence"]),
        tenths in 0_u8..6,
        side in select(vec![LooksAt::Input, LooksAt::Output]),
    ) -> Walk {
        let score = (model, category, f64::from(tenths) / 10.0, side);
        Walk { field, input_bytes, images, tool, kept_days, pii: (kind, action), score }
    }
}

/// Every demand by its name, and whether the walk meets it.
fn demands(policy: &Policy, walk: &Walk) -> Vec<(&'static str, bool)> {
    let shape = &policy.shape;
    let (model, category, score, side) = walk.score;
    let looks = |at: LooksAt| if side == LooksAt::Input { at.input() } else { at.output() };
    let over = policy.moderation.iter().any(|moderation| {
        moderation.model == model
            && looks(moderation.looks_at)
            && moderation.thresholds.get(category).is_some_and(|threshold| score > *threshold)
    });
    vec![
        ("fields", shape.takes(walk.field)),
        ("locked", !policy.locked.iter().any(|field| field == walk.field)),
        ("input", shape.input_max_bytes.is_none_or(|most| walk.input_bytes <= most)),
        ("images", shape.images_max.is_none_or(|most| walk.images.len() <= usize::from(most))),
        (
            "kinds",
            shape
                .image_kinds
                .as_ref()
                .is_none_or(|kinds| walk.images.iter().all(|kind| kinds.contains(kind))),
        ),
        (
            "tools",
            match &shape.tools {
                ToolPolicy::Any => true,
                ToolPolicy::None => false,
                ToolPolicy::Named(names) => names.iter().any(|name| name == walk.tool),
            },
        ),
        ("retention", policy.retention.is_none_or(|retention| walk.kept_days <= retention.max_days)),
        ("pii", policy.pii.get(&walk.pii.0).copied() <= walk.pii.1),
        ("moderation", !over),
    ]
}

fn meets(policy: &Policy, walk: &Walk) -> bool {
    demands(policy, walk).iter().all(|(_, met)| *met)
}

proptest! {
    #[test]
    fn order_and_repetition_mean_nothing(a in policies(), b in policies(), c in policies()) {
        prop_assert_eq!(a.with(&b), b.with(&a));
        prop_assert_eq!(a.with(&b).with(&c), a.with(&b.with(&c)));
        let once = a.with(&a);
        prop_assert_eq!(&once.with(&a), &once);
        prop_assert_eq!(&once.with(&Policy::default()), &once);
    }

    #[test]
    fn the_whole_lets_through_exactly_what_every_part_does(
        a in policies(), b in policies(), walk in walks()
    ) {
        let whole = a.with(&b);
        prop_assert_eq!(meets(&whole, &walk), meets(&a, &walk) && meets(&b, &walk), "{:?}", whole);
    }

    #[test]
    fn a_version_under_policies_is_never_looser_than_it_was(
        parts in vec(policies(), 0..3), own in policies(), days in option::of(1_u16..6), walk in walks()
    ) {
        let mut config = version(json!({}));
        (config.shape, config.locked, config.pii) = (own.shape.clone(), own.locked.clone(), own.pii.clone());
        config.moderation = own.with(&own).moderation;
        config.retain = days.map(|days| Retain { days });
        let resolved = config.under(&parts).unwrap();
        let effective = Policy {
            shape: resolved.shape.clone(),
            locked: resolved.locked.clone(),
            retention: Some(Retention { max_days: resolved.retain.map_or(0, |retain| retain.days) }),
            pii: resolved.pii.clone(),
            moderation: resolved.moderation.clone(),
        };
        if meets(&effective, &walk) {
            for part in parts.iter().chain([&Policy { retention: None, ..own }]) {
                prop_assert!(meets(part, &walk), "{:?} {:?}", part, demands(part, &walk));
            }
        }
        prop_assert_eq!(resolved.check().is_ok(), true);
    }
}
