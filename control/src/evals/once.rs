//! Creations under an `Idempotency-Key`, answered as OpenAI answers: the object, and nothing beside it.

use crate::{
    app::App,
    error::{Answer, Error},
    idempotency::{self, Claim, Once},
    tenant::TenantTx,
};
use alphagate_contract::id::OrgId;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

/// A creation that has begun.
pub(super) struct Creation {
    pub(super) tx: TenantTx,
    once: Option<String>,
}

/// What [`Creation::begin`] found.
pub(super) enum Begun {
    /// The work is to be done.
    Fresh(Creation),
    /// It was done before; this is its answer.
    Done(Response),
}

impl Creation {
    /// Begins; a repeated request gets its first answer.
    pub(super) async fn begin(app: &App, org: OrgId, once: Once) -> Answer<Begun> {
        let mut tx = app.tenants().begin(org).await?;
        match idempotency::claim(app, &mut tx, org, once).await? {
            Claim::Fresh(once) => Ok(Begun::Fresh(Self { tx, once })),
            Claim::Done(kept) => Ok(Begun::Done(respond(kept))),
        }
    }

    /// Makes it durable, and answers.
    pub(super) async fn finish(mut self, app: &App, made: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(made).map_err(Error::internal)?;
        if let Some(key) = &self.once {
            let org = self.tx.org();
            idempotency::keep(app, &mut self.tx, org, key, &body).await?;
        }
        self.tx.commit().await?;
        Ok(respond(body))
    }
}

fn respond(body: Vec<u8>) -> Response {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (StatusCode::CREATED, json, body).into_response()
}
