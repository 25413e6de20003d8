//! Messages survive their way, and what is no message is refused.

use super::*;
use alphagate_contract::job::{Bytes, File, Limits};
use proptest::prelude::*;

fn spec() -> SandboxSpec {
    SandboxSpec {
        image: "minimal".to_owned(),
        language: Language::Python,
        entry: "main.py".parse().unwrap(),
        files: vec![File { path: "main.py".parse().unwrap(), content: Bytes(vec![0, 255, 10]) }],
        argv: vec!["a b".to_owned()],
        stdin: Bytes(vec![1, 2, 3]),
        env: [("K".to_owned(), "V".to_owned())].into(),
        limits: Limits { wall_ms: 1, cpu_ms: 2, memory_bytes: 3, pids: 4, disk_bytes: 5, output_bytes: 6 },
        artefacts: vec!["out/x".parse().unwrap()],
        grader: true,
    }
}

fn ended() -> Ended {
    Ended {
        how: How::Limited { limit: LimitKind::Output },
        limits_hit: vec![LimitKind::Output, LimitKind::Pids],
        wall_ms: 12,
        cpu_ms: 10,
        memory_peak_bytes: 4096,
        truncated: Some(Stream::Stderr),
    }
}

#[test]
fn messages_to_the_agent_survive_their_way() {
    let sent = [
        ToAgent::Ahead(Ahead { language: Language::Bash, grader: true, disk_bytes: 1 << 40, pids: 7 }),
        ToAgent::Job(Box::new(spec())),
        ToAgent::Stop(None),
        ToAgent::Stop(Some(LimitKind::Cpu)),
    ];
    let mut bytes = Vec::new();
    sent.iter().for_each(|message| message.encode(&mut bytes));
    let mut decoder = Decoder::new(TO_AGENT_MAX_BYTES);
    decoder.push(&bytes);
    for message in sent {
        assert_eq!(ToAgent::next_of(&mut decoder).unwrap(), Some(message));
    }
}

#[test]
fn messages_from_the_agent_survive_their_way() {
    let sent = [
        FromAgent::Hello(Hello { version: VERSION, kernel: "Starting gVisor...".to_owned() }),
        FromAgent::Ready,
        FromAgent::Started { prestarted: false },
        FromAgent::Started { prestarted: true },
        FromAgent::Output(Stream::Stdout, vec![0; CHUNK_MAX_BYTES]),
        FromAgent::Output(Stream::Stderr, vec![]),
        FromAgent::Artefact("a/b".parse().unwrap(), vec![255; CHUNK_MAX_BYTES]),
        FromAgent::Result(b"{}".to_vec()),
        FromAgent::Ended(ended()),
    ];
    let mut bytes = Vec::new();
    sent.iter().for_each(|message| message.encode(&mut bytes));
    let mut decoder = Decoder::new(FROM_AGENT_MAX_BYTES);
    decoder.push(&bytes);
    for message in sent {
        assert_eq!(FromAgent::next_of(&mut decoder).unwrap(), Some(message));
    }
}

#[test]
fn artefacts_with_paths_that_lead_out_are_refused() {
    for path in ["../x", "/etc/passwd", "a/../b", "", "a\0b"] {
        let length = u16::try_from(path.len()).unwrap().to_le_bytes();
        let mut bytes = Vec::new();
        Frame::encode(kind::ARTEFACT, &[&length, path.as_bytes(), b"content"], &mut bytes);
        let mut decoder = Decoder::new(FROM_AGENT_MAX_BYTES);
        decoder.push(&bytes);
        assert!(FromAgent::next_of(&mut decoder).is_err(), "{path:?}");
    }
}

#[test]
fn the_wire_is_what_version_2_says() {
    let mut bytes = Vec::new();
    FromAgent::Hello(Hello { version: 2, kernel: "k".to_owned() }).encode(&mut bytes);
    assert_eq!(bytes, b"\x1a\0\0\0A{\"version\":2,\"kernel\":\"k\"}");
    bytes.clear();
    FromAgent::Output(Stream::Stderr, b"x".to_vec()).encode(&mut bytes);
    assert_eq!(bytes, b"\x01\0\0\0Ex");
    bytes.clear();
    FromAgent::Started { prestarted: true }.encode(&mut bytes);
    assert_eq!(bytes, b"\x04\0\0\0Ctrue");
}

proptest! {
    #[test]
    fn any_bytes_are_messages_or_refused(bytes: Vec<u8>) {
        let mut decoder = Decoder::new(64);
        decoder.push(&bytes);
        while let Ok(Some(_)) = FromAgent::next_of(&mut decoder) {}
        let mut decoder = Decoder::new(64);
        decoder.push(&bytes);
        while let Ok(Some(_)) = ToAgent::next_of(&mut decoder) {}
    }
}
