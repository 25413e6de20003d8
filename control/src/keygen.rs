//! `alphagate-control keygen`: fresh secrets for a new installation, as `KEY=VALUE` lines.

use crate::platform::Platform;
use alphagate_contract::seal::key_pair;

/// The rings of 32 random bytes.
const RINGS: [&str; 6] = [
    "AG_KEY_RING",
    "AG_CONTROL_TO_EDGE_RING",
    "AG_EDGE_TO_CONTROL_RING",
    "AG_VAULT_RING",
    "AG_MASTER_RING",
    "AG_AUDIT_RING",
];

/// The lines. An entry's id is random too, so that a rotation never meets an id that was used before.
#[must_use]
pub fn lines(platform: &dyn Platform) -> Vec<String> {
    let kid = || format!("k{}", hex::encode(platform.bytes::<3>()));
    let mut lines = vec![format!("AG_OPERATOR_TOKEN={}", hex::encode(platform.bytes::<32>()))];
    lines.extend(RINGS.map(|name| format!("{name}={}:{}", kid(), hex::encode(platform.bytes::<32>()))));
    let (private, public) = key_pair(&platform.bytes());
    let kid = kid();
    lines.push(format!("AG_SEAL_PUBLIC_KEYS={kid}:{}", hex::encode(public)));
    lines.push(format!("AG_SEAL_PRIVATE_KEYS={kid}:{}", hex::encode(private.reveal())));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{platform::Host, settings::SealKey};
    use alphagate_contract::ring::Ring;

    #[test]
    fn every_line_can_be_read_and_none_repeats() {
        let lines = lines(&Host);
        assert_eq!(lines.len(), 9);
        for line in &lines[1..] {
            Ring::parse(line.split_once('=').unwrap().1).unwrap();
        }
        assert!(SealKey::parse(lines[7].split_once('=').unwrap().1).is_ok());
        assert!(lines.iter().zip(super::lines(&Host)).all(|(one, other)| *one != other));
    }
}
