//! The outbox: what the edge has yet to be told, org by org, oldest first.
//!
//! A record's outbox row is written in the transaction that changes it, so nothing is lost if the process dies between
//! commit and push. One org is pushed by one process at a time (an advisory lock that dies with its connection), and
//! rows leave in the order of their ids: nothing arrives out of order, however many replicas there are.

mod courier;
mod desk;
mod edge;
mod push;
pub(crate) mod records;

pub(crate) use courier::run;
pub use courier::{Courier, Inbox};
pub(crate) use edge::EdgeClient;

/// Channel of NOTIFY that wakes the loops of all replicas, with the org whose outbox has a new row.
const CHANNEL: &str = "alphagate_outbox";
