//! Lists as OpenAI's SDKs walk them: `after` is the id of the last item of the page before.
//!
//! `{object: "list", data, first_id, last_id, has_more}`; `limit` is clamped as in the lists of our own.

use crate::{error::Error, pagination::read_limit};
use alphagate_contract::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use std::{fmt::Display, str::FromStr};

/// Items of a page if the caller does not say: OpenAI's.
const LIMIT_DEFAULT: i64 = 20;
/// Most items of a page: OpenAI's.
const LIMIT_MAX: i64 = 100;

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ListOrder)]
pub(crate) enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

/// What a list was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<I> {
    /// The last item of the page before.
    pub(crate) after: Option<I>,
    size: usize,
}

impl<I: FromStr> Asked<I> {
    /// Reads `after` and `limit`.
    pub(crate) fn read(after: Option<&str>, limit: Option<&str>) -> Result<Self, Error> {
        Self::up_to(after, limit, LIMIT_DEFAULT, LIMIT_MAX)
    }

    /// The same with other bounds.
    pub(crate) fn up_to(
        after: Option<&str>,
        limit: Option<&str>,
        default: i64,
        max: i64,
    ) -> Result<Self, Error> {
        let invalid = || {
            let problem = Problem::new(Code::ParameterInvalid).param("after");
            problem.message("`after` must be the id of an item of this same list.")
        };
        let after = after.map(|text| text.parse().map_err(|_| invalid())).transpose()?;
        let size = read_limit(limit, default, max)?;
        Ok(Self { after, size: usize::try_from(size).unwrap_or_default() })
    }

    /// How many rows to read: one more than the page, to see whether there is another.
    pub(crate) fn rows(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// The page of the rows that were found.
    pub(crate) fn page<T, P: Display>(&self, mut data: Vec<T>, id: impl Fn(&T) -> P) -> Page<T> {
        let has_more = data.len() > self.size;
        data.truncate(self.size);
        let text = |item: &T| id(item).to_string();
        Page {
            object: "list",
            first_id: data.first().map(text),
            last_id: data.last().map(text),
            has_more,
            data,
        }
    }
}

/// A page.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = List)]
pub(crate) struct Page<T> {
    object: &'static str,
    data: Vec<T>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::id::EvalId;

    #[test]
    fn a_page_says_whether_there_is_more() {
        let asked: Asked<EvalId> = Asked::read(None, Some("2")).unwrap();
        assert_eq!(asked.rows(), 3);
        let page = serde_json::to_value(asked.page(vec!["a", "b", "c"], |id| *id)).unwrap();
        assert_eq!(
            page,
            serde_json::json!({"object": "list", "data": ["a", "b"], "first_id": "a", "last_id": "b", "has_more": true})
        );
        let page = serde_json::to_value(asked.page(Vec::<&str>::new(), |id| *id)).unwrap();
        assert_eq!((&page["first_id"], &page["has_more"]), (&serde_json::Value::Null, &false.into()));
    }

    #[test]
    fn after_is_an_id_of_the_list() {
        let id = EvalId::new(1, [1; 10]);
        assert_eq!(Asked::<EvalId>::read(Some(&id.to_string()), None).unwrap().after, Some(id));
        assert!(Asked::<EvalId>::read(Some("evalrun_0198c0de00007000800000000000000a"), None).is_err());
        assert!(Asked::<EvalId>::read(None, Some("x")).is_err());
    }
}
