//! `POST /v1/files`: an upload as `multipart/form-data`, written as it comes.
//!
//! No transaction is open while the client sends: every piece is one of its own, and the file is seen when the last is in.

use super::{
    File, Row,
    cutter::Cutter,
    store::{self, Ended, NewFile, PURPOSE},
};
use crate::{
    app::App,
    audit::{self, Note},
    error::{Answer, Error},
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::{
    id::{FileId, OrgId},
    problem::{Code, Problem},
};
use axum::{
    Json,
    extract::{
        FromRequest as _, Multipart, Request, State,
        multipart::{Field, MultipartError},
    },
};
use std::time::Duration;

/// Largest file: OpenAI's bound.
const FILE_MAX_BYTES: u64 = 512 * 1024 * 1024;
/// Longest upload: the largest file over a line of 150 kB/s.
const UPLOAD_MAX: Duration = Duration::from_secs(3600);
/// Longest value of a field that is not the file.
const FIELD_MAX_BYTES: usize = 1024;
/// Shortest and longest time until a file expires, seconds: an hour and 30 days, as OpenAI has it.
const EXPIRES_AFTER_S: std::ops::RangeInclusive<i64> = 3_600..=2_592_000;
/// Longest file name, in characters.
const FILENAME_MAX_LEN: usize = 255;

/// What the form says besides the file.
#[derive(Default)]
struct Form {
    purpose: Option<String>,
    anchor: Option<String>,
    seconds: Option<String>,
}

/// The form.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "the form is read as it comes; this is for the document")]
struct UploadForm {
    /// Lines of JSON, at most 512 MB.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// `evals`.
    #[schema(example = "evals")]
    purpose: String,
    /// `created_at`: what the time below counts from.
    #[schema(rename = "expires_after[anchor]")]
    anchor: Option<String>,
    /// 3,600 to 2,592,000.
    #[schema(rename = "expires_after[seconds]")]
    seconds: Option<String>,
}

/// Uploads a file of JSON lines.
#[utoipa::path(
    post,
    path = "/v1/files",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 200, body = File)),
)]
pub(crate) async fn create(
    caller: Evaluator,
    State(app): State<App>,
    request: Request,
) -> Answer<Json<File>> {
    let multipart = Multipart::from_request(request, &app).await.map_err(|error| {
        Problem::new(Code::RequestMalformed).message(format!(
            "An upload is `multipart/form-data` with `purpose` and `file`: {}.",
            error.body_text()
        ))
    })?;
    let Ok(received) = tokio::time::timeout(UPLOAD_MAX, receive(&app, caller.org, multipart)).await else {
        return Err(Code::BodyTimeout.into());
    };
    let (file, expires_after_s) = received?;
    publish(&app, &caller, file, expires_after_s).await.map(Json)
}

async fn receive(app: &App, org: OrgId, mut multipart: Multipart) -> Result<(Upload, Option<i64>), Error> {
    let mut form = Form::default();
    let mut upload = None;
    while let Some(field) = soon(app, multipart.next_field()).await? {
        let name = field.name().unwrap_or_default().to_owned();
        let slot = match name.as_str() {
            "file" => {
                if upload.is_some() {
                    return Err(Error::field("file", "stands there twice"));
                }
                upload = Some(write(app, org, field).await?);
                continue;
            }
            "purpose" => &mut form.purpose,
            "expires_after[anchor]" => &mut form.anchor,
            "expires_after[seconds]" => &mut form.seconds,
            _ => return Err(Error::field(name, "unknown field")),
        };
        if slot.replace(text(app, &name, field).await?).is_some() {
            return Err(Error::field(name, "stands there twice"));
        }
    }
    let expires_after_s = form.check()?;
    let upload = upload.ok_or_else(|| Error::field("file", "missing field `file`"))?;
    Ok((upload, expires_after_s))
}

/// A file whose pieces are all there but the last.
struct Upload {
    id: FileId,
    cutter: Cutter,
}

async fn write(app: &App, org: OrgId, mut field: Field<'_>) -> Result<Upload, Error> {
    let name = filename(field.file_name())?;
    let mut tx = app.tenants().begin(org).await?;
    let id = store::begin(app, &mut tx, org, NewFile { filename: &name, run: None }).await?;
    tx.commit().await?;
    let mut cutter = Cutter::default();
    let mut bytes = 0_u64;
    while let Some(data) = soon(app, field.chunk()).await? {
        bytes = bytes.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if bytes > FILE_MAX_BYTES {
            let message = format!("The file is over {FILE_MAX_BYTES} bytes.");
            return Err(Problem::new(Code::BodyTooLarge).message(message).param("file").into());
        }
        let piece = cutter.push(&data).map_err(|bad| Error::field("file", bad.to_string()))?;
        if let Some(piece) = piece {
            let mut tx = app.tenants().begin(org).await?;
            store::write(&mut tx, org, id, &piece).await?;
            tx.commit().await?;
        }
    }
    Ok(Upload { id, cutter })
}

async fn publish(
    app: &App,
    caller: &Evaluator,
    upload: Upload,
    expires_after_s: Option<i64>,
) -> Result<File, Error> {
    let org = caller.org;
    let mut tx = app.tenants().begin(org).await?;
    let known = store::finish(&mut tx, org, upload.id, upload.cutter).await.map_err(|ended| match ended {
        Ended::Line(bad) => Error::field("file", bad.to_string()),
        Ended::Error(error) => error,
    })?;
    if known.lines == 0 {
        return Err(Error::field("file", "has no lines"));
    }
    let row: Row = sqlx::query_as(
        "UPDATE files SET expires_at = created_at + $3 * interval '1 second' WHERE org_id = $1 AND id = $2
         RETURNING id, bytes, created_at, filename, purpose, expires_at",
    )
    .bind(org.uuid())
    .bind(upload.id.uuid())
    .bind(expires_after_s)
    .fetch_one(&mut *tx)
    .await?;
    let file = File::from(row);
    let note = Note::of(caller, Action::EvalsRun, "create", "file", file.id).after(&file);
    audit::record(app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(file)
}

/// Waits for the next part of the body, as long as a whole body of another call may take.
async fn soon<T>(app: &App, part: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Error> {
    match tokio::time::timeout(app.settings().body_deadline, part).await {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(error)) => {
            let message = format!("The upload cannot be read: {}.", error.body_text());
            Err(Problem::new(Code::RequestMalformed).message(message).into())
        }
        Err(_) => Err(Code::BodyTimeout.into()),
    }
}

async fn text(app: &App, name: &str, mut field: Field<'_>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(data) = soon(app, field.chunk()).await? {
        bytes.extend_from_slice(&data);
        if bytes.len() > FIELD_MAX_BYTES {
            return Err(Error::field(name, format!("has more than {FIELD_MAX_BYTES} bytes")));
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::field(name, "is not UTF-8"))
}

fn filename(given: Option<&str>) -> Result<String, Error> {
    let name = given.filter(|name| !name.is_empty()).unwrap_or("upload.jsonl");
    if name.chars().count() > FILENAME_MAX_LEN || name.chars().any(char::is_control) {
        let message =
            format!("the file's name has at most {FILENAME_MAX_LEN} characters, and none for control");
        return Err(Error::field("file", message));
    }
    Ok(name.to_owned())
}

impl Form {
    /// Checks everything but the file; gives after how many seconds it expires.
    fn check(&self) -> Result<Option<i64>, Error> {
        match self.purpose.as_deref() {
            Some(PURPOSE) => {}
            Some(other) => {
                let message = format!("Files are for evals here: the purpose is `{PURPOSE}`, not `{other}`.");
                return Err(Problem::new(Code::ParameterUnsupported)
                    .param("purpose")
                    .message(message)
                    .into());
            }
            None => return Err(Error::field("purpose", "missing field `purpose`")),
        }
        match (self.anchor.as_deref(), self.seconds.as_deref()) {
            (None, None) => Ok(None),
            (Some("created_at"), Some(seconds)) => {
                let seconds = seconds.parse().ok().filter(|seconds| EXPIRES_AFTER_S.contains(seconds));
                let (least, most) = (EXPIRES_AFTER_S.start(), EXPIRES_AFTER_S.end());
                let refused =
                    || Error::field("expires_after.seconds", format!("lies between {least} and {most}"));
                seconds.ok_or_else(refused).map(Some)
            }
            (Some(_), Some(_)) => Err(Error::field("expires_after.anchor", "is always `created_at`")),
            (None, _) => Err(Error::field("expires_after.anchor", "missing field `anchor`")),
            (_, None) => Err(Error::field("expires_after.seconds", "missing field `seconds`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_read_strictly() {
        let form = |purpose: Option<&str>, anchor: Option<&str>, seconds: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            Form { purpose: own(purpose), anchor: own(anchor), seconds: own(seconds) }.check()
        };
        assert_eq!(form(Some("evals"), None, None).unwrap(), None);
        assert_eq!(form(Some("evals"), Some("created_at"), Some("3600")).unwrap(), Some(3600));
        let bad = [
            (None, None, None),
            (Some("batch"), None, None),
            (Some("evals"), Some("now"), Some("3600")),
            (Some("evals"), Some("created_at"), Some("3599")),
            (Some("evals"), Some("created_at"), Some("x")),
            (Some("evals"), Some("created_at"), None),
            (Some("evals"), None, Some("3600")),
        ];
        for (purpose, anchor, seconds) in bad {
            assert!(form(purpose, anchor, seconds).is_err(), "{purpose:?} {anchor:?} {seconds:?}");
        }
    }

    #[test]
    fn a_file_has_a_name() {
        assert_eq!(filename(None).unwrap(), "upload.jsonl");
        assert_eq!(filename(Some("../../etc/passwd")).unwrap(), "../../etc/passwd");
        assert!(filename(Some("a\u{7}b")).is_err() && filename(Some(&"x".repeat(256))).is_err());
    }
}
