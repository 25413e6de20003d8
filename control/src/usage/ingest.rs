//! `POST /internal/v1/usage`: a batch from an org's ledger. As often as the edge likes; each event counts once, by its id.

use super::columns;
use crate::{
    app::App,
    body::{parse, word},
    credentials::{self, Use, Uses},
    error::{Answer, Error},
    keys,
    principal::Edge,
};
use alphagate_contract::{
    id::{KeyId, OrgId},
    usage::{Payer, USAGE_BATCH_MAX, UsageBatch, UsageEvent},
};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::HashSet;
use uuid::Uuid;

/// The answer: the edge may forget these.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = UsageAccepted)]
pub(crate) struct Accepted {
    /// Events of the batch that are durable here now.
    accepted: usize,
    /// Those of them that were not here before.
    new: u64,
}

/// A row of `usage_events`, by the names of its columns.
#[derive(Serialize)]
struct Row<'a> {
    org_id: Uuid,
    id: Uuid,
    at: DateTime<Utc>,
    key_id: Uuid,
    endpoint_id: Uuid,
    publisher_id: Uuid,
    install_id: Option<Uuid>,
    payer: String,
    version: i32,
    stream: bool,
    outcome: String,
    requests: i64,
    input_tokens: i64,
    output_tokens: i64,
    cost_micros: i64,
    estimated: bool,
    cached_input_tokens: i64,
    reasoning_tokens: i64,
    first_byte_ms: i64,
    total_ms: i64,
    flagged: &'a [String],
    target: u8,
    attempt: u8,
    passed_over: Vec<String>,
    flags: &'a [String],
}

/// A figure as the database holds it; what is beyond its range is as much as it can hold.
fn figure(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn moment(at_ms: u64) -> DateTime<Utc> {
    i64::try_from(at_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

impl<'a> From<&'a UsageEvent> for Row<'a> {
    fn from(event: &'a UsageEvent) -> Self {
        let admission = &event.admission;
        Self {
            org_id: admission.org.uuid(),
            id: admission.id.uuid(),
            at: moment(admission.at_ms),
            key_id: admission.key.uuid(),
            endpoint_id: admission.endpoint.uuid(),
            publisher_id: admission.publisher.uuid(),
            install_id: admission.install.map(|install| install.uuid()),
            payer: word(admission.payer),
            version: i32::try_from(admission.version).unwrap_or(i32::MAX),
            stream: admission.stream,
            outcome: word(event.outcome),
            requests: figure(event.amounts.requests),
            input_tokens: figure(event.amounts.input_tokens),
            output_tokens: figure(event.amounts.output_tokens),
            cost_micros: figure(event.amounts.cost_micros),
            estimated: event.estimated,
            cached_input_tokens: figure(event.cached_input_tokens),
            reasoning_tokens: figure(event.reasoning_tokens),
            first_byte_ms: figure(event.first_byte_ms),
            total_ms: figure(event.total_ms),
            flagged: &event.flagged,
            target: event.served.target,
            attempt: event.served.attempt,
            passed_over: event.served.passed_over.iter().map(ToString::to_string).collect(),
            flags: &event.flags,
        }
    }
}

/// Takes a batch of usage events. Each counts once, by its id.
#[utoipa::path(
    post,
    path = "/internal/v1/usage",
    request_body(
        content = UsageBatch,
        example = json!({"org": "org_0198c0de00007000800000000000000a", "events": []})
    ),
    responses((status = 200, body = Accepted)),
)]
pub(crate) async fn ingest(State(app): State<App>, Edge(body): Edge) -> Answer<Json<Accepted>> {
    let batch: UsageBatch = parse(&body)?;
    check(&batch)?;
    let rows: Vec<Row<'_>> = batch.events.iter().map(Row::from).collect();
    let rows = serde_json::to_string(&rows).map_err(Error::internal)?;
    let mut tx = app.system().begin().await?;
    let new: Vec<(Uuid,)> = sqlx::query_as(concat!(
        "INSERT INTO usage_events (",
        columns!(),
        ")
             SELECT ",
        columns!(),
        " FROM json_populate_recordset(NULL::usage_events, $1::text::json)
             ON CONFLICT DO NOTHING RETURNING id"
    ))
    .bind(rows)
    .fetch_all(&mut *tx)
    .await?;
    let new: HashSet<Uuid> = new.into_iter().map(|(id,)| id).collect();
    keys::note_use(&mut tx, batch.org, &uses(&batch)).await?;
    credentials::note_use(&mut tx, &uses_of_credentials(&batch, &new)).await?;
    tx.commit().await?;
    Ok(Json(Accepted { accepted: batch.events.len(), new: new.len() as u64 }))
}

fn check(batch: &UsageBatch) -> Result<(), Error> {
    if batch.events.len() > USAGE_BATCH_MAX {
        return Err(Error::field("events", format!("at most {USAGE_BATCH_MAX} events")));
    }
    let foreign = |org: OrgId| batch.events.iter().position(|event| event.admission.org != org);
    match foreign(batch.org) {
        Some(index) => Err(Error::field(format!("events[{index}].org"), "must be the batch's org")),
        None => Ok(()),
    }
}

fn uses(batch: &UsageBatch) -> Vec<(KeyId, DateTime<Utc>)> {
    batch.events.iter().map(|event| (event.admission.key, moment(event.admission.at_ms))).collect()
}

/// How often each credential served, by its owner, in the events that were not here before.
fn uses_of_credentials(batch: &UsageBatch, new: &HashSet<Uuid>) -> Uses {
    let mut uses = Uses::new();
    for event in batch.events.iter().filter(|event| new.contains(&event.admission.id.uuid())) {
        let Some(credential) = event.served.credential else { continue };
        let admission = &event.admission;
        let owner = match admission.payer {
            Payer::Publisher => admission.publisher,
            Payer::Installer => admission.org,
        };
        let last = moment(admission.at_ms);
        let used = uses.entry((owner, credential)).or_insert(Use { times: 0, last });
        used.times += 1;
        used.last = used.last.max(last);
    }
    uses
}
