//! Ports on 127.0.0.1 that stay ours for a bed's whole life, also while the server behind one restarts.
//!
//! Invariant: leased ports lie below the range from which the kernel takes ports for outgoing connections,
//! and a lock file keeps other beds of this user away: nobody can slip in between a kill and a restart.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::places;

/// Registered services lie mostly below, the kernel's outgoing ports (32768–60999 on Linux) above.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;
/// A machine on which so many tries find nothing has another problem than bad luck.
const TRIES: u32 = 500;

/// A port that no other bed takes as long as this lives.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) port: u16,
    _lock: File,
}

impl Lease {
    /// The wanted port, or an error that says who has it; any free port when none is wanted.
    pub(crate) fn take(wanted: Option<u16>) -> Result<Self> {
        if let Some(port) = wanted {
            return match try_lease(port)? {
                Some(lease) => Ok(lease),
                None => bail!("port {port} on 127.0.0.1 is taken by another program"),
            };
        }
        for _ in 0..TRIES {
            if let Some(lease) = try_lease(rand::random_range(FIRST..LAST))? {
                return Ok(lease);
            }
        }
        bail!("no free port between {FIRST} and {LAST} on 127.0.0.1")
    }
}

fn try_lease(port: u16) -> Result<Option<Lease>> {
    let lock = File::create(folder()?.join(port.to_string()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).context("cannot lock a port"),
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    Ok(free.then_some(Lease { port, _lock: lock }))
}

fn folder() -> Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("alphagate-ports-{uid}"));
    places::make_shared_root(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::Lease;

    #[test]
    fn a_leased_port_is_not_leased_twice_and_is_free_again_afterwards() {
        let lease = Lease::take(None).expect("a free port");
        let port = lease.port;
        assert!(Lease::take(Some(port)).is_err());
        drop(lease);
        assert!(Lease::take(Some(port)).is_ok());
    }
}
