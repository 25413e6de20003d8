//! `GET /v1/audit/export`: the whole chain of an org as NDJSON, in order, with its links: it can be checked without us.
//!
//! Each line holds an entry and its link; the last one holds the signed head. An export without it was cut short. What has
//! no link yet is not in it: ask again a second later.

use super::{
    chain::{Head, Link},
    entry::Entry,
    store,
};
use crate::{
    app::App,
    error::{Answer, Error},
    principal::Member,
};
use alphagate_contract::id::OrgId;
use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};

/// Links of one page: each is read in a transaction of its own, so that a slow client holds none open.
const PAGE_LINKS: i64 = 200;

/// One line of an export.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entry: Option<Entry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<Link>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) org: OrgId,
    /// The signed head; none of a chain without links.
    pub(super) head: Option<String>,
}

/// Where an export stands.
struct Going {
    app: App,
    org: OrgId,
    head: Option<Head>,
    ended: bool,
}

/// Exports the org's whole chain in order, one JSON object a line, the signed head last.
#[utoipa::path(
    get,
    path = "/v1/audit/export",
    responses((status = 200, body = String, content_type = "application/x-ndjson")),
)]
pub(crate) async fn export(member: Member, State(app): State<App>) -> Answer<Response> {
    let mut going = Going { app, org: member.org, head: None, ended: false };
    // What fails at once is an answer; what fails later cuts the stream.
    let first = going.page().await?;
    let rest = stream::try_unfold(going, async |mut going| {
        Ok::<_, Error>(match going.ended {
            true => None,
            false => Some((going.page().await?, going)),
        })
    });
    let first = stream::iter([Ok(first)]);
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

impl Going {
    /// The next lines; the last of all once there are no more.
    async fn page(&mut self) -> Result<Vec<u8>, Error> {
        let number = self.head.as_ref().map_or(0, |head| head.number);
        let mut tx = self.app.tenants().begin(self.org).await?;
        let links = store::linked(&mut tx, self.org, number, PAGE_LINKS).await?;
        drop(tx);
        self.ended = links.len() < usize::try_from(PAGE_LINKS).unwrap_or_default();
        let mut text = Vec::new();
        for (link, entry) in links {
            self.head = Some(link.signed_head(self.org));
            write(&mut text, &Line { entry, link: Some(link), end: None })?;
        }
        if self.ended {
            let end = End { org: self.org, head: self.head.as_ref().map(Head::to_string) };
            write(&mut text, &Line { end: Some(end), ..Line::default() })?;
        }
        Ok(text)
    }
}

fn write(text: &mut Vec<u8>, line: &Line) -> Result<(), Error> {
    serde_json::to_writer(&mut *text, line).map_err(Error::internal)?;
    text.push(b'\n');
    Ok(())
}
