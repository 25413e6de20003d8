//! Lists, page by page: control has two kinds, its own with a cursor, and those that OpenAI's SDKs walk.

use crate::{client::Client, failure::Failure};
use clap::Args;
use serde_json::Value;

/// Most items of one page: what control gives at most.
const PAGE_MAX: usize = 100;

/// How much of a list.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Paging {
    /// Most items
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Every item
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// How a list is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// `next_cursor` and `cursor`.
    Cursor,
    /// `last_id` and `after`.
    After,
}

/// What there is.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) data: Vec<Value>,
    pub(crate) has_more: bool,
}

impl Paging {
    /// All of it.
    pub(crate) const EVERY: Self = Self { limit: 0, all: true };

    /// The newest so many.
    pub(crate) const fn first(limit: u32) -> Self {
        Self { limit, all: false }
    }
}

impl Walk {
    /// Where the next page begins; none after the last.
    fn next(self, page: &Value) -> Option<(&'static str, String)> {
        let text = |name: &str| page[name].as_str().map(str::to_owned);
        match self {
            Self::Cursor => Some(("cursor", text("next_cursor")?)),
            Self::After => Some(("after", text("last_id").filter(|_| page["has_more"] == true)?)),
        }
    }
}

/// Reads as much of a list as is asked for.
pub(crate) async fn fetch(
    client: &Client,
    path: &[&str],
    filters: &[(&str, String)],
    walk: Walk,
    paging: Paging,
) -> Result<Found, Failure> {
    let wanted = if paging.all { usize::MAX } else { paging.limit as usize };
    let mut found = Found::default();
    let mut place = None;
    loop {
        let size = PAGE_MAX.min(wanted - found.data.len());
        let mut query = filters.to_vec();
        query.push(("limit", size.to_string()));
        query.extend(place.take());
        let mut page = client.get(path, &query).await?;
        place = walk.next(&page);
        if let Value::Array(items) = page["data"].take() {
            found.data.extend(items);
        }
        found.has_more = place.is_some();
        if place.is_none() || found.data.len() >= wanted {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_next_page_is_where_the_last_one_says() {
        let cases = [
            (Walk::Cursor, json!({"data": [], "next_cursor": "ab"}), Some(("cursor", "ab".into()))),
            (Walk::Cursor, json!({"data": [], "next_cursor": null}), None),
            (Walk::After, json!({"data": [], "last_id": "x", "has_more": true}), Some(("after", "x".into()))),
            (Walk::After, json!({"data": [], "last_id": "x", "has_more": false}), None),
        ];
        for (walk, page, next) in cases {
            assert_eq!(walk.next(&page), next, "{page}");
        }
    }
}
