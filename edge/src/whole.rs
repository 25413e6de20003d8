//! Answers that are not streamed: each target's is read to its end before anything of it is shown.
//!
//! Invariant: once a target has begun to send what was generated, no other is asked, because that would be paid twice.

use crate::{
    answer,
    api::Api,
    attempt::Attempt,
    attempts::{Attempts, Commission, Failure},
    carrier, clock,
    disguise::Usage,
    fault,
    moderation::{self, Refused},
    proxy::{self, Head},
    refusal,
    retry::Why,
    schemas::{self, Violated},
    settlement::End,
};
use alphagate_contract::{
    problem::{Code, Problem},
    usage::Outcome,
};
use js_sys::Uint8Array;
use worker::Response;

/// An answer as the caller may see it.
type Answer = (Response, Outcome, Option<Usage>);

/// Asks the targets, and answers with the first answer.
///
/// # Errors
/// The last target's failure.
pub async fn serve(mut attempts: Attempts) -> Result<Response, Problem> {
    loop {
        let attempt = attempts.begin()?;
        match ask(&attempts, &attempt).await {
            Ok((Ok(answer), content_ms)) => {
                let usage = answer.2;
                return match moderated(&attempts, answer).await {
                    Ok(answer) => finish(&attempts, &attempt, (Ok(answer), content_ms)),
                    Err(refused) => Err(withhold(&attempts, &attempt, (usage, content_ms), *refused)),
                };
            }
            Ok(answered) => return finish(&attempts, &attempt, answered),
            Err(failure) => attempts.failed(&attempt, failure).await?,
        }
    }
}

/// The head, then the body. The inner error is that of an answer that had begun.
async fn ask(attempts: &Attempts, attempt: &Attempt) -> Result<(Result<Answer, Problem>, u64), Failure> {
    let visit = &attempts.commission().visit;
    let call = &attempt.call;
    let head = call.wait_head(attempt.deadlines.head_ms).await;
    if call.gone() {
        return Err(Failure::Gone);
    }
    match head {
        Head::Status(200) if !call.is_event_stream() => {}
        head => return Err(refused(attempts, attempt, head, "JSON").await),
    }
    let first_byte_ms = visit.elapsed_ms();
    let taken_ms = first_byte_ms.saturating_sub(attempt.called_ms);
    let left_ms = attempt.deadlines.total_ms.saturating_sub(taken_ms);
    let answered = call.whole(&attempts.commission().lease, left_ms).await;
    let shown = match answered {
        Ok(bytes) => show(attempts, attempt, &bytes)?,
        Err(problem) => Err(problem),
    };
    Ok((shown, first_byte_ms))
}

/// What the head of an answer means that is not the one asked for.
pub async fn refused(attempts: &Attempts, attempt: &Attempt, head: Head, wanted: &str) -> Failure {
    let call = &attempt.call;
    match head {
        Head::Silent => Failure::free(Why::Timeout, Code::UpstreamTimeout),
        Head::Unreachable => Failure::free(Why::Unreachable, Code::UpstreamUnreachable),
        Head::Status(200) => Failure::free(Why::NotAsAsked, not_as_asked(wanted)),
        Head::Status(status) => {
            let retry_after_ms = call.retry_after_ms();
            let settings = &attempts.commission().visit.settings;
            let body = call.refusal(settings).await;
            if call.gone() {
                return Failure::Gone;
            }
            let protocol = attempt.carry.adapted.as_ref().map(|adapted| adapted.protocol);
            let refused = refusal::read(protocol, status, &body, retry_after_ms, &attempt.disguise);
            let refusal::Refused { status, retry_after_ms, problem } = refused;
            Failure::free(Why::Status { status, retry_after_ms }, problem)
        }
    }
}

fn not_as_asked(what: &str) -> Problem {
    Problem::new(Code::UpstreamError)
        .message(format!("The provider behind this endpoint did not answer with {what}."))
}

fn show(
    attempts: &Attempts,
    attempt: &Attempt,
    bytes: &Uint8Array,
) -> Result<Result<Answer, Problem>, Failure> {
    let text = bytes.to_vec();
    if !attempt.carry.is_native() {
        return translate(attempts, attempt, &text);
    }
    let Ok(pieces) = attempt.disguise.response(&text) else {
        return Ok(Err(Code::UpstreamIncomplete.into()));
    };
    let (outcome, usage) = attempts.commission().api.ended(&text);
    if outcome == Outcome::Failed && !attempt.is_last && !fault::of_response(&text) {
        let problem = Box::new(Code::UpstreamError.into());
        return Err(Failure::Target { why: Why::Failed, problem, usage });
    }
    if let Some(schema) = attempts.commission().schema.as_ref().filter(|_| outcome == Outcome::Completed)
        && let Err((answer, violation)) = schemas::check(schema, &text)
    {
        return Err(Failure::Violated(Violated { answer, violation, usage }));
    }
    let response = proxy::respond(bytes, &pieces, &[("content-type", "application/json")]);
    Ok(response.map(|response| (response, outcome, usage)))
}

fn translate(
    attempts: &Attempts,
    attempt: &Attempt,
    text: &[u8],
) -> Result<Result<Answer, Problem>, Failure> {
    let commission = attempts.commission();
    let (created_s, now_s) = (commission.visit.started_ms / 1_000, clock::now_ms() / 1_000);
    let id = commission.reservation.response_id();
    let read = carrier::whole(
        &attempt.carry,
        &attempt.disguise,
        commission.schema.as_deref(),
        text,
        (&id, created_s, now_s),
    );
    let carrier::Answer { body, outcome, usage, callers_fault, violated } = match read {
        Ok(answer) => answer,
        Err(problem) => return Ok(Err(problem)),
    };
    if outcome == Outcome::Failed && !callers_fault && (!attempt.is_last || body.is_err()) {
        let problem = Box::new(body.err().unwrap_or_else(|| Code::UpstreamError.into()));
        return Err(Failure::Target { why: Why::Failed, problem, usage });
    }
    if let Some(violated) = violated {
        return Err(Failure::Violated(violated));
    }
    Ok(body.and_then(|body| {
        let response = answer::json(body.into_bytes()).map_err(|_| Code::Internal)?;
        Ok((response, outcome, usage))
    }))
}

/// The answer, if the version's moderations let it through.
async fn moderated(
    attempts: &Attempts,
    (mut response, outcome, usage): Answer,
) -> Result<Answer, Box<Refused>> {
    let Commission { visit, route, api, caller, .. } = attempts.commission();
    let looks = route.config().is_ok_and(moderation::looks_at_output);
    if !looks || *api == Api::Embeddings {
        return Ok((response, outcome, usage));
    }
    let internal = |_| Box::new(Refused { problem: Code::Internal.into(), flags: Vec::new() });
    let headers = response.headers().clone();
    let bytes = response.bytes().await.map_err(internal)?;
    if let Some(text) = moderation::output_text(&bytes) {
        let text = Uint8Array::from(text.as_bytes());
        moderation::of_output(visit, route, &text, caller).await?;
    }
    let response = Response::from_bytes(bytes).map_err(internal)?.with_headers(headers);
    Ok((response, outcome, usage))
}

/// The provider is paid for it, and the caller does not see it.
fn withhold(
    attempts: &Attempts,
    attempt: &Attempt,
    (usage, content_ms): (Option<Usage>, u64),
    Refused { problem, flags }: Refused,
) -> Problem {
    attempt.patient.ended(Outcome::Completed);
    let served = attempts.served(attempt.target);
    let end = End { outcome: Outcome::Failed, usage, price: attempt.price, content_ms, served };
    attempts.settle_flagged(end, &flags);
    problem
}

fn finish(
    attempts: &Attempts,
    attempt: &Attempt,
    (shown, content_ms): (Result<Answer, Problem>, u64),
) -> Result<Response, Problem> {
    let (outcome, usage) = match &shown {
        Ok((_, outcome, usage)) => (*outcome, *usage),
        Err(_) if attempt.call.gone() => (Outcome::Aborted, None),
        Err(_) => (Outcome::Failed, None),
    };
    match &shown {
        // Our own budget of bytes.
        Err(problem) if problem.code == Code::Overloaded => attempt.patient.unknown(),
        _ => attempt.patient.ended(outcome),
    }
    let served = attempts.served(attempt.target);
    attempts.settle(End { outcome, usage, price: attempt.price, content_ms, served });
    let mut response = shown?.0;
    answer::add_limits(response.headers_mut(), &attempts.commission().reservation.limits)
        .map_err(|_| Code::Internal)?;
    Ok(response)
}
