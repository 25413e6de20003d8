//! What the chain shows, on chains that were tampered with in every way there is.

use super::{
    chain::{Broken, Digest, Head, Link, NOTHING, PublicKeys, Signer, Walk, Why, digest},
    entry::{Actor, Entry, From, Subject},
};
use alphagate_contract::{
    id::{AuditId, OrgId},
    ring::Ring,
};
use chrono::DateTime;
use proptest::prelude::*;
use serde_json::value::RawValue;

fn ring() -> Ring {
    Ring::parse(&format!("b:{},a:{}", "22".repeat(32), "11".repeat(32))).unwrap()
}

fn org() -> OrgId {
    OrgId::new(1, [1; 10])
}

fn entry(number: u8) -> Entry {
    let raw = |text: &str| Some(RawValue::from_string(text.to_owned()).unwrap());
    Entry {
        id: AuditId::new(u64::from(number), [number; 10]),
        number: None,
        org: org(),
        at: DateTime::from_timestamp_millis(i64::from(number)).unwrap(),
        actor: Actor { kind: "key".into(), id: Some("key_1".into()), session: None, role: None },
        action: "keys.write".into(),
        verb: "create".into(),
        subject: Subject { kind: "key".into(), id: format!("key_{number}") },
        origin: From { address: Some("192.0.2.1".into()), user_agent: None, request: Some("req".into()) },
        before: None,
        after: raw(r#"{"name": "k", "n": 1.50}"#),
    }
}

fn chain(length: u8) -> (Vec<Link>, Vec<Entry>) {
    let signer = Signer::new(&ring()).unwrap();
    let entries: Vec<Entry> = (1..=length).map(entry).collect();
    let (mut number, mut head, mut links): (i64, Digest, _) = (0, NOTHING, Vec::new());
    for entry in &entries {
        let link = signer.link(number, head, entry);
        (number, head) = (link.number, link.head);
        links.push(link);
    }
    (links, entries)
}

fn walk(links: &[Link], entries: &[Entry], kept: &[Head]) -> Result<Option<Head>, Broken> {
    let keys = PublicKeys::of(&ring()).unwrap();
    let mut walk = Walk::begin(&keys, org(), kept)?;
    for link in links {
        walk.step(link, entries.iter().find(|entry| entry.id == link.entry))?;
    }
    walk.end()
}

fn broken(links: &[Link], entries: &[Entry], kept: &[Head]) -> (i64, Why) {
    let Broken { number, why } = walk(links, entries, kept).unwrap_err();
    (number, why)
}

#[test]
fn an_untouched_chain_holds_and_its_heads_survive_their_text() {
    let (links, entries) = chain(5);
    let heads: Vec<Head> = links.iter().map(|link| link.signed_head(org())).collect();
    assert_eq!(walk(&links, &entries, &heads).unwrap().unwrap(), heads[4]);
    assert_eq!(walk(&[], &[], &[]).unwrap(), None);
    assert_eq!(heads[2].to_string().parse::<Head>().unwrap(), heads[2]);
    for bad in ["", "org", &heads[2].to_string()[1..], &format!("{}:x", heads[2])] {
        assert!(bad.parse::<Head>().is_err(), "{bad}");
    }
    let keys = PublicKeys::of(&ring()).unwrap().to_string();
    assert_eq!(keys.parse::<PublicKeys>().unwrap().to_string(), keys);
    assert!(!keys.contains(&"22".repeat(32)), "a seed was shown");
}

#[test]
fn every_tampering_is_named_by_its_link() {
    let (links, entries) = chain(5);
    let kept = [links[4].signed_head(org())];
    let mut changed = entries.clone();
    changed[2].subject.id = "key_9".into();
    assert_eq!(broken(&links, &changed, &[]), (3, Why::EntryChanged(entries[2].id)));
    let mut gone = entries.clone();
    gone.remove(1);
    assert_eq!(broken(&links, &gone, &[]), (2, Why::EntryMissing(entries[1].id)));
    let mut hole = links.clone();
    hole.remove(1);
    assert_eq!(broken(&hole, &gone, &[]), (2, Why::Missing(3)));
    hole.iter_mut().skip(1).for_each(|link| link.number -= 1);
    assert_eq!(broken(&hole, &gone, &[]), (2, Why::Previous));
    let mut swapped = links.clone();
    (swapped[1].entry, swapped[2].entry) = (links[2].entry, links[1].entry);
    assert_eq!(broken(&swapped, &entries, &[]).0, 2);
    let tail = (&links[..3], &entries[..3]);
    assert!(walk(tail.0, tail.1, &[]).is_ok(), "without a head from elsewhere a cut tail cannot be seen");
    assert_eq!(broken(tail.0, tail.1, &kept), (4, Why::Cut(5)));
}

#[test]
fn who_has_no_key_can_forge_neither_a_link_nor_a_rewritten_chain() {
    let (mut links, mut entries) = chain(3);
    let kept = [links[2].signed_head(org())];
    let thief = Signer::new(&Ring::parse(&format!("b:{}", "33".repeat(32))).unwrap()).unwrap();
    let forged = thief.link(2, links[1].head, &entries[2]);
    let honest = std::mem::replace(&mut links[2], forged);
    assert_eq!(broken(&links, &entries, &[]), (3, Why::Signature));
    links[2] = Link { kid: "z".into(), ..honest };
    assert_eq!(broken(&links, &entries, &[]), (3, Why::KeyUnknown("z".into())));
    // Who has the key can, and only a head from elsewhere shows it.
    let signer = Signer::new(&ring()).unwrap();
    entries[2].verb = "revoke".into();
    links[2] = signer.link(2, links[1].head, &entries[2]);
    assert!(walk(&links, &entries, &[]).is_ok());
    assert_eq!(broken(&links, &entries, &kept), (3, Why::Rewritten));
    let mut made_up = kept[0].clone();
    made_up.number = 9;
    assert_eq!(broken(&links, &entries, &[made_up]), (9, Why::Signature));
}

#[test]
fn a_digest_is_of_every_field() {
    let one = entry(1);
    let same = serde_json::from_str::<Entry>(&serde_json::to_string(&one).unwrap()).unwrap();
    assert_eq!(digest(&one), digest(&same), "an export carries it to the letter");
    let raw = |text: &str| Some(RawValue::from_string(text.to_owned()).unwrap());
    type Change = Box<dyn Fn(&mut Entry)>;
    let changes: Vec<Change> = vec![
        Box::new(|entry| entry.id = AuditId::new(9, [9; 10])),
        Box::new(|entry| entry.org = OrgId::new(9, [9; 10])),
        Box::new(|entry| entry.at = DateTime::from_timestamp_millis(9).unwrap()),
        Box::new(|entry| entry.actor.kind = "user".into()),
        Box::new(|entry| entry.actor.id = None),
        Box::new(|entry| entry.actor.session = Some(String::new())),
        Box::new(|entry| entry.actor.role = Some("owner".into())),
        Box::new(|entry| entry.action = "keys.read".into()),
        Box::new(|entry| entry.verb = "revoke".into()),
        Box::new(|entry| entry.subject.kind = "org".into()),
        Box::new(|entry| entry.subject.id = String::new()),
        Box::new(|entry| entry.origin.address = None),
        Box::new(|entry| entry.origin.user_agent = Some("curl".into())),
        Box::new(|entry| entry.origin.request = None),
        Box::new(move |entry| entry.before = raw("{}")),
        Box::new(move |entry| entry.after = raw(r#"{"name":"k","n":1.5}"#)),
    ];
    let mut digests = vec![digest(&one)];
    for change in changes {
        let mut other = one.clone();
        change(&mut other);
        digests.push(digest(&other));
    }
    let many = digests.len();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), many);
}

proptest! {
    #[test]
    fn a_flipped_bit_anywhere_in_a_link_breaks_the_chain_there(at in 0usize..4, byte in 0usize..160, bit in 0u8..8) {
        let (mut links, entries) = chain(4);
        let link = &mut links[at];
        let mask = 1 << bit;
        match byte {
            0..32 => link.digest[byte] ^= mask,
            32..64 => link.previous[byte - 32] ^= mask,
            64..96 => link.head[byte - 64] ^= mask,
            _ => link.signature[byte - 96] ^= mask,
        }
        prop_assert_eq!(walk(&links, &entries, &[]).unwrap_err().number, i64::try_from(at).unwrap() + 1);
    }

    #[test]
    fn no_text_panics_as_a_head(text in "\\PC{0,80}") {
        prop_assert!(text.parse::<Head>().is_err());
    }
}
