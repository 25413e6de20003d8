//! `POST /runner/v1/runners` and `DELETE /runner/v1/runners/{id}`: a host comes, and goes.

use super::RunnerHost;
use crate::{
    app::App,
    body::Body,
    error::{Answer, Error},
    jobs::{self, check_labels, is_image_name},
    params::Id,
    text::LABEL_MAX_LEN,
};
use alphagate_contract::{
    id::RunnerId,
    job::dispatch::{Register, Registered},
    problem::Code,
};
use axum::{Json, extract::State, http::StatusCode};

/// Most slots of a kind: far beyond any host.
const SLOTS_MAX: u32 = 10_000;
/// Most images of a host.
const IMAGES_MAX: usize = 64;

/// Registers a host.
#[utoipa::path(
    post,
    path = "/runner/v1/runners",
    request_body(
        content = Register,
        example = json!({"name": "host-1", "labels": [], "slots": {"sandbox": 4, "sample": 16}, "version": "0.1.0", "engine": "runsc", "weak": false, "images": ["minimal"]})
    ),
    responses((status = 201, body = Registered)),
)]
pub(crate) async fn register(
    host: RunnerHost,
    State(app): State<App>,
    body: Body<Register>,
) -> Answer<(StatusCode, Json<Registered>)> {
    let new = body.value;
    check(&new)?;
    let runner = app.new_id(RunnerId::new);
    sqlx::query(
        "INSERT INTO runners (id, token_id, name, labels, images, sandbox_slots, sample_slots, version, engine, weak)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(runner.uuid())
    .bind(host.token.uuid())
    .bind(&new.name)
    .bind(&new.labels)
    .bind(&new.images)
    .bind(i32::try_from(new.slots.sandbox).map_err(Error::internal)?)
    .bind(i32::try_from(new.slots.sample).map_err(Error::internal)?)
    .bind(&new.version)
    .bind(&new.engine)
    .bind(new.weak)
    .execute(app.system())
    .await?;
    tracing::info!(%runner, name = new.name, weak = new.weak, "a runner has registered");
    let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let lease_ms = ms(app.settings().lease);
    let answer = Registered {
        runner,
        lease_ms,
        renew_ms: lease_ms / 3,
        poll_ms: ms(app.settings().runner_poll),
        edge_url: app.settings().edge_url.as_str().trim_end_matches('/').to_owned(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

fn check(new: &Register) -> Result<(), Error> {
    for (field, text) in [("name", &new.name), ("version", &new.version), ("engine", &new.engine)] {
        if !(1..=LABEL_MAX_LEN).contains(&text.chars().count()) {
            return Err(Error::field(field, format!("must have between 1 and {LABEL_MAX_LEN} characters")));
        }
    }
    check_labels("labels", &new.labels)?;
    if new.images.len() > IMAGES_MAX || !new.images.iter().all(|image| is_image_name(image)) {
        return Err(Error::field("images", format!("must be at most {IMAGES_MAX} names of images")));
    }
    if new.slots.sandbox > SLOTS_MAX || new.slots.sample > SLOTS_MAX {
        return Err(Error::field("slots", format!("must be at most {SLOTS_MAX} of a kind")));
    }
    Ok(())
}

/// Says goodbye: what the host still holds, others take over.
#[utoipa::path(
    delete,
    path = "/runner/v1/runners/{runner}",
    params(("runner" = RunnerId, Path)),
    responses((status = 204), (status = 409, description = "runner_unknown")),
)]
pub(crate) async fn goodbye(
    host: RunnerHost,
    State(app): State<App>,
    Id(runner): Id<RunnerId>,
) -> Answer<StatusCode> {
    let gone = sqlx::query(
        "UPDATE runners SET gone_at = coalesce(gone_at, now()), seen_at = now() WHERE id = $1 AND token_id = $2",
    )
    .bind(runner.uuid())
    .bind(host.token.uuid())
    .execute(app.system())
    .await?;
    if gone.rows_affected() == 0 {
        return Err(Code::RunnerUnknown.into());
    }
    jobs::give_back(&app, runner).await?;
    Ok(StatusCode::NO_CONTENT)
}
