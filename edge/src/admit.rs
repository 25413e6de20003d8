//! Who calls: the key's text, proved without a look-up, then compared with its record.
//!
//! Invariant: a forged or mistyped key costs no read anywhere, and every refused key gets the same body.

use alphagate_contract::{
    key::ApiKey,
    name::VersionedName,
    problem::{Code, Problem},
    record::KeyRecord,
    ring::Ring,
};

/// Reads the `Authorization` header and proves the key's tag. Headers that came twice arrive joined by a comma.
///
/// # Errors
/// 401 `key_missing` or `invalid_api_key`.
pub fn key(ring: &Ring, authorization: Option<&str>) -> Result<ApiKey, Problem> {
    let missing = || Problem::new(Code::KeyMissing);
    let (scheme, text) = authorization.and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
    let text = text.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || text.is_empty() || text.contains([',', ' ']) {
        return Err(missing());
    }
    ApiKey::verify(ring, text).map_err(|_| Problem::new(Code::KeyInvalid))
}

/// What a key is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To call an endpoint.
    Call,
    /// To be passed on to control, which looks at the scopes itself.
    PassOn,
}

/// Compares the key with its record.
///
/// # Errors
/// 401 when there is none, it is another key's, or it has expired; 403 when the key is not for this.
pub fn check<'r>(
    key: &ApiKey,
    record: Option<&'r KeyRecord>,
    purpose: Purpose,
    now_ms: u64,
) -> Result<&'r KeyRecord, Problem> {
    let record = record.ok_or(Code::KeyInvalid)?;
    let expired = record.expires_at_ms.is_some_and(|end| end <= now_ms);
    if record.digest != key.digest() || record.org != key.org || expired {
        return Err(Code::KeyInvalid.into());
    }
    let refuse = |message| Err(Problem::new(Code::ScopeMissing).message(message));
    match purpose {
        Purpose::Call if !record.call => {
            refuse("This API key lacks the scope `call`. Mint one with `call` to use endpoints.")
        }
        Purpose::PassOn if record.only.is_some() => {
            refuse("This API key can call the endpoints that it is bound to, and nothing else.")
        }
        _ => Ok(record),
    }
}

/// What `model` asks for, if it is something that this key may ask for: a name, and only for a key that lists it to the
/// letter a version by its number.
#[must_use]
pub fn asked_name(record: &KeyRecord, model: &str) -> Option<VersionedName> {
    let name: VersionedName = model.parse().ok()?;
    let allowed = match &record.only {
        Some(only) => only.iter().any(|text| text == model),
        None => name.version.is_none(),
    };
    allowed.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::{
        id::{KeyId, OrgId},
        key::{Mode, SECRET_BYTES},
    };

    const NOW_MS: u64 = 1_790_000_000_000;

    fn ring() -> Ring {
        Ring::parse(&format!("a:{}", "11".repeat(32))).unwrap()
    }

    fn mint(secret: u8) -> ApiKey {
        let (org, id) = (OrgId::new(NOW_MS, [1; 10]), KeyId::new(NOW_MS, [2; 10]));
        ApiKey::mint(&ring(), Mode::Live, org, id, [secret; SECRET_BYTES])
    }

    #[test]
    fn only_one_bearer_key_is_read() {
        let text = mint(3).text().reveal().clone();
        assert!(key(&ring(), Some(&format!("Bearer {text}"))).is_ok());
        assert!(key(&ring(), Some(&format!("bearer   {text} "))).is_ok());
        let missing = [
            None,
            Some(String::new()),
            Some(text.clone()),
            Some(format!("Basic {text}")),
            Some("Bearer ".into()),
            Some(format!("Bearer {text}, Bearer {text}")),
        ];
        for header in missing {
            assert_eq!(key(&ring(), header.as_deref()).unwrap_err().code, Code::KeyMissing, "{header:?}");
        }
        for wrong in ["Bearer sk-123".to_owned(), format!("Bearer {text}0"), "Bearer ag_live_ä".into()] {
            assert_eq!(key(&ring(), Some(&wrong)).unwrap_err().code, Code::KeyInvalid, "{wrong}");
        }
    }

    #[test]
    fn the_record_decides_and_refusals_look_alike() {
        let key = mint(3);
        let record =
            |digest, call, end| KeyRecord { org: key.org, digest, call, expires_at_ms: end, only: None };
        let check = |record: Option<&KeyRecord>| check(&key, record, Purpose::Call, NOW_MS).map(drop);
        assert_eq!(check(Some(&record(key.digest(), true, Some(NOW_MS + 1)))), Ok(()));
        let wrong_secret = record(mint(4).digest(), true, None);
        let expired = record(key.digest(), true, Some(NOW_MS));
        let bodies: Vec<_> = [None, Some(&wrong_secret), Some(&expired)]
            .map(|record| check(record).unwrap_err().body())
            .to_vec();
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
        let admin_only = record(key.digest(), false, None);
        assert_eq!(check(Some(&admin_only)).unwrap_err().code, Code::ScopeMissing);
    }

    #[test]
    fn a_runs_key_asks_for_what_it_lists_and_is_not_passed_on() {
        let key = mint(3);
        let digest = key.digest();
        let record = |only: Option<&[&str]>| KeyRecord {
            org: key.org,
            digest,
            call: true,
            expires_at_ms: None,
            only: only.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect()),
        };
        let (ordinary, of_run) = (record(None), record(Some(&["poet@2", "judge", "*"])));
        let asks = |record: &KeyRecord, model| asked_name(record, model).is_some();
        assert!(asks(&ordinary, "poet") && asks(&of_run, "poet@2") && asks(&of_run, "judge"));
        for model in ["poet@2", "poet@", "@2", "Poet", ""] {
            assert!(!asks(&ordinary, model), "{model}");
        }
        for model in ["poet", "poet@1", "poet@02", "poet@2 ", "judge@1", "other", "*", ""] {
            assert!(!asks(&of_run, model), "{model}");
        }
        assert!(check(&key, Some(&of_run), Purpose::Call, NOW_MS).is_ok());
        assert!(check(&key, Some(&ordinary), Purpose::PassOn, NOW_MS).is_ok());
        let refusal = check(&key, Some(&of_run), Purpose::PassOn, NOW_MS).unwrap_err();
        assert_eq!(refusal.code, Code::ScopeMissing);
    }
}
