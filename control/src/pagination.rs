//! Lists, page by page: newest first, `limit` and an opaque cursor.
//!
//! A cursor is sealed by the vault for one list of one org with one set of filters: another one's, or a made-up one,
//! is 400. It holds the last item's place, so that pages neither repeat nor skip what does not change.

use crate::{app::App, error::Error};
use alphagate_contract::{
    id::OrgId,
    problem::{Code, Problem},
};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use uuid::Uuid;

/// Items of a page if the caller does not say.
const LIMIT_DEFAULT: i64 = 20;
/// Most items of a page.
const LIMIT_MAX: i64 = 100;
/// Longest cursor: a ring id, a nonce, a place and a tag, in hex.
const CURSOR_MAX_LEN: usize = 512;

/// The query of a list without filters.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    cursor: Option<String>,
}

/// Which list a cursor is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'a> {
    /// Who reads it.
    pub(crate) org: Option<OrgId>,
    /// Its name and filters.
    pub(crate) name: &'a str,
}

/// What a list's query asks the database for.
pub(crate) struct Wanted<P> {
    /// The place of the last item of the page before.
    pub(crate) after: Option<P>,
    /// One more than the page, to see whether there is another.
    pub(crate) rows: i64,
    size: usize,
}

/// A page as callers read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Page<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

impl List<'_> {
    fn purpose(&self) -> String {
        let org = self.org.map(|org| org.to_string()).unwrap_or_default();
        format!("cursor\n{org}\n{}", self.name)
    }

    /// Reads `limit` and `cursor`.
    pub(crate) fn wanted<P: std::str::FromStr>(
        &self,
        app: &App,
        limit: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Wanted<P>, Error> {
        let size = read_limit(limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let after = cursor.map(|text| self.open(app, text).ok_or_else(forged)).transpose()?;
        Ok(Wanted { after, rows: size + 1, size: usize::try_from(size).unwrap_or_default() })
    }

    /// Reads the query of a list without filters.
    pub(crate) fn page<P: std::str::FromStr>(
        &self,
        app: &App,
        query: &PageQuery,
    ) -> Result<Wanted<P>, Error> {
        self.wanted(app, query.limit.as_deref(), query.cursor.as_deref())
    }

    fn open<P: std::str::FromStr>(&self, app: &App, cursor: &str) -> Option<P> {
        if cursor.len() > CURSOR_MAX_LEN {
            return None;
        }
        let place = app.vault().texts().open(&self.purpose(), &hex::decode(cursor).ok()?)?;
        std::str::from_utf8(&place).ok()?.parse().ok()
    }

    /// Makes the page of the rows that were found, and the cursor to the next.
    pub(crate) fn answer<T, P: Display>(
        &self,
        app: &App,
        size: usize,
        mut data: Vec<T>,
        place: impl Fn(&T) -> P,
    ) -> Result<Page<T>, Error> {
        let more = data.len() > size;
        data.truncate(size);
        let last = data.last().filter(|_| more).map(|item| place(item).to_string());
        let seal =
            |place: String| app.vault().texts().seal(app.platform(), &self.purpose(), place.as_bytes());
        let next_cursor = last.map(seal).transpose()?.map(hex::encode);
        Ok(Page { data, next_cursor })
    }
}

impl Wanted<Uuid> {
    /// What the ids of the page are smaller than: an index finds them by it, also in a plan that is made for all values.
    pub(crate) fn before(&self) -> Uuid {
        self.after.unwrap_or(Uuid::max())
    }
}

impl<P> Wanted<P> {
    /// Items of the page.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }
}

/// Reads a `limit`: what is beyond the bounds is clamped.
pub(crate) fn read_limit(text: Option<&str>, default: i64, max: i64) -> Result<i64, Error> {
    let Some(text) = text else { return Ok(default) };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let problem = Problem::new(Code::ParameterInvalid).param("limit");
        return Err(problem.message("`limit` must be a whole number.").into());
    }
    let beyond = if text.starts_with('-') { 1 } else { max };
    Ok(text.parse().unwrap_or(beyond).clamp(1, max))
}

fn forged() -> Error {
    let problem = Problem::new(Code::ParameterInvalid).param("cursor");
    problem.message("`cursor` must be the `next_cursor` of a page of this same list.").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_clamped_and_other_words_refused() {
        let cases = [
            (None, 20),
            (Some("1"), 1),
            (Some("0"), 1),
            (Some("-5"), 1),
            (Some("100"), 100),
            (Some("1000000000"), 100),
            (Some("99999999999999999999999"), 100),
            (Some("-99999999999999999999"), 1),
        ];
        for (text, limit) in cases {
            assert_eq!(read_limit(text, LIMIT_DEFAULT, LIMIT_MAX).unwrap(), limit, "{text:?}");
        }
        for text in ["", "-", "abc", "1e3", "1.5", " 1", "0x10"] {
            assert!(read_limit(Some(text), LIMIT_DEFAULT, LIMIT_MAX).is_err(), "{text}");
        }
    }
}
