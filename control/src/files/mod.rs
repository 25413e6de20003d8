//! Files of data: uploaded, or brought along by a run. Whole lines of JSON in pieces, written and read as a stream.
//!
//! No more of a file than a piece is ever in memory, however large it is; what is in it was looked at line by line before
//! anybody could name it.

mod create;
mod cutter;
mod delete;
mod line;
mod read;
mod store;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use line::read as read_line;
pub(crate) use read::{content, get, list};
pub(crate) use store::{Ended, Known, digest, find, forget_expired, forget_run, keep, lines};

use alphagate_contract::id::FileId;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(create::create, read::list, read::get, delete::delete, read::content))]
pub(crate) struct Docs;

/// A file as OpenAI's SDKs read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct File {
    id: FileId,
    object: &'static str,
    bytes: i64,
    created_at: i64,
    filename: String,
    purpose: String,
    /// What was looked at line by line is ready for use.
    status: &'static str,
    expires_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    bytes: i64,
    created_at: DateTime<Utc>,
    filename: String,
    purpose: String,
    expires_at: Option<DateTime<Utc>>,
}

impl From<Row> for File {
    fn from(row: Row) -> Self {
        Self {
            id: FileId::from_uuid(row.id),
            object: "file",
            bytes: row.bytes,
            created_at: row.created_at.timestamp(),
            filename: row.filename,
            purpose: row.purpose,
            status: "processed",
            expires_at: row.expires_at.map(|at| at.timestamp()),
        }
    }
}
