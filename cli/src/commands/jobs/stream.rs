//! What a job writes, as it writes it: standard output to ours, standard error to ours, byte for byte.

use crate::{client::Client, context::Context, failure::Failure, follow::follow};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::{io::Write as _, ops::ControlFlow};

/// Follows a job to its end, and gives the job. An interruption asks it to stop, and waits for its end.
pub(super) async fn to_the_end(context: &Context, client: &Client, job: &str) -> Result<Value, Failure> {
    let path = ["v1", "jobs", job, "events"];
    let mut attempt = None;
    let written = follow(client, &path, |event| {
        let Some(data) = &event.data else { return Ok(ControlFlow::Continue(())) };
        let message: Value = serde_json::from_str(data)
            .map_err(|error| Failure::said(format!("an event of the job is no JSON: {error}")))?;
        if context.output.is_json() {
            // Programs read the job that is printed at its end.
        } else {
            show(context, &message, &mut attempt)?;
        }
        let is_over = message["type"] == "finished";
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    tokio::pin!(written);
    tokio::select! {
        done = &mut written => done?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            context.output.note("stopping the job; interrupt again to leave it alone");
            client.post_once(&["v1", "jobs", job, "cancel"]).await?;
            tokio::select! {
                done = &mut written => done?,
                again = tokio::signal::ctrl_c() => {
                    again?;
                    return Err(Failure::said("left alone"));
                }
            }
        }
    }
    client.get(&["v1", "jobs", job], &[]).await
}

fn show(context: &Context, message: &Value, attempt: &mut Option<u64>) -> Result<(), Failure> {
    match message["type"].as_str() {
        Some("started") => {
            let number = message["attempt"].as_u64();
            if attempt.is_some() && *attempt != number {
                context.output.note("the job begins anew: its runner was lost");
            }
            *attempt = number;
            Ok(())
        }
        Some("output") => {
            let data = message["data"].as_str().unwrap_or_default();
            let data = BASE64_STANDARD.decode(data).map_err(|error| Failure::said(error.to_string()))?;
            write(&data, message["stream"] == "stderr")
        }
        _ => Ok(()),
    }
}

fn write(data: &[u8], is_error: bool) -> Result<(), Failure> {
    if is_error {
        let mut err = std::io::stderr().lock();
        err.write_all(data)?;
        return Ok(err.flush()?);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(data)?;
    Ok(out.flush()?)
}
