//! What runners ask, under `/runner/v1/runners/{runner}/`: claim, renew, commands, output, finish.
//!
//! The words are the contract's. A runner that is not known has to register; a write of an attempt that is over is told
//! so. Polls are held here without a connection to the database, and end when the program stops.

mod poll;
mod report;

pub(crate) use poll::{claim, commands};
pub(crate) use report::{finish, output, renew};

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(poll::claim, report::renew, poll::commands, report::output, report::finish))]
pub(crate) struct Docs;
