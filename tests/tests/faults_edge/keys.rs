//! Keys (E01, E02, E03, E27): what is no key of ours costs no look-up, and what is one outlives rotations.

use std::time::UNIX_EPOCH;

use alphagate_bed::Bed;
use alphagate_contract::{
    id::{KeyId, OrgId},
    key::{ApiKey, Mode, SECRET_BYTES},
    record::{KeyRecord, Record, RecordKey, RecordValue},
    ring::Ring,
};
use alphagate_tests::{Caller, Raw, Stage, raw::Answer};
use anyhow::{Result, ensure};
use serde_json::json;

use crate::{GENERATIONS, Troubled, ring};

/// Calls with these lines instead of the one `Authorization` header.
async fn call_with(caller: &Caller, lines: &[u8]) -> Result<Answer> {
    let body = json!({"model": caller.name, "input": "x"}).to_string();
    let mut request =
        b"POST /v1/responses HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n".to_vec();
    request.extend(lines);
    request.extend(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let mut raw = Raw::connect(&caller.edge_url).await?;
    raw.send(&request).await?;
    raw.answer().await
}

/// Does `work`, and says how many keys of KV were read meanwhile.
async fn reads_of(bed: &Bed, work: impl Future<Output = Result<()>>) -> Result<u64> {
    let before = bed.edge_counts().await?.kv_reads;
    work.await?;
    Ok(bed.edge_counts().await?.kv_reads - before)
}

#[tokio::test]
async fn e01_no_key_two_keys_or_another_scheme_are_401_without_a_look_up() -> Result<()> {
    let troubled = Troubled::alone().await?;
    let stage = Stage::new(troubled.bed, json!({})).await?;
    let key = &stage.caller.key.secret;
    let headers = [
        String::new(),
        "authorization:\r\n".into(),
        format!("authorization: {key}\r\n"),
        format!("authorization: Basic {key}\r\n"),
        "authorization: Bearer\r\n".into(),
        format!("authorization: Bearer {key}\r\nauthorization: Bearer {key}\r\n"),
        format!("authorization: Bearer {key}\r\nAuthorization: Bearer other\r\n"),
        format!("authorization: Bearer {key}, Bearer {key}\r\n"),
        format!("authorization: Bearer {key} {key}\r\n"),
        format!("x-api-key: {key}\r\n"),
        format!("proxy-authorization: Bearer {key}\r\n"),
    ];
    let reads = reads_of(troubled.bed, async {
        for lines in &headers {
            let answer = call_with(&stage.caller, lines.as_bytes()).await?;
            assert_eq!((answer.status, answer.code().as_str()), (401, "key_missing"), "{lines:?}");
        }
        Ok(())
    });
    assert_eq!(reads.await?, 0);
    assert_eq!(stage.calls().counts().started, 0);
    Ok(())
}

#[tokio::test]
async fn e02_forged_and_mistyped_keys_are_401_without_a_look_up() -> Result<()> {
    let troubled = Troubled::alone().await?;
    let stage = Stage::new(troubled.bed, json!({})).await?;
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    let reads = reads_of(troubled.bed, async {
        for key in forged(&stage.caller.key.secret)? {
            let lines = [b"authorization: Bearer ".as_slice(), &key, b"\r\n"].concat();
            let answer = call_with(&stage.caller, &lines).await?;
            let shown = String::from_utf8_lossy(&key).into_owned();
            assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_api_key"), "{shown:?}");
        }
        Ok(())
    });
    assert_eq!(reads.await?, 0);
    Ok(())
}

fn forged(key: &str) -> Result<Vec<Vec<u8>>> {
    let swapped = |at: usize| {
        let mut bytes = key.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        bytes
    };
    let forger = Ring::parse(&format!("g3:{}", "99".repeat(32)))?;
    let parsed = ApiKey::verify(&Ring::parse(&ring())?, key)?;
    let foreign = ApiKey::mint(&forger, Mode::Live, parsed.org, parsed.id, [7; SECRET_BYTES]);
    let unknown_kid = key.replace("_g3_", "_g9_");
    ensure!(unknown_kid != key, "the key was not minted with g3");
    Ok(vec![
        swapped(key.len() - 1),
        swapped(key.len() - 20),
        swapped("ag_live_".len()),
        key.as_bytes()[..key.len() - 1].to_vec(),
        [key.as_bytes(), b"0"].concat(),
        key.to_uppercase().into_bytes(),
        key.replace("ag_live_", "ag_test_").into_bytes(),
        unknown_kid.into_bytes(),
        foreign.text().reveal().clone().into_bytes(),
        "ag_live_é".as_bytes().to_vec(),
        b"ag_live_\xff\xfe".to_vec(),
        b"sk-proj-0123456789".to_vec(),
        vec![b'a'; 8_000],
    ])
}

#[tokio::test]
async fn e03_a_wrong_secret_and_an_unknown_id_are_the_same_401_cold_and_warm() -> Result<()> {
    let troubled = Troubled::alone().await?;
    let stage = Stage::new(troubled.bed, json!({})).await?;
    let ring = Ring::parse(&ring())?;
    let real = ApiKey::verify(&ring, &stage.caller.key.secret)?;
    let wrong_secret = ApiKey::mint(&ring, Mode::Live, real.org, real.id, [7; SECRET_BYTES]);
    let unknown = ApiKey::mint(&ring, Mode::Live, real.org, KeyId::new(0, [9; 10]), [7; SECRET_BYTES]);
    let unknown_org = OrgId::new(0, [9; 10]);
    let wrong_org = ApiKey::mint(&ring, Mode::Live, unknown_org, real.id, [7; SECRET_BYTES]);
    let mut bodies = Vec::new();
    for warm in [false, true] {
        for key in [&wrong_secret, &unknown, &wrong_org] {
            let line = format!("authorization: Bearer {}\r\n", key.text().reveal());
            let answer = call_with(&stage.caller, line.as_bytes()).await?;
            assert_eq!(answer.status, 401, "warm: {warm}");
            bodies.push(answer.body);
        }
        assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "the bodies differ");
    Ok(())
}

#[tokio::test]
async fn e27_keys_of_every_listed_generation_are_admitted_and_others_are_not() -> Result<()> {
    let troubled = Troubled::alone().await?;
    let stage = Stage::new(troubled.bed, json!({})).await?;
    let org: OrgId = stage.org.id.parse()?;
    for (number, (kid, byte)) in GENERATIONS.iter().chain(&[("g0", "77")]).enumerate() {
        let minted_with = Ring::parse(&format!("{kid}:{}", byte.repeat(32)))?;
        let id = KeyId::new(UNIX_EPOCH.elapsed()?.as_millis().try_into()?, [u8::try_from(number)?; 10]);
        let key = ApiKey::mint(&minted_with, Mode::Live, org, id, [8; SECRET_BYTES]);
        stage.push(serde_json::to_value(record_of(&key))?).await?;
        // Control does not know it: KV alone can tell.
        stage.puts_pending(|pending| pending == 0).await?;
        let line = format!("authorization: Bearer {}\r\n", key.text().reveal());
        let answer = call_with(&stage.caller, line.as_bytes()).await?;
        assert_eq!(answer.status, if *kid == "g0" { 401 } else { 200 }, "{kid}");
    }
    Ok(())
}

/// The push that tells the edge of a key.
fn record_of(key: &ApiKey) -> Record {
    let record =
        KeyRecord { org: key.org, digest: key.digest(), call: true, expires_at_ms: None, only: None };
    Record { key: RecordKey::Key(key.id), revision: 1, value: RecordValue::Key(record) }
}
