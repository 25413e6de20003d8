//! Bytes that are too large for the database: a local folder, or S3.
//!
//! A blob's row is written before its bytes, doomed, and goes after them: whatever is interrupted, nothing lies in the
//! store that no row knows of. The transaction that refers to a blob lifts its doom; what lets go of it dooms it again.

use crate::{
    app::App,
    error::{Answer, Error},
    settings::Settings,
};
use alphagate_contract::id::OrgId;
use anyhow::Context as _;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart, local::LocalFileSystem, path::Path};
use sqlx::PgConnection;
use std::{ops::Range, pin::pin, sync::Arc};
use uuid::Uuid;

/// How long a new blob waits to be referred to, seconds: longer than any upload.
const NEW_S: i64 = 3_600;
/// Most blobs that one round of housekeeping deletes.
const SWEEP_MAX: i64 = 1_000;

/// The name of a blob in its org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobId(Uuid);

impl BlobId {
    pub(crate) const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub(crate) const fn uuid(self) -> Uuid {
        self.0
    }

    const fn new(now_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid())
    }

    fn path(self, org: OrgId) -> Path {
        Path::from(format!("{}/{}", org.uuid().simple(), self.0.simple()))
    }
}

/// Opens the store that the settings name.
pub(crate) fn store(settings: &Settings) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if let Some(url) = &settings.blob_url {
        return remote(url);
    }
    std::fs::create_dir_all(&settings.blob_dir)
        .with_context(|| format!("AG_BLOB_DIR: {} cannot be made", settings.blob_dir.display()))?;
    let folder =
        LocalFileSystem::new_with_prefix(&settings.blob_dir).context("AG_BLOB_DIR cannot be opened")?;
    Ok(Arc::new(folder.with_automatic_cleanup(true)))
}

/// Refuses a remote store that cannot be opened; a folder is made when it is first needed.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    settings.blob_url.as_ref().map(remote).transpose().map(drop)
}

fn remote(url: &url::Url) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let variables = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
    let variables = variables.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, prefix) =
        object_store::parse_url_opts(url, variables).context("AG_BLOB_URL cannot be opened")?;
    Ok(Arc::new(object_store::prefix::PrefixStore::new(store, prefix)))
}

fn failed(error: object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => Error::internal("a blob is missing in the object store"),
        error => Error::Internal(format!("the object store failed: {error}")),
    }
}

/// Writes the row of a new blob.
async fn announce(app: &App, org: OrgId) -> Answer<BlobId> {
    let id = app.new_id(BlobId::new);
    let mut tx = app.tenants().begin(org).await?;
    sqlx::query(
        "INSERT INTO blobs (org_id, id, bytes, doomed_at) VALUES ($1, $2, 0, now() + $3 * interval '1 second')",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(NEW_S)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(id)
}

/// Stores bytes.
pub(crate) async fn put(app: &App, org: OrgId, bytes: &[u8]) -> Answer<BlobId> {
    let id = announce(app, org).await?;
    app.blobs()?.put(&id.path(org), bytes.to_vec().into()).await.map_err(failed)?;
    Ok(id)
}

/// Stores bytes as they come.
pub(crate) async fn put_stream(
    app: &App,
    org: OrgId,
    chunks: impl Stream<Item = Answer<Vec<u8>>>,
) -> Answer<BlobId> {
    /// Parts under way at once: with 5 MiB each, what an upload holds in memory.
    const PARTS_MAX: usize = 2;
    let id = announce(app, org).await?;
    let upload = app.blobs()?.put_multipart(&id.path(org)).await.map_err(failed)?;
    let mut upload = WriteMultipart::new(upload);
    let mut chunks = pin!(chunks);
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => {
                upload.wait_for_capacity(PARTS_MAX).await.map_err(failed)?;
                upload.write(&chunk);
            }
            Err(error) => {
                // What is left over is swept away with the row.
                let _ = upload.abort().await;
                return Err(error);
            }
        }
    }
    upload.finish().await.map_err(failed)?;
    Ok(id)
}

/// A range of a blob's bytes.
pub(crate) async fn read(
    app: &App,
    org: OrgId,
    id: BlobId,
    range: Range<u64>,
) -> Answer<impl Stream<Item = Answer<Vec<u8>>> + Send + use<>> {
    let options = object_store::GetOptions::new().with_range(Some(range));
    let found = app.blobs()?.get_opts(&id.path(org), options).await.map_err(failed)?;
    Ok(found.into_stream().map_ok(Vec::from).map_err(failed))
}

/// Something refers to the blob from this transaction on.
pub(crate) async fn own(db: &mut PgConnection, org: OrgId, id: BlobId) -> Answer<()> {
    let owned = sqlx::query("UPDATE blobs SET doomed_at = NULL WHERE org_id = $1 AND id = $2")
        .bind(org.uuid())
        .bind(id.uuid())
        .execute(db)
        .await?;
    if owned.rows_affected() == 1 { Ok(()) } else { Err(Error::internal("a blob was swept before its use")) }
}

/// Nothing refers to these blobs from this transaction on.
pub(crate) async fn doom(db: &mut PgConnection, org: OrgId, ids: &[Uuid]) -> Answer<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE blobs SET doomed_at = now() WHERE org_id = $1 AND id = ANY($2)")
        .bind(org.uuid())
        .bind(ids)
        .execute(db)
        .await?;
    Ok(())
}

/// Deletes doomed blobs, bytes first; gives how many.
pub(crate) async fn sweep(app: &App) -> Answer<usize> {
    let doomed: Vec<(Uuid, Uuid)> =
        sqlx::query_as("SELECT org_id, id FROM blobs WHERE doomed_at < now() ORDER BY doomed_at LIMIT $1")
            .bind(SWEEP_MAX)
            .fetch_all(app.system())
            .await?;
    if doomed.is_empty() {
        return Ok(0);
    }
    let store = app.blobs()?;
    for (org, id) in &doomed {
        match store.delete(&BlobId::from_uuid(*id).path(OrgId::from_uuid(*org))).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
        sqlx::query("DELETE FROM blobs WHERE org_id = $1 AND id = $2 AND doomed_at < now()")
            .bind(org)
            .bind(id)
            .execute(app.system())
            .await?;
    }
    Ok(doomed.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_can_be_named_and_what_is_no_store_is_refused() {
        // A second installation in one process changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        assert!(remote(&"s3://bucket/prefix".parse().unwrap()).is_ok());
        for bad in ["ftp://host/x", "s3://", "mailto:x"] {
            assert!(remote(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
