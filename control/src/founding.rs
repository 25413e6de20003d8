//! A creation that is no change of an org's state: a new org, or something of the installation's, by a user or the operator.
//!
//! One transaction of the system role holds the rows, the audit entry and the kept answer, as a [`crate::change::Change`]
//! does for an org.

use crate::{
    app::App,
    audit::{self, Note},
    change::{Changed, Effect},
    error::{Answer, Error},
    idempotency::{self, Claim, Once, Owner},
};
use alphagate_contract::id::OrgId;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{PgConnection, Postgres, Transaction};

/// A creation that has begun.
pub(crate) struct Founding {
    app: App,
    tx: Transaction<'static, Postgres>,
    owner: Owner,
    once: Option<String>,
}

/// What [`Founding::begin`] found.
pub(crate) enum Begun {
    /// The work is to be done.
    Fresh(Founding),
    /// The same request was served before; this is its answer.
    Done(Response),
}

/// An answer before the edge has been asked.
#[derive(Serialize, Deserialize)]
struct Draft {
    /// The new org, which the edge is told of.
    org: Option<OrgId>,
    body: Map<String, Value>,
}

impl Founding {
    /// Begins a creation; a repeated request gets its first answer.
    pub(crate) async fn begin(app: &App, owner: Owner, once: Once) -> Answer<Begun> {
        let mut tx = app.system().begin().await?;
        match idempotency::claim(app, &mut tx, owner, once).await? {
            Claim::Fresh(once) => Ok(Begun::Fresh(Self { app: app.clone(), tx, owner, once })),
            Claim::Done(kept) => {
                drop(tx);
                let draft: Draft = serde_json::from_slice(&kept).map_err(Error::internal)?;
                Ok(Begun::Done(draft.respond(app).await))
            }
        }
    }

    /// The transaction.
    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Writes it into the audit trail.
    pub(crate) async fn record(&mut self, note: Note) -> Result<(), Error> {
        audit::record(&self.app, &mut self.tx, note).await
    }

    /// Makes it durable, tells the edge of a new org, and answers.
    pub(crate) async fn finish(mut self, org: Option<OrgId>, body: &impl Serialize) -> Answer {
        let Ok(Value::Object(body)) = serde_json::to_value(body) else {
            return Err(Error::internal("an answer is an object"));
        };
        let draft = Draft { org, body };
        if let Some(key) = &self.once {
            let text = serde_json::to_vec(&draft).map_err(Error::internal)?;
            idempotency::keep(&self.app, &mut self.tx, self.owner, key, &text).await?;
        }
        self.tx.commit().await?;
        Ok(draft.respond(&self.app).await)
    }
}

impl Draft {
    async fn respond(self, app: &App) -> Response {
        let Some(org) = self.org else { return (StatusCode::CREATED, Json(self.body)).into_response() };
        let accepted = app.courier().deliver(org).await;
        (StatusCode::CREATED, Json(Changed::new(self.body, Effect::Plain, accepted))).into_response()
    }
}
