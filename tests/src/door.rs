//! A door in front of the edge, as whoever runs the edge has one: while what is behind it is replaced, who comes waits.
//!
//! Invariant: a connection that has passed is served to its end before the door shuts. So it is for callers who send one
//! request on a connection; others would keep it open.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{OwnedRwLockWriteGuard, RwLock},
    task::{JoinHandle, JoinSet},
};

/// A door. Dropped, its connections end.
#[derive(Debug)]
pub struct Door {
    /// Where callers come to, without a path.
    pub url: String,
    /// Held by everybody who passes; the lock lets those in first who came first, whoever wants to shut the door included.
    passing: Arc<RwLock<()>>,
    accepting: JoinHandle<()>,
}

/// The door is shut as long as this is there.
#[derive(Debug)]
pub struct Shut(#[expect(dead_code, reason = "held, not read")] OwnedRwLockWriteGuard<()>);

impl Door {
    /// Opens a door that leads to `to`.
    pub async fn to(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let passing = Arc::new(RwLock::new(()));
        let accepting = tokio::spawn(accept(listener, to, Arc::clone(&passing)));
        Ok(Self { url, passing, accepting })
    }

    /// Shuts it: nobody is on the way through any more, and who comes waits until what this gives is dropped.
    pub async fn shut(&self) -> Shut {
        Shut(Arc::clone(&self.passing).write_owned().await)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Its connections are a set that the task owns: they end with it.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, passing: Arc<RwLock<()>>) {
    let mut connections = JoinSet::new();
    while let Ok((mut caller, _)) = listener.accept().await {
        let passing = Arc::clone(&passing);
        connections.spawn(async move {
            let _passes = passing.read_owned().await;
            if let Ok(mut behind) = TcpStream::connect(to).await {
                // Whoever of the two ends it: the other one sees it as it is.
                let _ = copy_bidirectional(&mut caller, &mut behind).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
