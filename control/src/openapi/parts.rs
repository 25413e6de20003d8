//! The features whose routes the document describes, in the order in which a reader meets them.

use crate::{
    accounts, audit, catalog, credentials, dispatch, endpoints, evals, events, files, gates, health,
    installs, jobs, keys, members, openapi, orgs, outbox::records, policies, publications, quotas, runners,
    templates, usage, vault, versions,
};
use utoipa::OpenApi;

/// What one feature says.
pub(super) struct Part {
    /// Its name; operations are called after it.
    pub(super) tag: &'static str,
    /// What it is about.
    pub(super) about: &'static str,
    /// Its routes and types.
    pub(super) described: utoipa::openapi::OpenApi,
}

fn part<D: OpenApi>(tag: &'static str, about: &'static str) -> Part {
    Part { tag, about, described: D::openapi() }
}

/// Every feature.
pub(super) fn all() -> Vec<Part> {
    vec![
        part::<accounts::Docs>("accounts", "Getting an account, and signing in and out."),
        part::<accounts::DeviceDocs>("devices", "Signing in where there is no browser (RFC 8628)."),
        part::<accounts::MeDocs>("me", "A user's own account."),
        part::<accounts::SessionDocs>("sessions", "Where a user is signed in."),
        part::<orgs::Docs>("orgs", "The tenants."),
        part::<members::Docs>("members", "Who is in an org, and as what."),
        part::<members::InvitationDocs>("invitations", "Asking others into an org."),
        part::<keys::Docs>("keys", "API keys of an org."),
        part::<credentials::Docs>("credentials", "Providers' secrets: written, never read back."),
        part::<templates::Docs>("templates", "Configurations to begin with."),
        part::<endpoints::Docs>("endpoints", "Names that callers put into `model`."),
        part::<versions::Docs>("versions", "Configurations of an endpoint that never change."),
        part::<policies::Docs>("policies", "What versions demand of requests and answers, in revisions."),
        part::<publications::Docs>("publications", "Attempts to make a version live, and canaries."),
        part::<gates::Docs>("gates", "What an endpoint demands of a version before it goes live."),
        part::<catalog::Docs>("catalog", "Public endpoints of every org."),
        part::<installs::Docs>("installs", "Other orgs' endpoints under names of one's own."),
        part::<quotas::Docs>("quotas", "Caps in rolling windows, and on what runs at once."),
        part::<usage::Docs>("usage", "The ledger of served requests."),
        part::<audit::Docs>("audit", "The org's audit trail: every change, by whom, chained and signed."),
        part::<evals::Docs>("evals", "Schemas of data plus graders: OpenAI's Evals API."),
        part::<evals::runs::Docs>("runs", "Executions of an eval, and their output items."),
        part::<evals::GraderDocs>("graders", "Graders tried out on one datum: OpenAI's."),
        part::<files::Docs>("files", "Uploaded data: OpenAI's Files API."),
        part::<jobs::Docs>("jobs", "Units of queued work."),
        part::<events::Docs>("events", "What a job does, as it happens."),
        part::<vault::Docs>("vault", "The keys that everything secret is under, and their rotation."),
        part::<runners::Docs>("runners", "Hosts that take jobs, and the tokens that they register with."),
        part::<dispatch::Docs>("dispatch", "What a runner asks and reports."),
        part::<records::Docs>("records", "What the edge reads when it has no copy."),
        part::<openapi::Docs>("document", "This document."),
        part::<health::Docs>("health", "Whether the program answers and can serve."),
    ]
}
