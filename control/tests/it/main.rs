//! Control against a real Postgres (`DATABASE_URL`: a server where databases and roles may be made) and a stand-in edge.
//!
//! Every test has a database of its own, a copy of one migrated template, owned by a plain role.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, and what they are made of"
)]

mod bed;
mod edge;
mod evals_scene;
mod people;
mod pg;
mod plans_fill;
mod plans_walk;
mod play;

mod accounts;
mod audit;
mod audit_chain;
mod audit_routes;
mod bodies;
mod bodies_of_routes;
mod canaries;
mod catalog;
mod clocks;
mod credentials;
mod endpoints;
mod evals;
mod evals_bad;
mod evals_crash;
mod gated;
mod gated_meanwhile;
mod gates;
mod grid;
mod house;
mod idempotency;
mod installs;
mod isolation;
mod jobs;
mod jobs_claims;
mod jobs_events;
mod jobs_hosts;
mod jobs_leases;
mod jobs_output;
mod jobs_requests;
mod jobs_scenarios;
mod keys;
mod kms;
mod members;
mod orgs;
mod outages;
mod outbox;
mod owasp;
mod pages;
mod passed_on;
mod plans;
mod policies;
mod post;
mod preconditions;
mod process;
mod publications;
mod quotas;
mod rate_limits;
mod rls;
mod rls_planted;
mod run_keys;
mod sessions;
mod shapes;
mod upgrade;
mod upgrade_deep;
mod upgrade_old;
mod usage;
mod vault;
