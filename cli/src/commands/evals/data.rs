//! The data of a run: what the document says, or a file of JSON lines that is uploaded first.

use crate::{client::Client, commands::reference::id, document::Document, failure::Failure};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How long an uploaded file is kept, seconds: control's longest. A run reads its lines within hours.
const KEPT_S: u64 = 30 * 24 * 60 * 60;

/// Where a document has its data source.
pub(super) const DATA_SOURCE: &str = "data_source";

/// Puts an uploaded file in the place of a local one: the one of the command line, or `source: {type: file, path: …}`.
pub(super) async fn upload_if_local(
    client: &Client,
    document: &Document,
    run: &mut Value,
    named: Option<&Path>,
) -> Result<(), Failure> {
    let source = &mut run[DATA_SOURCE]["source"];
    let path = match named {
        Some(path) => path.to_owned(),
        None if source["type"] == "file" => beside(document, source)?,
        None => return Ok(()),
    };
    let file = upload(client, &path).await?;
    *source = json!({"type": "file_id", "id": file});
    Ok(())
}

/// A path in a document is relative to it.
fn beside(document: &Document, source: &Value) -> Result<PathBuf, Failure> {
    let missing = || {
        let place = document.place("run", "data_source.source");
        Failure::said(format!("{place}: a source of the type `file` has a `path`"))
    };
    let path = source["path"].as_str().ok_or_else(missing)?;
    Ok(Path::new(&document.name).parent().unwrap_or(Path::new("")).join(path))
}

async fn upload(client: &Client, path: &Path) -> Result<String, Failure> {
    let wrong = |error: std::io::Error| Failure::said(format!("{}: {error}", path.display()));
    let name =
        path.file_name().map_or_else(|| "data.jsonl".into(), |name| name.to_string_lossy().into_owned());
    let file = Part::file(path).await.map_err(wrong)?.file_name(name);
    let form = Form::new()
        .text("purpose", "evals")
        .text("expires_after[anchor]", "created_at")
        .text("expires_after[seconds]", KEPT_S.to_string())
        .part("file", file);
    let made = client.upload(&["v1", "files"], form).await?;
    Ok(id(&made)?.to_owned())
}
