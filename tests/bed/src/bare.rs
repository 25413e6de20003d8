//! A Worker of one script in the harness that runs ours: what a benchmark compares ours with.
//!
//! Invariant: node, workerd and their options are the same as the edge's, so their cost is in both.

use std::path::Path;

use anyhow::{Context, Result};

use crate::edge::{Edge, Settings};
use crate::places::DataDir;
use crate::ports::Lease;

/// A running Worker. Ended by [`BareWorker::stop`], by dropping it, or with the process.
#[derive(Debug)]
pub struct BareWorker {
    edge: Edge,
    port: Lease,
    _data: DataDir,
}

impl BareWorker {
    /// Starts the script with these variables and returns when it answers.
    pub async fn start(script: &Path, variables: &[(&str, String)]) -> Result<Self> {
        let data = tokio::task::spawn_blocking(DataDir::temporary).await??;
        let port = Lease::take(None).context("no port for a Worker")?;
        let mut settings = Settings::of_script(port.port, data.path.join("edge"), script)?;
        for (name, value) in variables {
            settings.bind(name, value.clone());
        }
        let edge = Edge::start(&settings, &data.log("edge")).await?;
        Ok(Self { edge, port, _data: data })
    }

    /// Where it listens, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.port)
    }

    /// The process id of what runs workerd: the leader of its process group.
    pub fn pid(&self) -> i32 {
        self.edge.pid()
    }

    /// Ends it.
    pub async fn stop(self) {
        self.edge.stop().await;
    }
}
