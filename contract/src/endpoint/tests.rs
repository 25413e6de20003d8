//! What a version may be, field by field: what is refused, and where the refusal points.

use super::*;
use serde_json::json;

fn config(extra: Value) -> Result<VersionConfig, serde_json::Error> {
    let mut body = json!({"targets": [{"base_url": "https://api.example.com/v1", "model": "m"}]});
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    serde_json::from_value(body)
}

#[test]
fn the_smallest_version_is_complete() {
    let config = config(json!({})).unwrap();
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.allow, Allow::default());
}

#[test]
fn what_cannot_be_served_is_refused_with_its_path() {
    let cases = [
        (json!({"targets": []}), "targets"),
        (json!({"targets": [{"base_url": "https://a", "model": ""}]}), "targets[0].model"),
        (json!({"defaults": {"model": "x"}}), "defaults.model"),
        (json!({"defaults": {"x": "y".repeat(DEFAULTS_MAX_BYTES)}}), "defaults"),
        (json!({"instructions": "y".repeat(INSTRUCTIONS_MAX_BYTES + 1)}), "instructions"),
        (json!({"locked": ["input"]}), "locked"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"retries": 4}), "retries"),
        (json!({"retain": {"days": 0}}), "retain.days"),
        (json!({"retain": {"days": 366}}), "retain.days"),
        (json!({"output_schema": {"name": "a b", "schema": {}}}), "output_schema.name"),
        (json!({"output_schema": {"name": "", "schema": {}}}), "output_schema.name"),
        (json!({"output_schema": {"name": "a", "schema": true}}), "output_schema.schema"),
        (
            json!({"output_schema": {"name": "a", "schema": {"title": "y".repeat(64 * 1024)}}}),
            "output_schema.schema",
        ),
        (json!({"shape": {"fields": [""]}}), "shape.fields"),
        (json!({"shape": {"tools": {"named": vec!["f"; NAMES_MAX + 1]}}}), "shape.tools"),
        (json!({"shape": {"input_max_bytes": 0}}), "shape.input_max_bytes"),
        (json!({"shape": {"images_max": 501}}), "shape.images_max"),
        (json!({"shape": {"image_kinds": []}}), "shape.image_kinds"),
    ];
    for (extra, param) in cases {
        assert_eq!(config(extra).unwrap().check().unwrap_err().param, param);
    }
    let unknown = [
        json!({"modle": 1}),
        json!({"quota_mode": "lent"}),
        json!({"retain": {"days": 1, "hours": 2}}),
        json!({"shape": {"image_kinds": ["tiff"]}}),
        json!({"shape": {"tools": "some"}}),
        json!({"output_schema": {"name": "a", "schema": {}, "repairs": 1}}),
    ];
    for extra in unknown {
        assert!(config(extra.clone()).is_err(), "{extra}");
    }
}

fn target(extra: Value) -> Result<VersionConfig, serde_json::Error> {
    let mut target = json!({"base_url": "https://api.example.com/v1", "model": "m"});
    for (key, value) in extra.as_object().unwrap() {
        target[key] = value.clone();
    }
    config(json!({"targets": [target]}))
}

#[test]
fn a_target_that_cannot_be_asked_is_refused_with_its_path() {
    let many: Map<String, Value> = (0..17).map(|n| (format!("x-portkey-{n}"), json!("1"))).collect();
    let cases = [
        (json!({"weight": 0}), "weight"),
        (json!({"weight": 1_001}), "weight"),
        (json!({"regions": ["EU", "NA", "EU"]}), "regions"),
        (json!({"timeouts": {"connect_ms": 9}}), "timeouts.connect_ms"),
        (json!({"timeouts": {"total_ms": 900_001}}), "timeouts.total_ms"),
        (json!({"timeouts": {"first_token_ms": 100, "total_ms": 99}}), "timeouts.total_ms"),
        (json!({"headers": many}), "headers"),
        (json!({"headers": {"authorization": "x"}}), "headers.authorization"),
        (json!({"headers": {"x-portkey-": "x"}}), "headers.x-portkey-"),
        (json!({"headers": {"X-Portkey-Provider": "x"}}), "headers.X-Portkey-Provider"),
        (json!({"headers": {"x-portkey-api-key": "x"}}), "headers.x-portkey-api-key"),
        (json!({"headers": {"x-portkey-provider": "a\r\nb: c"}}), "headers.x-portkey-provider"),
        (json!({"headers": {"x-portkey-provider": ""}}), "headers.x-portkey-provider"),
        (json!({"headers": {"x-portkey-config": "y".repeat(4_097)}}), "headers.x-portkey-config"),
    ];
    for (extra, param) in cases {
        assert_eq!(target(extra).unwrap().check().unwrap_err().param, format!("targets[0].{param}"));
    }
    for extra in [json!({"protocol": "smtp"}), json!({"regions": ["XX"]}), json!({"region": "EU"})] {
        assert!(target(extra.clone()).is_err(), "{extra}");
    }
}

#[test]
fn a_version_with_every_field_is_written_as_it_was_read_and_defaults_are_not_written() {
    let every = json!({
        "targets": [{
            "base_url": "https://gateway.example.com/v1", "model": "m", "protocol": "chat", "order": 1, "weight": 3,
            "regions": ["EU", "NA"], "headers": {"x-portkey-provider": "anthropic"},
            "timeouts": {"connect_ms": 1_000, "first_token_ms": 20_000, "total_ms": 60_000},
        }],
        "allow": Allow::default(),
        "retries": 2,
        "quota_mode": "leased",
        "output_schema": {"name": "scene", "schema": {"type": "object"}, "strict": true, "repair": true},
        "shape": {
            "fields": ["temperature"], "input_max_bytes": 1_000, "images_max": 4, "image_kinds": ["png", "jpeg"],
            "tools": {"named": ["look_up"]},
        },
        "retain": {"days": 30},
    });
    let read: VersionConfig = serde_json::from_value(every.clone()).unwrap();
    assert_eq!(read.check(), Ok(()));
    assert_eq!(serde_json::to_value(&read).unwrap(), every);
    let smallest = serde_json::to_value(config(json!({})).unwrap()).unwrap();
    assert_eq!(smallest.as_object().unwrap().keys().collect::<Vec<_>>(), ["allow", "targets"]);
    assert_eq!(smallest["targets"][0].as_object().unwrap().len(), 2);
}

#[test]
fn a_region_is_known_by_its_code_only() {
    for region in Region::ALL {
        assert_eq!(Region::of_code(region.code()), Some(region));
        assert_eq!(serde_json::to_value(region).unwrap(), region.code());
    }
    assert_eq!(Region::of_code("eu"), None);
    assert_eq!(Region::of_code("T1"), None);
}

#[test]
fn a_shape_takes_the_fields_that_it_names_and_those_that_every_request_has() {
    let shape = Shape { fields: Some(vec!["temperature".into()]), ..Shape::default() };
    let taken = ["model", "input", "stream", "temperature"].map(|field| shape.takes(field));
    assert_eq!((taken, shape.takes("instructions")), ([true; 4], false));
    assert!(Shape::default().takes("instructions"));
}

#[test]
fn cost_is_rounded_up_and_never_overflows() {
    let price = Price { input_micros_per_mtok: 2_500_000, output_micros_per_mtok: 10_000_000 };
    assert_eq!(price.cost_micros(1, 0), 3);
    assert_eq!(price.cost_micros(1_000_000, 500_000), 7_500_000);
    assert_eq!(price.cost_micros(u64::MAX, u64::MAX), u64::MAX);
}
