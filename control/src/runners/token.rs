//! Runner tokens, `ag_rnr_<32 hex id>_<48 hex secret>`: `POST`, `GET /operator/v1/runner-tokens` and
//! `DELETE /operator/v1/runner-tokens/{id}`; and the principal that holds one.
//!
//! The database keeps a digest; the text is shown once. 192 random bits need no salt.

use crate::{
    app::App,
    audit::{self, Note},
    body::Body,
    error::{Answer, Error},
    founding::{Begun, Founding},
    idempotency::Owner,
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::{self, Operator},
    text::Label,
};
use alphagate_contract::{
    id::RunnerTokenId,
    problem::{Code, Problem},
};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// How every token begins.
const PREFIX: &str = "ag_rnr_";
/// Bytes of a token's secret.
const SECRET_LEN: usize = 24;

/// A host with a runner token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunnerHost {
    /// The token.
    pub(crate) token: RunnerTokenId,
}

/// A token as the operator reads it.
#[derive(Debug, Serialize, sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    created_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

/// A token as the operator reads it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RunnerToken)]
pub(crate) struct Token {
    id: RunnerTokenId,
    name: String,
    created_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

/// A token in the answer that makes it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MintedRunnerToken)]
pub(crate) struct Minted {
    #[serde(flatten)]
    token: Token,
    secret: String,
}

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRunnerToken)]
pub(crate) struct NewToken {
    name: Label,
}

impl From<Row> for Token {
    fn from(row: Row) -> Self {
        Self {
            id: RunnerTokenId::from_uuid(row.id),
            name: row.name,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        }
    }
}

fn text(id: RunnerTokenId, secret: [u8; SECRET_LEN]) -> String {
    format!("{PREFIX}{}_{}", id.uuid().simple(), hex::encode(secret))
}

/// The id in a token's text, if it is written as one.
fn id_in(text: &str) -> Option<RunnerTokenId> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let canonical = |text: &str, length| {
        text.len() == length
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_token = canonical(id, 32) && canonical(secret, 2 * SECRET_LEN);
    is_token.then(|| Uuid::try_parse(id).ok().map(RunnerTokenId::from_uuid))?
}

impl FromRequestParts<App> for RunnerHost {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let given = principal::bearer(&parts.headers)?;
        let invalid = || {
            let message =
                "This runner token is not valid: it is mistyped or revoked. Ask the operator for a new one.";
            Error::from(Problem::new(Code::KeyInvalid).message(message))
        };
        let token = id_in(given).ok_or_else(invalid)?;
        let found: Option<(Vec<u8>,)> =
            sqlx::query_as("SELECT digest FROM runner_tokens WHERE id = $1 AND revoked_at IS NULL")
                .bind(token.uuid())
                .fetch_optional(app.system())
                .await?;
        let (digest,) = found.ok_or_else(invalid)?;
        if bool::from(Sha256::digest(given).as_slice().ct_eq(&digest)) {
            Ok(Self { token })
        } else {
            Err(invalid())
        }
    }
}

/// Makes a runner token. Only this answer shows its text.
#[utoipa::path(
    post,
    operation_id = "create_token",
    path = "/operator/v1/runner-tokens",
    request_body(content = NewToken, example = json!({"name": "rack 1"})),
    responses((status = 201, body = Minted), (status = 409, description = "idempotency_mismatch")),
)]
pub(crate) async fn create(operator: Operator, State(app): State<App>, body: Body<NewToken>) -> Answer {
    let id = app.new_id(RunnerTokenId::new);
    let secret = text(id, app.platform().bytes());
    let mut founding = match Founding::begin(&app, Owner::Operator, body.once).await? {
        Begun::Fresh(founding) => founding,
        Begun::Done(answer) => return Ok(answer),
    };
    let row: Row = sqlx::query_as(
        "INSERT INTO runner_tokens (id, name, digest) VALUES ($1, $2, $3) RETURNING id, name, created_at, revoked_at",
    )
    .bind(id.uuid())
    .bind(body.value.name.as_str())
    .bind(Sha256::digest(&secret).as_slice())
    .fetch_one(founding.db())
    .await?;
    let minted = Minted { token: row.into(), secret };
    let what = ("operator.runner_tokens.write", "create", "runner token");
    founding.record(Note::by_operator(&operator, None, what, id).after(&minted)).await?;
    founding.finish(None, &minted).await
}

/// Lists runner tokens, newest first.
#[utoipa::path(
    get,
    operation_id = "list_tokens",
    path = "/operator/v1/runner-tokens",
    params(PageQuery),
    responses((status = 200, body = Page<Token>)),
)]
pub(crate) async fn list(
    _: Operator,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Token>>> {
    let list = List { org: None, name: "runner tokens" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, created_at, revoked_at FROM runner_tokens
         WHERE id < $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(wanted.before())
    .bind(wanted.rows)
    .fetch_all(app.system())
    .await?;
    let tokens = rows.into_iter().map(Token::from).collect();
    Ok(Json(list.answer(&app, wanted.size(), tokens, |token: &Token| token.id.uuid())?))
}

/// From the answer on, no request with the token is taken; what its runners hold, others take over.
#[utoipa::path(
    delete,
    operation_id = "revoke_token",
    path = "/operator/v1/runner-tokens/{id}",
    params(("id" = RunnerTokenId, Path)),
    responses((status = 200, body = Token)),
)]
pub(crate) async fn revoke(
    operator: Operator,
    State(app): State<App>,
    Id(token): Id<RunnerTokenId>,
) -> Answer<Json<Token>> {
    let mut tx = app.system().begin().await?;
    let row: Option<Row> = sqlx::query_as(
        "UPDATE runner_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1
         RETURNING id, name, created_at, revoked_at",
    )
    .bind(token.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let revoked = Token::from(row.ok_or(Code::NotFound)?);
    let what = ("operator.runner_tokens.write", "revoke", "runner token");
    audit::record(&app, &mut tx, Note::by_operator(&operator, None, what, token).after(&revoked)).await?;
    tx.commit().await?;
    Ok(Json(revoked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_id_and_has_one_spelling() {
        let id = RunnerTokenId::new(1, [7; 10]);
        let good = text(id, [0xab; SECRET_LEN]);
        assert_eq!(good.len(), 7 + 32 + 1 + 48);
        assert_eq!(id_in(&good), Some(id));
        let bad = [
            good.to_uppercase(),
            good.replace("ag_rnr_", "ag_live_"),
            good[..good.len() - 1].to_owned(),
            format!("{good}0"),
            good.replace("ab", "AB"),
            "ag_rnr_".to_owned(),
        ];
        for bad in bad {
            assert_eq!(id_in(&bad), None, "{bad}");
        }
    }
}
