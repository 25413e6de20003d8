//! Credentials that this isolate has opened: opening one is a key agreement, which costs more than the rest of a request.
//!
//! Invariant: a secret is given out only for the very record that it was opened from, with its org, origin and revision, which
//! the seal is bound to. It is in memory only, and the memory is bounded.

use alphagate_contract::{id::CredentialId, record::CredentialRecord, secret::Secret};
use std::{cell::RefCell, collections::HashMap};

/// Most secrets; at some hundred bytes each, a megabyte.
const OPENED_MAX: usize = 4_096;

thread_local! {
    static OPENED: RefCell<HashMap<CredentialId, (CredentialRecord, Secret<String>)>> = RefCell::default();
}

/// The secret in this record: as remembered, or as `open` gives it.
///
/// # Errors
/// Those of `open`.
pub fn secret<E>(
    id: CredentialId,
    record: &CredentialRecord,
    open: impl FnOnce() -> Result<Secret<String>, E>,
) -> Result<Secret<String>, E> {
    let known = OPENED.with_borrow(|opened| {
        opened.get(&id).filter(|(of, _)| of == record).map(|(_, secret)| secret.clone())
    });
    if let Some(secret) = known {
        return Ok(secret);
    }
    let secret = open()?;
    OPENED.with_borrow_mut(|opened| {
        if opened.len() >= OPENED_MAX {
            opened.clear();
        }
        opened.insert(id, (record.clone(), secret.clone()));
    });
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::{id::OrgId, seal::Sealed};

    fn record(origin: &str, sealed_revision: u64) -> CredentialRecord {
        let sealed = Sealed { kid: "a".into(), enc: String::new(), text: String::new() };
        CredentialRecord { org: OrgId::new(0, [1; 10]), origin: origin.into(), sealed_revision, sealed }
    }

    #[test]
    fn a_secret_is_opened_once_and_again_for_another_record() {
        let id = CredentialId::new(0, [7; 10]);
        let opens = std::cell::Cell::new(0);
        let open = |record: &CredentialRecord| {
            let opened = secret(id, record, || {
                opens.set(opens.get() + 1);
                Ok::<_, ()>(Secret::new("s".to_owned()))
            });
            opened.map(|secret| secret.reveal().clone())
        };
        for (record, expected) in [
            (record("https://a", 1), 1),
            (record("https://a", 1), 1),
            (record("https://a", 2), 2),
            (record("https://b", 2), 3),
        ] {
            assert_eq!(open(&record), Ok("s".to_owned()));
            assert_eq!(opens.get(), expected, "{record:?}");
        }
        assert_eq!(secret(id, &record("https://c", 2), || Err("no")), Err("no"));
    }
}
