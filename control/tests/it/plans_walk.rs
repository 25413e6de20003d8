//! Every list of the OpenAPI document, with every filter that it has: a list that a later route adds is asked, too.

use crate::bed::{Bed, Org, text};
use alphagate_control::openapi;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A page this long.
pub const PAGE: usize = 5;
/// What ends a path that reads no list: streams that do not end, pages, checks, and counts of everything.
const NO_LISTS: [&str; 8] = [
    "/events",
    "/diff",
    "/docs",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/auth/device",
    "/operator/v1/vault",
];

/// Whose token each kind of route takes.
pub struct Callers<'a> {
    pub org: &'a Org,
    pub operator: &'a str,
    pub user: &'a str,
}

/// A request of the walk.
pub struct Ask {
    pub path: String,
    pub token: String,
    /// Whether it is a list by pages: those read little more than their page.
    pub paged: bool,
}

/// The requests that ask every list, each filter alone and any two together, and a second page of what has one.
pub async fn asks(bed: &Bed, callers: &Callers<'_>) -> Vec<Ask> {
    let document: Value = serde_json::from_str(openapi::text()).unwrap();
    let mut asks = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let read = &methods["get"];
        let listed = !path.ends_with('}') && !NO_LISTS.iter().any(|end| path.ends_with(end));
        if read.is_null() || !listed {
            continue;
        }
        let token = callers.token(read);
        let place = in_scene(bed, &document, path, &token).await;
        let parameters = queries(read);
        let paged = parameters.iter().any(|parameter| parameter["name"] == "limit");
        let first = if paged { newest(bed, &place, &token, read).await } else { Value::Null };
        for filters in combinations(&document, &parameters, &first) {
            let limit = paged.then(|| format!("limit={PAGE}"));
            let query: Vec<String> = limit.into_iter().chain(filters).collect();
            asks.push(Ask { path: format!("{place}?{}", query.join("&")), token: token.clone(), paged });
        }
    }
    asks
}

impl Callers<'_> {
    fn token(&self, read: &Value) -> String {
        let takes =
            |scheme: &str| read["security"].as_array().unwrap().iter().any(|one| one.get(scheme).is_some());
        let token = match () {
            () if takes("api_key") => self.org.admin.as_str(),
            () if takes("operator_token") => self.operator,
            () if takes("session") => self.user,
            () => panic!("who may ask this? {read}"),
        };
        token.to_owned()
    }
}

/// The parameters of the query.
fn queries(read: &Value) -> Vec<Value> {
    let all = read["parameters"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|parameter| parameter["in"] == "query").collect()
}

/// The path, with the ids of the newest of what is listed on its way.
async fn in_scene(bed: &Bed, document: &Value, path: &str, token: &str) -> String {
    let mut place = String::new();
    let mut template = String::new();
    for part in path.split('/').skip(1) {
        if let Some(name) = part.strip_prefix('{') {
            let above = &document["paths"][&template]["get"];
            assert!(!above.is_null(), "{path}: there is no list {template}");
            let item = newest(bed, &place, token, above).await;
            let id =
                [name.trim_end_matches('}'), "id", "endpoint"].iter().find_map(|name| item[*name].as_str());
            place.push('/');
            place.push_str(id.unwrap_or_else(|| panic!("{path}: what is the id of {item}?")));
        } else {
            place.push('/');
            place.push_str(part);
        }
        template.push('/');
        template.push_str(part);
    }
    place
}

/// The newest item of a list: one of the scene itself.
async fn newest(bed: &Bed, place: &str, token: &str, read: &Value) -> Value {
    let ordered = queries(read).iter().any(|parameter| parameter["name"] == "order");
    let query = if ordered { "?limit=1&order=desc" } else { "?limit=1" };
    let (status, page) = bed.call("GET", token, &format!("{place}{query}"), None).await;
    assert_eq!(status, 200, "{place}: {page}");
    page["data"][0].clone()
}

/// Nothing, each value of each filter, and the first values of any two.
fn combinations(document: &Value, parameters: &[Value], item: &Value) -> BTreeSet<Vec<String>> {
    let mut all = BTreeSet::from([Vec::new()]);
    let filters: Vec<Vec<String>> = parameters
        .iter()
        .filter(|parameter| !["limit", "cursor", "after"].contains(&parameter["name"].as_str().unwrap()))
        .map(|parameter| values(document, parameter, item))
        .collect();
    for (place, values) in filters.iter().enumerate() {
        all.extend(values.iter().map(|value| vec![value.clone()]));
        for others in &filters[place + 1..] {
            all.insert(vec![values[0].clone(), others[0].clone()]);
            all.insert(vec![values[values.len() - 1].clone(), others[others.len() - 1].clone()]);
        }
    }
    all
}

/// What a filter may be asked for: the value that the newest item has, every word of an enumeration, and what nothing has.
fn values(document: &Value, parameter: &Value, item: &Value) -> Vec<String> {
    let name = parameter["name"].as_str().unwrap();
    let mut schema = &parameter["schema"];
    if let Some(reference) = schema["$ref"].as_str() {
        schema = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let mut values: Vec<String> = of_item(item, name).into_iter().collect();
    if let Some(words) = schema["enum"].as_array() {
        values.extend(words.iter().map(text));
    } else if schema["format"] == "date-time" {
        values.extend(["2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"].map(str::to_owned));
    } else if schema["type"] == "boolean" {
        values.extend(["true", "false"].map(str::to_owned));
    } else if let Some(prefix) =
        schema["pattern"].as_str().and_then(|pattern| pattern.strip_suffix("_[0-9a-f]{32}$"))
    {
        values.push(format!("{}_0198c0de00007000800000000000000a", prefix.trim_start_matches('^')));
    } else {
        assert_eq!(schema["type"], "string", "how is the filter `{name}` asked for? {parameter}");
        values.push("nothing-is-called-this".to_owned());
    }
    values.into_iter().map(|value| format!("{name}={value}")).collect()
}

/// What an item has under the name of a filter: a word, one of several, or the id or kind of what is there.
fn of_item(item: &Value, name: &str) -> Option<String> {
    let plural = format!("{name}s");
    let found = [&item[name], &item[name]["id"], &item[name]["kind"], &item[&plural][0]];
    let words =
        Map::from_iter([("q".to_owned(), item["name"].clone()), ("search".to_owned(), item["name"].clone())]);
    let named = words.get(name).and_then(Value::as_str);
    found.into_iter().find_map(Value::as_str).or(named).map(str::to_owned)
}
