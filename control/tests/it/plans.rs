//! Lists stay quick as tables grow: every list, with every filter, reads an index, and little more than its page.
//!
//! What Postgres really did is read, not guessed: `auto_explain` hands the plan of every statement, with the rows that it
//! read, to control's own connection as a notice, and control's log says under which request it came.

use crate::{
    bed::Bed,
    pg::Database,
    plans_fill::{WIDE, multiply},
    plans_walk::{Ask, Callers, PAGE, asks},
    process::Process,
    rls::fill,
};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::collections::{BTreeMap, BTreeSet};

/// Rows that a part of a plan may read for a page: the page, what a second filter leaves out, and the lists beside it. It is
/// half of what the org has.
const ROWS_MAX: f64 = 60.0 * PAGE as f64;

/// How far behind a list is read, in pages of a hundred.
const FAR: usize = 4;

/// Tables that are read whole, and why that is right.
const WHOLE: [(&str, &str); 3] = [
    ("job_pulse", "has one row"),
    ("vault_move", "has one row"),
    ("runners", "are hosts of the operator's: they are counted"),
];

/// Filters by what cannot be looked up, and what bounds what is read.
const COMPARED: [(&str, &str, &str); 6] = [
    ("/v1/jobs", "search", "parts of names: the org's entries of one index, and no rows"),
    ("/v1/jobs", "label", "one of several: the same"),
    ("/v1/jobs", "language", "three words: the same"),
    ("/v1/jobs", "owner", "four words: the same"),
    ("/v1/catalog", "q", "everything that has the word is looked up, so that the newest of it can be shown"),
    ("/v1/installs", "updates", "a comparison with what is live now: the org's installs"),
];

/// What is read beside a list, and what bounds it.
const BESIDE: [(&str, &str, &str); 2] = [
    (
        "/v1/members?",
        "memberships",
        "whose names may be shown: row-level security asks it of the org's members",
    ),
    ("/v1/catalog?", "versions", "those of the orgs whose endpoints are shown"),
];

/// Loops of control stay quiet: what they read is not what is asked about here.
const QUIET: [(&str, &str); 4] = [
    ("AG_OUTBOX_POLL_MS", "600000"),
    ("AG_GATE_POLL_MS", "600000"),
    ("AG_AUDIT_POLL_MS", "600000"),
    ("AG_MAIL_POLL_MS", "600000"),
];

/// A call of the org's own endpoint.
const USED: &str = "INSERT INTO usage_events (org_id, id, at, key_id, endpoint_id, publisher_id, payer, version, stream, outcome,
        requests, input_tokens, output_tokens, cost_micros, estimated, cached_input_tokens, reasoning_tokens, first_byte_ms,
        total_ms, flagged)
    SELECT org_id, id, now(), (SELECT id FROM keys WHERE keys.org_id = endpoints.org_id LIMIT 1), id, org_id, 'publisher', 1,
        false, 'completed', 1, 1, 1, 1, false, 0, 0, 1, 1, '{}'
    FROM endpoints WHERE name = 'haiku'";

/// From now on every connection to the database tells its plans.
async fn explain(database: &Database, plan_cache_mode: &str) {
    let mut db = database.superuser().await;
    for (name, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
        ("auto_explain.log_format", "json"),
        ("auto_explain.log_level", "notice"),
        // Some thousand rows are soon read whole: what is asked here is whether an index could serve at all.
        ("enable_seqscan", "off"),
        // Where a pool does not say what it wants: both kinds of plan are good.
        ("plan_cache_mode", plan_cache_mode),
    ] {
        let sql = format!("ALTER DATABASE {} SET {name} = '{value}'", database.name);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_list_with_every_filter_reads_an_index_and_little_more_than_its_page() {
    let mut bed = Bed::start().await;
    let (org, _) = fill(&bed).await;
    let user = bed.person("reader").await;
    sqlx::raw_sql(USED).execute(&mut bed.database.superuser().await).await.unwrap();
    bed.control.stop().await;
    let filled = multiply(&bed.database, crate::rls::uuid(&org.id).as_str()).await;
    let mut offences = BTreeSet::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        explain(&bed.database, mode).await;
        let process = Process::start(&bed.secrets, &bed.database, &bed.edge, &QUIET).await;
        bed.control.url.clone_from(&process.url);
        let operator = bed.secrets["AG_OPERATOR_TOKEN"].clone();
        let callers = Callers { org: &org, operator: &operator, user: &user.token };
        let asked = ask_all(&bed, asks(&bed, &callers).await).await;
        let plans = plans(process.end().await);
        offences.extend(judge(&asked, &plans, &filled).into_iter().map(|what| format!("{mode}: {what}")));
    }
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), Vec::from_iter(offences).join("\n"));
}

/// Asks everything, also for the page after the first, and for one far behind; gives what was asked by its request's id.
async fn ask_all(bed: &Bed, asks: Vec<Ask>) -> BTreeMap<String, Ask> {
    assert!(asks.len() > 150, "only {} requests", asks.len());
    let mut asked = BTreeMap::new();
    for (number, ask) in asks.into_iter().enumerate() {
        let page = send(bed, &ask, &format!("ask-{number}")).await;
        let far = if ask.path.ends_with(&format!("?limit={PAGE}")) { far(bed, &ask).await } else { None };
        for (what, next) in [("next", next(&page)), ("far", far)] {
            let Some(next) = next else { continue };
            let path = format!("{}&{next}", ask.path);
            let (next, id) =
                (Ask { path, token: ask.token.clone(), paged: ask.paged }, format!("{what}-{number}"));
            send(bed, &next, &id).await;
            asked.insert(id, next);
        }
        asked.insert(format!("ask-{number}"), ask);
    }
    asked
}

/// How the page after this one is asked for.
fn next(page: &Value) -> Option<String> {
    let last = page["has_more"].as_bool().filter(|more| *more).and_then(|_| page["last_id"].as_str());
    let next = page["next_cursor"].as_str().map(|cursor| format!("cursor={cursor}"));
    next.or_else(|| last.map(|id| format!("after={id}")))
}

/// The last page of a list, or one behind more rows than any page may read.
async fn far(bed: &Bed, ask: &Ask) -> Option<String> {
    let base = ask.path.replace(&format!("limit={PAGE}"), "limit=100");
    let mut far = None;
    for _ in 0..FAR {
        let path = far.as_ref().map_or(base.clone(), |next| format!("{base}&{next}"));
        let page = send(bed, &Ask { path, token: ask.token.clone(), paged: true }, "far").await;
        let Some(next) = next(&page) else { break };
        far = Some(next);
    }
    far
}

async fn send(bed: &Bed, ask: &Ask, id: &str) -> Value {
    let request = bed.request(reqwest::Method::GET, &ask.path).bearer_auth(&ask.token);
    let response = request.header("x-request-id", id).send().await.unwrap();
    let (status, body) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{}: {body}", ask.path);
    serde_json::from_str(&body).unwrap_or(Value::Null)
}

/// The plans of each request.
fn plans(log: Vec<Value>) -> BTreeMap<String, Vec<Value>> {
    let mut plans: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in log {
        let message = line["message"].as_str().unwrap_or_default();
        let Some((_, plan)) = message.split_once("plan:\n") else { continue };
        let Some(request) = line["span"]["request_id"].as_str() else { continue };
        plans.entry(request.to_owned()).or_default().push(serde_json::from_str(plan).unwrap());
    }
    plans
}

/// What was read otherwise than it should be.
fn judge(
    asked: &BTreeMap<String, Ask>,
    plans: &BTreeMap<String, Vec<Value>>,
    filled: &[String],
) -> BTreeSet<String> {
    let mut offences = BTreeSet::new();
    let mut read = BTreeSet::new();
    for (request, ask) in asked {
        let told = plans.get(request).unwrap_or_else(|| panic!("{}: no plan was told", ask.path));
        for plan in told {
            let mut nodes = Vec::new();
            parts(&plan["Plan"], &mut nodes);
            for node in nodes {
                let table = node["Relation Name"].as_str().unwrap_or_default();
                read.insert(table.to_owned());
                if let Some(why) = offence(ask, node, table) {
                    let query = plan["Query Text"].as_str().unwrap_or_default().split_whitespace();
                    offences.insert(format!("{}: {why}: {}", ask.path, Vec::from_iter(query).join(" ")));
                }
            }
        }
    }
    let small = |table: &&String| {
        !filled.contains(table)
            && !table.is_empty()
            && !is_whole(table)
            && !table.starts_with("usage_events_")
    };
    let small: Vec<&String> = read.iter().filter(small).collect();
    assert!(small.is_empty(), "{small:?} are read, and have not {WIDE} rows");
    offences
}

/// A plan's node, and all below it.
fn parts<'a>(node: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(node);
    for below in node["Plans"].as_array().into_iter().flatten() {
        parts(below, found);
    }
}

fn is_whole(table: &str) -> bool {
    WHOLE.iter().any(|(name, _)| *name == table)
}

fn offence(ask: &Ask, node: &Value, table: &str) -> Option<String> {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let removed = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let rows = (number("Actual Rows") + removed) * number("Actual Loops");
    // A partition of another month is empty.
    if kind == "Seq Scan" && !is_whole(table) && rows > 0.0 {
        return Some(format!("reads the whole of {table}"));
    }
    let index = node["Index Name"].as_str().unwrap_or_default();
    let excepted = COMPARED.iter().any(|(path, filter, _)| {
        ask.path.starts_with(&format!("{path}?")) && ask.path.contains(&format!("&{filter}="))
    });
    let excepted =
        excepted || BESIDE.iter().any(|(path, read, _)| ask.path.starts_with(path) && table == *read);
    let reads = kind.contains("Scan") && kind != "Subquery Scan" && kind != "CTE Scan";
    (ask.paged && reads && rows > ROWS_MAX && !excepted)
        .then(|| format!("{rows} rows of {table} by {kind} {index} on {}", node["Index Cond"]))
}
