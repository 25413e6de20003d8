//! What is measured: doors that all lead to the same provider.
//!
//! Invariant: a subject that cannot be is left out with a line that says why; the others are measured all the same.

use super::{gateways, meter::Meter, stack::Stack};
use alphagate_bed::{BareWorker, Peer, places};
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::net::SocketAddr;

/// What can be measured, in the table's order. The floor is what the others are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// The provider itself
    Direct,
    /// A bare pass-through Worker
    Floor,
    /// A bare pump in JavaScript
    Pump,
    /// Our Worker: keys, configuration, quotas, metering; every request asks the org's object
    #[value(alias = "edge")]
    Strict,
    /// The same, of an endpoint that another org has published: two objects are asked
    Installed,
    /// The same as strict, with leased quotas
    Leased,
    /// LiteLLM's proxy, one worker, no database
    Litellm,
    /// Portkey's gateway
    Portkey,
}

impl Kind {
    /// The table's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Floor => "floor",
            Self::Pump => "pump",
            Self::Strict => "edge, strict",
            Self::Installed => "edge, installed",
            Self::Leased => "edge, leased",
            Self::Litellm => "LiteLLM",
            Self::Portkey => "Portkey",
        }
    }
}

/// Where requests go in, and what they carry.
#[derive(Debug, Clone)]
pub struct Door {
    /// Host and port.
    pub authority: String,
    pub key: String,
    pub model: String,
    pub headers: Vec<(&'static str, String)>,
}

/// One subject.
#[derive(Debug)]
pub struct Subject {
    pub kind: Kind,
    /// To the provider in the caller's own protocol.
    pub door: Door,
    /// To the provider in chat completions, where the subject translates.
    pub translated: Option<Door>,
    /// None for the provider, which shares this process.
    pub meter: Option<Meter>,
    runs: Runs,
}

/// What runs for a subject alone.
#[derive(Debug)]
enum Runs {
    Nothing,
    Worker(BareWorker),
    Peer(Peer),
}

impl Subject {
    /// Starts one. `stack` is our own, started by whoever needs it first.
    pub async fn start(kind: Kind, provider: SocketAddr, stack: &mut Option<Stack>) -> Result<Self> {
        match kind {
            Kind::Direct => {
                let door = plain_door(&provider.to_string());
                Ok(Self { kind, door, translated: None, meter: None, runs: Runs::Nothing })
            }
            Kind::Floor => Self::worker(kind, "floor.mjs", provider).await,
            Kind::Pump => Self::worker(kind, "pump.mjs", provider).await,
            Kind::Strict | Kind::Installed | Kind::Leased => Self::ours(kind, provider, stack).await,
            Kind::Litellm => Self::peer(kind, gateways::litellm(provider).await?),
            Kind::Portkey => Self::peer(kind, gateways::portkey(provider).await?),
        }
    }

    async fn worker(kind: Kind, script: &str, provider: SocketAddr) -> Result<Self> {
        let script = places::workspace()?.join("tests/benches/edge/workers").join(script);
        let worker = BareWorker::start(&script, &[("PROVIDER", format!("http://{provider}"))]).await?;
        let meter = Some(Meter::of_group(worker.pid())?);
        let door = plain_door(authority(&worker.url()));
        Ok(Self { kind, door, translated: None, meter, runs: Runs::Worker(worker) })
    }

    async fn ours(kind: Kind, provider: SocketAddr, stack: &mut Option<Stack>) -> Result<Self> {
        let stack = match stack {
            Some(stack) => stack,
            None => stack.insert(Stack::start(provider).await?),
        };
        let (door, translated) = match kind {
            Kind::Installed => (stack.installed().await?, None),
            Kind::Leased => {
                let Some(door) = stack.leased().await? else { bail!("this version knows no leased quotas") };
                (door, stack.leased_chat().await?)
            }
            _ => (stack.strict().await?, stack.strict_chat().await?),
        };
        if translated.is_none() && kind != Kind::Installed {
            println!(
                "{}, translated: left out: no target of this version speaks chat completions",
                kind.name()
            );
        }
        let meter = Some(Meter::of_group(stack.edge_pid().await?)?);
        Ok(Self { kind, door, translated, meter, runs: Runs::Nothing })
    }

    fn peer(kind: Kind, (peer, doors): (Peer, gateways::Doors)) -> Result<Self> {
        let meter = Some(Meter::of_group(peer.pid())?);
        Ok(Self { kind, door: doors.native, translated: doors.translated, meter, runs: Runs::Peer(peer) })
    }

    /// Ends what runs for it alone.
    pub async fn stop(self) {
        match self.runs {
            Runs::Nothing => {}
            Runs::Worker(worker) => worker.stop().await,
            Runs::Peer(peer) => peer.stop().await,
        }
    }
}

fn plain_door(authority: &str) -> Door {
    Door {
        authority: authority.to_owned(),
        key: "sk-bench".to_owned(),
        model: "fake-1".to_owned(),
        headers: vec![],
    }
}

/// A URL's host and port.
pub fn authority(url: &str) -> &str {
    url.trim_start_matches("http://")
}
