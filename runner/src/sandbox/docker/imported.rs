//! Images of the store in Docker's own: imported once, under their digest.
//!
//! Invariant: a container is made from an image only if the store's digest is the one it was imported under, and that
//! was compared with its content at the import (R12).

use crate::{
    image::{self, Store},
    sandbox::BootError,
};
use alphagate_contract::job::ImageName;
use bollard::{body_try_stream, errors::Error as DockerError, query_parameters as query};
use futures_util::TryStreamExt as _;
use std::{io, path::Path, time::Duration};
use tokio::{io::DuplexStream, sync::Mutex};
use tokio_util::io::{ReaderStream, SyncIoBridge};

/// The folder of our images in Docker's own.
const REPOSITORY: &str = "alphagate";
/// What an image is labelled with.
const LABEL: &str = "alphagate.digest";
/// Longest import: a gigabyte onto a slow disk.
const IMPORT_MAX: Duration = Duration::from_secs(600);
/// What is on its way to the daemon at once.
const PIPE_BYTES: usize = 1024 * 1024;

/// An image that Docker can run.
pub struct Ready {
    /// Docker's id of it.
    pub id: String,
    /// Ours.
    pub digest: String,
}

/// The images of a store.
pub struct Imported {
    client: bollard::Docker,
    store: Store,
    /// One import at a time: they are large, and two of one image would be one too many.
    gate: Mutex<()>,
}

fn unavailable(error: impl std::fmt::Display) -> BootError {
    BootError::ImageUnavailable(error.to_string())
}

impl Imported {
    pub fn new(client: bollard::Docker, store: Store) -> Self {
        Self { client, store, gate: Mutex::new(()) }
    }

    /// What can be run.
    pub fn names(&self) -> Vec<ImageName> {
        self.store.names()
    }

    /// An image, imported now if it is not there yet.
    pub async fn find(&self, name: &str) -> Result<Ready, BootError> {
        let digest = self.store.find(name).map_err(unavailable)?.digest;
        let tag = format!("{REPOSITORY}/{name}:{digest}");
        if let Some(id) = self.inspect(&tag, &digest).await? {
            return Ok(Ready { id, digest });
        }
        let _gate = self.gate.lock().await;
        if self.inspect(&tag, &digest).await?.is_none() {
            self.import(name, &digest).await?;
        }
        let id = self.inspect(&tag, &digest).await?;
        let id = id.ok_or_else(|| super::failed(format!("{tag} is not there after its import")))?;
        Ok(Ready { id, digest })
    }

    async fn inspect(&self, tag: &str, digest: &str) -> Result<Option<String>, BootError> {
        let image = match self.client.inspect_image(tag).await {
            Ok(image) => image,
            Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            Err(error) => return Err(super::failed(error)),
        };
        let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
        Ok(image.id.filter(|_| labels.get(LABEL).is_some_and(|label| label == digest)))
    }

    async fn import(&self, name: &str, digest: &str) -> Result<(), BootError> {
        let (store, name_of_image) = (self.store.clone(), name.to_owned());
        let verified = tokio::task::spawn_blocking(move || store.verify(&name_of_image)).await;
        let verified = verified.map_err(unavailable)?.map_err(unavailable)?;
        let (tar, from_tar) = tokio::io::duplex(PIPE_BYTES);
        let writer = tokio::task::spawn_blocking(move || write_tar(&verified, tar));
        let options = query::CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(&format!("{REPOSITORY}/{name}"))
            .tag(digest)
            .changes(vec![format!("LABEL {LABEL}={digest}")])
            .build();
        let body = body_try_stream(ReaderStream::with_capacity(from_tar, PIPE_BYTES));
        let client = self.client.clone().with_timeout(IMPORT_MAX);
        let sent: Result<Vec<_>, _> =
            client.create_image(Some(options), Some(body), None).try_collect().await;
        sent.map_err(super::failed)?;
        writer.await.map_err(super::failed)?.map_err(super::failed)
    }
}

/// Root's, whoever unpacked it; links as they are.
fn write_tar(image: &image::Image, to: DuplexStream) -> io::Result<()> {
    let mut tar = tar::Builder::new(SyncIoBridge::new(to));
    tar.follow_symlinks(false);
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_dir_all(Path::new("."), &image.rootfs)?;
    tar.into_inner()?.shutdown()
}
