//! Looks for secrets wherever a stack leaves something: logs, tables, every file of the edge and of the bed, answers.

use std::{fs, path::Path};

use alphagate_bed::Bed;
use alphagate_contract::ring::Ring;
use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use memchr::memmem;

/// Programs of a bed, by the names of their logs.
const PROGRAMS: [&str; 4] = ["control", "edge", "migrate", "postgres"];
/// Where a bed keeps its secrets on purpose: readable by their owner alone.
const SECRETS_FILE: &str = "secrets.env";

/// A secret, in every form in which it would be one.
pub struct Needle {
    name: String,
    forms: Vec<Vec<u8>>,
}

impl Needle {
    /// A secret text.
    pub fn text(name: &str, text: &str) -> Self {
        Self::bytes(name, text.as_bytes())
    }

    /// Secret bytes: as they are, in hex, and in base64 wherever in a longer text they stand.
    pub fn bytes(name: &str, bytes: &[u8]) -> Self {
        let hex = hex::encode(bytes);
        let mut forms = vec![bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
        for shift in 0..3 {
            let shifted = [&vec![0; shift][..], bytes].concat();
            let whole = &shifted[..shifted.len() - shifted.len() % 3];
            // The first letters are of what stands before it, too.
            forms.push(STANDARD_NO_PAD.encode(whole).into_bytes().split_off(if shift == 0 { 0 } else { 4 }));
        }
        Self { name: name.to_owned(), forms }
    }
}

/// Somewhere something was left.
pub struct Place {
    name: String,
    content: Vec<u8>,
}

/// Everything that the bed has left, and these answers.
pub async fn places(bed: &Bed, answers: &[String]) -> Result<Vec<Place>> {
    let mut places: Vec<Place> = PROGRAMS
        .iter()
        .map(|program| Place { name: format!("log of {program}"), content: bed.log(program).into_bytes() })
        .collect();
    for (table, text) in bed.database().dump().await? {
        places.push(Place { name: format!("table {table}"), content: text.into_bytes() });
    }
    files(bed.data_dir(), bed.data_dir(), &mut places)?;
    for (number, answer) in answers.iter().enumerate() {
        places.push(Place { name: format!("answer {number}"), content: answer.clone().into_bytes() });
    }
    assert!(places.iter().any(|place| place.name.contains("sqlite")), "KV and objects were not looked at");
    Ok(places)
}

fn files(root: &Path, folder: &Path, places: &mut Vec<Place>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            files(root, &path, places)?;
        } else if kind.is_file() && entry.file_name() != SECRETS_FILE {
            let name = path.strip_prefix(root)?.display().to_string();
            // What is gone by now was a scratch file.
            if let Ok(content) = fs::read(&path) {
                places.push(Place { name, content });
            }
        }
    }
    Ok(())
}

/// Which secrets are where.
pub fn find(places: &[Place], needles: &[Needle]) -> Vec<String> {
    let mut found = Vec::new();
    for place in places {
        for needle in needles {
            if needle.forms.iter().any(|form| memmem::find(&place.content, form).is_some()) {
                found.push(format!("{} in {}", needle.name, place.name));
            }
        }
    }
    found
}

/// The orgs' data keys in clear, as the holder of the master key reads them from a dump.
pub async fn data_keys(bed: &Bed) -> Result<Vec<Vec<u8>>> {
    let ring = Ring::parse(bed.secrets().get("AG_MASTER_RING")?)?;
    let tables = bed.database().dump().await?;
    let (_, rows) = tables.iter().find(|(name, _)| name == "data_keys").context("no table of data keys")?;
    rows.lines().map(|row| data_key(&ring, row)).collect()
}

/// `(org,number,master key,"\\x…",…)`
fn data_key(ring: &Ring, row: &str) -> Result<Vec<u8>> {
    let mut fields = row.trim_start_matches('(').split(',');
    let mut next = || fields.next().context("a field is missing");
    let (org, number, _, wrapped) = (next()?.replace('-', ""), next()?, next()?, next()?);
    let wrapped = hex::decode(wrapped.trim_matches('"').trim_start_matches(['\\', 'x']))?;
    let (nonce, text) = wrapped.split_at(24);
    let nonce: [u8; 24] = nonce.try_into()?;
    let purpose = format!("data key v1\norg_{org}\n{number}");
    let payload = Payload { msg: text, aad: purpose.as_bytes() };
    let key = XChaCha20Poly1305::new(&(*ring.current().1).into());
    key.decrypt(&XNonce::from(nonce), payload).ok().context("a data key does not open")
}
