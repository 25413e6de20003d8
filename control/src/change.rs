//! A change of an org's state, from its first row to the edge.
//!
//! One transaction holds the rows, the records, the outbox and the kept answer; after it the edge is told at once, and
//! the answer says whether it has `accepted` (the change holds for every request from now on) or is `pending` (the
//! outbox goes on until it has).

use crate::{
    app::App,
    audit::{self, Note},
    error::{Answer, Error},
    idempotency::{self, Claim, Once},
    tenant::TenantTx,
};
use alphagate_contract::id::OrgId;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgConnection;

/// A change that has begun.
pub(crate) struct Change {
    app: App,
    tx: TenantTx,
    once: Option<String>,
}

/// What [`Change::begin`] found.
pub(crate) enum Begun {
    /// The work is to be done.
    Fresh(Change),
    /// The same request was served before; this is its answer.
    Done(Response),
}

/// What the edge's acceptance means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// `edge`.
    Plain,
    /// `edge`, and `visible` with the particulars.
    Published,
    /// `edge`, and `enforced`.
    Revoked,
}

/// Whether the edge has accepted a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = EdgeState)]
pub(crate) enum Edge {
    /// It holds for every request from now on.
    Accepted,
    /// The edge is told again until it has accepted.
    Pending,
}

/// Since when callers see what was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Visible {
    /// Whether every call from now on is served by it.
    edge_accepted: bool,
}

/// What is there after a change, and what the edge has said of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Changed<T> {
    #[serde(flatten)]
    answer: T,
    edge: Edge,
    /// Where something was revoked: whether it is refused everywhere from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    enforced: Option<bool>,
    /// Where something was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    visible: Option<Visible>,
}

/// What [`Changed`] adds to a resource.
const ADDED: [&str; 3] = ["edge", "enforced", "visible"];

/// Leaves of the answer to a change what the resource's own GET shows.
pub(crate) fn leave_resource(answer: &mut Value) {
    if let Value::Object(fields) = answer {
        fields.retain(|name, _| !ADDED.contains(&name.as_str()));
    }
}

impl<T> Changed<T> {
    /// The answer to a change, when the edge has been asked.
    pub(crate) fn new(answer: T, effect: Effect, accepted: bool) -> Self {
        // The edge's object answers every call: what it has accepted holds from the next request on.
        let visible = Visible { edge_accepted: accepted };
        Self {
            answer,
            edge: if accepted { Edge::Accepted } else { Edge::Pending },
            enforced: (effect == Effect::Revoked).then_some(accepted),
            visible: (effect == Effect::Published).then_some(visible),
        }
    }
}

/// What is left of something that was deleted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Deleted<I> {
    id: I,
    deleted: bool,
}

impl<I> Deleted<I> {
    /// The answer to a deletion.
    pub(crate) const fn new(id: I) -> Self {
        Self { id, deleted: true }
    }
}

/// An answer before the edge has been asked.
#[derive(Serialize, Deserialize)]
struct Draft {
    status: u16,
    effect: Effect,
    body: Map<String, Value>,
}

impl Change {
    /// Begins a change; a repeated request gets its first answer.
    pub(crate) async fn begin(app: &App, org: OrgId, once: Once) -> Answer<Begun> {
        let mut tx = app.tenants().begin(org).await?;
        match idempotency::claim(app, &mut tx, org, once).await? {
            Claim::Fresh(once) => Ok(Begun::Fresh(Self { app: app.clone(), tx, once })),
            Claim::Done(kept) => {
                drop(tx);
                let draft: Draft = serde_json::from_slice(&kept).map_err(Error::internal)?;
                Ok(Begun::Done(draft.respond(app, org).await))
            }
        }
    }

    /// Begins a change that may be asked for any number of times.
    pub(crate) async fn begin_repeatable(app: &App, org: OrgId) -> Answer<Self> {
        Ok(Self { app: app.clone(), tx: app.tenants().begin(org).await?, once: None })
    }

    /// The transaction.
    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Writes it into the audit trail.
    pub(crate) async fn record(&mut self, note: Note) -> Result<(), Error> {
        audit::record(&self.app, &mut self.tx, note).await
    }

    /// Makes the change durable, tells the edge, and answers.
    pub(crate) async fn finish(
        mut self,
        status: StatusCode,
        effect: Effect,
        body: &impl Serialize,
    ) -> Answer {
        let Ok(Value::Object(body)) = serde_json::to_value(body) else {
            return Err(Error::internal("an answer is an object"));
        };
        let org = self.tx.org();
        let draft = Draft { status: status.as_u16(), effect, body };
        if let Some(key) = &self.once {
            let text = serde_json::to_vec(&draft).map_err(Error::internal)?;
            idempotency::keep(&self.app, &mut self.tx, org, key, &text).await?;
        }
        self.tx.commit().await?;
        Ok(draft.respond(&self.app, org).await)
    }
}

impl Draft {
    async fn respond(self, app: &App, org: OrgId) -> Response {
        let accepted = app.courier().deliver(org).await;
        let changed = Changed::new(self.body, self.effect, accepted);
        (StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK), Json(changed)).into_response()
    }
}
