//! Known answers, the same natively and in Wasm: what one program writes, the other must read to the bit.
//!
//! `vectors/*.json` hold inputs and answers. A change of theirs is a change of the wire: old and new programs
//! run side by side while a deploy drains, so it needs a new version tag, not a new answer.
#![expect(clippy::unwrap_used, reason = "a vector that cannot be read is a failed test")]

use alphagate_contract::{
    id::{CredentialId, EndpointId, InstallId, KeyId, OrgId, RequestId, RunId},
    key::{ApiKey, Mode, SECRET_BYTES},
    quota::{
        Amounts, Quota,
        book::{Book, Caller, Decision},
    },
    record::{Push, Record},
    ring::Ring,
    seal::{Binding, Sealed},
    sign::{self, Audience, Signed},
    usage::UsageBatch,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

#[test]
fn keys() {
    let vectors = vectors(include_str!("../vectors/keys.json"));
    for case in vectors["cases"].as_array().unwrap() {
        let ring = Ring::parse(text(case, "ring")).unwrap();
        let mode: Mode = serde_json::from_value(case["mode"].clone()).unwrap();
        let (org, id) =
            (text(case, "org").parse::<OrgId>().unwrap(), text(case, "key").parse::<KeyId>().unwrap());
        let mut secret = [0; SECRET_BYTES];
        hex::decode_to_slice(text(case, "secret"), &mut secret).unwrap();
        let key = ApiKey::mint(&ring, mode, org, id, secret);
        assert_eq!(key.text().reveal(), text(case, "text"));
        assert_eq!(String::from(key.digest()), text(case, "digest"));
        assert_eq!(ApiKey::verify(&ring, text(case, "text")), Ok(key));
    }
}

#[test]
fn keys_of_runs() {
    let vectors = vectors(include_str!("../vectors/keys.json"));
    for case in vectors["runs"].as_array().unwrap() {
        let ring = Ring::parse(text(case, "ring")).unwrap();
        let (org, run) =
            (text(case, "org").parse::<OrgId>().unwrap(), text(case, "run").parse::<RunId>().unwrap());
        let epoch = u32::try_from(case["epoch"].as_u64().unwrap()).unwrap();
        let key = ApiKey::of_run(&ring, text(case, "kid"), org, run, epoch).unwrap();
        assert_eq!(key.text().reveal(), text(case, "text"));
        assert_eq!(String::from(key.digest()), text(case, "digest"));
        assert_eq!(ApiKey::verify(&ring, text(case, "text")), Ok(key));
    }
}

#[test]
fn signatures() {
    let vectors = vectors(include_str!("../vectors/signatures.json"));
    for case in vectors["cases"].as_array().unwrap() {
        let ring = Ring::parse(text(case, "ring")).unwrap();
        let audience = match text(case, "audience") {
            "edge" => Audience::Edge,
            "passed on" => Audience::PassedOn,
            _ => Audience::Control,
        };
        let signed = Signed {
            audience,
            method: text(case, "method"),
            path_and_query: text(case, "path_and_query"),
            body: text(case, "body").as_bytes(),
        };
        let time_ms = case["time_ms"].as_u64().unwrap();
        assert_eq!(sign::sign(&ring, &signed, time_ms), text(case, "header"));
        assert_eq!(sign::verify(&ring, text(case, "header"), &signed, time_ms), Ok(()));
    }
}

#[test]
fn sealed_credentials() {
    let vectors = vectors(include_str!("../vectors/seals.json"));
    for case in vectors["cases"].as_array().unwrap() {
        let ring = Ring::parse(text(case, "private_keys")).unwrap();
        let sealed: Sealed = serde_json::from_value(case["sealed"].clone()).unwrap();
        let binding = Binding {
            org: text(case, "org").parse::<OrgId>().unwrap(),
            credential: text(case, "credential").parse::<CredentialId>().unwrap(),
            revision: case["revision"].as_u64().unwrap(),
            origin: text(case, "origin"),
        };
        assert_eq!(sealed.open(&ring, &binding).unwrap().reveal(), text(case, "clear"));
    }
}

#[test]
fn wire_formats() {
    let vectors = vectors(include_str!("../vectors/wire.json"));
    fn same<T: DeserializeOwned + Serialize>(written: &Value) {
        let read: T = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), *written);
    }
    for record in vectors["records"].as_array().unwrap() {
        same::<Record>(record);
    }
    same::<Push>(&vectors["push"]);
    same::<UsageBatch>(&vectors["usage"]);
    for quota in vectors["quotas"].as_array().unwrap() {
        same::<Quota>(quota);
    }
}

#[test]
fn quota_decisions() {
    let vectors = vectors(include_str!("../vectors/quotas.json"));
    let quotas: Vec<Quota> = serde_json::from_value(vectors["quotas"].clone()).unwrap();
    let caller = Caller {
        key: Some(text(&vectors, "key").parse::<KeyId>().unwrap()),
        endpoint: text(&vectors, "endpoint").parse::<EndpointId>().unwrap(),
        install: Some(text(&vectors, "install").parse::<InstallId>().unwrap()),
    };
    let mut book = Book::default();
    for step in vectors["steps"].as_array().unwrap() {
        let now_ms = step["at_ms"].as_u64().unwrap();
        let id = text(step, "id").parse::<RequestId>().unwrap();
        let amounts: Amounts = serde_json::from_value(step["amounts"].clone()).unwrap();
        let answer = match text(step, "do") {
            "reserve" => match book.reserve(now_ms, &quotas, &caller, id, amounts, 60_000) {
                Decision::Admitted(_) => "admitted".to_owned(),
                Decision::Spent => "spent".to_owned(),
                Decision::Refused(refused) => {
                    format!("{} {}", refused.quota.label(), refused.retry_after_ms.unwrap_or(0))
                }
            },
            "settle" => book.settle(now_ms, id, amounts).is_some().to_string(),
            "cancel" => book.cancel(now_ms, id).is_some().to_string(),
            other => panic!("no such step: {other}"),
        };
        assert_eq!(answer, text(step, "answer"), "{step}");
    }
}
