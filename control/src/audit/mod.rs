//! The audit trail: every change, by whom, from where, with what was before and after it.
//!
//! An entry is written in the transaction that makes the change, so there is neither without the other. Nobody may change
//! or delete one; [`sequencer`] links the entries of an org into a chain and signs its heads, and [`verify`] names the
//! first link that does not hold. `control/AUDIT.md` says what that shows, and what it cannot show.

pub mod chain;
pub mod command;
mod entry;
mod export;
mod list;
mod mask;
mod note;
mod sequencer;
mod store;
mod verify;

pub use entry::Entry;
pub(crate) use export::export;
pub(crate) use list::list;
pub(crate) use note::{Note, record};
pub(crate) use sequencer::run;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list::list, export::export))]
pub(crate) struct Docs;

#[cfg(test)]
mod chain_tests;
