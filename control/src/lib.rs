//! The control plane of Alpha Gate: orgs, keys, credentials, endpoints, publications, and what the edge is told of them.
//!
//! One folder or file per feature; in it one file per route, with request, response, handler and SQL. A feature does not
//! read another feature's tables: it calls that feature. Every answer to a change says whether the edge has accepted it.

mod accounts;
mod answer_headers;
pub mod app;
pub mod audit;
mod blobs;
mod body;
mod catalog;
mod change;
mod credentials;
mod dispatch;
#[doc(hidden)]
pub mod doors;
mod drain;
mod endpoints;
mod error;
mod evals;
mod events;
mod files;
mod founding;
mod gates;
pub mod graders;
mod health;
mod housekeeping;
mod idempotency;
mod installs;
mod jobs;
pub mod keygen;
mod keys;
pub mod log;
mod mail;
mod members;
mod names;
mod openai_page;
pub mod openapi;
mod orgs;
mod origin;
mod outbox;
mod pagination;
mod params;
pub mod platform;
mod policies;
pub mod preconditions;
mod principal;
mod publications;
mod quotas;
mod rate_limits;
mod request_id;
pub mod roles;
pub mod routes;
mod runners;
pub mod serve;
pub mod settings;
pub mod store;
mod templates;
mod tenant;
mod text;
mod upstream;
mod usage;
pub mod vault;
mod versions;
