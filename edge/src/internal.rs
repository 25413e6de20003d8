//! `POST /internal/v1/records`: control pushes records, signed; the org's object keeps them.

use crate::{answer, clock, org_client, visit::Visit};
use alphagate_contract::{
    problem::{Code, Problem},
    record::{PUSH_MAX_RECORDS, Push},
    sign::{self, Audience, SIGNATURE_HEADER, Signed},
};
use worker::{Request, Response};

/// The path of this route, as it is signed.
pub const RECORDS_PATH: &str = "/internal/v1/records";

/// Takes a push.
///
/// # Errors
/// 401 without a valid signature; 503 when the object did not confirm, so that control pushes again.
pub async fn push(visit: &Visit, request: &mut Request) -> Result<Response, Problem> {
    let body = request.bytes().await.map_err(|_| Code::RequestMalformed)?;
    let signed =
        Signed { audience: Audience::Edge, method: "POST", path_and_query: RECORDS_PATH, body: &body };
    let header = request.headers().get(SIGNATURE_HEADER).ok().flatten().unwrap_or_default();
    sign::verify(&visit.settings.from_control, &header, &signed, clock::now_ms())
        .map_err(|_| Code::SignatureInvalid)?;
    let push: Push = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(Code::BodyMalformed).message(error.to_string()))?;
    if push.records.len() > PUSH_MAX_RECORDS {
        let message = format!("At most {PUSH_MAX_RECORDS} records in one push.");
        return Err(Problem::new(Code::ParameterInvalid).message(message).param("records"));
    }
    let pushed = org_client::push(visit, &push).await.ok_or(Code::QuotaUnavailable)?;
    let body = serde_json::to_vec(&pushed).map_err(|_| Code::Internal)?;
    answer::json(body).map_err(|_| Code::Internal.into())
}
