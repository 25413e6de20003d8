//! The edge: a Worker that admits, routes and streams requests.
//!
//! Nothing here may panic: a panic ends every Rust future of the isolate, and a Durable Object's caller waits for
//! ever. The lints below hold that.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod admit;
mod answer;
mod api;
mod asking;
mod attempt;
mod attempts;
mod breaker;
mod canary;
mod carrier;
mod carry;
mod chain;
mod chain_client;
mod chain_index;
mod chain_object;
mod clock;
mod compact;
mod config;
mod control;
mod conversation;
mod disguise;
mod draw;
mod fault;
mod health;
mod identity;
mod images;
mod internal;
mod json_splice;
mod leases;
mod lifecycle;
mod memory;
mod message;
mod models;
mod moderation;
mod object;
mod opened;
mod org_alarm;
mod org_client;
mod org_leases;
mod org_object;
mod org_returns;
mod org_store;
mod org_wire;
mod output_format;
mod pass_on;
mod pii;
mod proxy;
mod reach;
mod recall;
mod references;
mod refusal;
mod replay;
mod request;
mod resolve;
mod responses;
mod retry;
mod routes;
mod schemas;
mod settings;
mod settlement;
mod shape;
mod socket;
mod source;
mod sse;
mod stored;
mod stream;
mod targets;
mod texts;
mod visit;
mod wait;
mod whole;

use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    routes::serve(request, env, context).await
}
