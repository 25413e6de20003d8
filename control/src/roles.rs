//! What each role and each scope may do: one table, and the pure function that reads it.
//!
//! A route of an org names one [`Action`]; whoever calls may do it by their role in the org, or by the scopes of their
//! key. `control/ROLES.md` is this table for people, and a test keeps it so.

pub use crate::keys::Scope;
use serde::{Deserialize, Serialize};

/// What a user is in an org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MemberRole)]
pub enum Role {
    /// Everything, and who else owns the org.
    Owner,
    /// Everything but the owners.
    Admin,
    /// Builds and publishes endpoints, through their gates, and runs evals.
    Developer,
    /// Reads.
    Viewer,
    /// Picks endpoints for a class, hands out keys, and invites students and parents.
    Teacher,
    /// Calls what was picked.
    Student,
    /// Sees what is offered.
    Parent,
}

impl Role {
    /// Every role, in the order of the table's columns.
    pub const ALL: [Self; 7] =
        [Self::Owner, Self::Admin, Self::Developer, Self::Viewer, Self::Teacher, Self::Student, Self::Parent];
}

macro_rules! actions {
    ($($name:ident = $text:literal, $what:literal, [$($role:ident)*], [$([$($scope:ident)+])*];)*) => {
        /// Something that can be done in an org.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $(#[doc = $what] $name,)* }

        impl Action {
            /// Every action, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The action's name, stable for programs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it is, for people.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }

            /// The roles that may.
            #[must_use]
            pub const fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => &[$(Role::$role,)*],)* }
            }

            /// Sets of scopes; a key that has all of one set may.
            #[must_use]
            pub const fn scopes(self) -> &'static [&'static [Scope]] {
                match self { $(Self::$name => &[$(&[$(Scope::$scope,)+],)*],)* }
            }
        }
    };
}

actions! {
    OrgRead = "org.read", "Read the org.",
        [Owner Admin Developer Viewer Teacher Student Parent], [[Admin]];
    OrgWrite = "org.write", "Rename the org.", [Owner Admin], [[Admin]];
    MembersRead = "members.read", "List members and invitations.",
        [Owner Admin Developer Viewer Teacher], [[Admin]];
    MembersInvite = "members.invite", "Invite others, up to one's own power.", [Owner Admin Teacher], [[Admin]];
    MembersWrite = "members.write", "Change roles, remove members.", [Owner Admin], [[Admin]];
    MembersLeave = "members.leave", "Leave the org.",
        [Owner Admin Developer Viewer Teacher Student Parent], [];
    OwnersWrite = "owners.write", "Make and unmake owners.", [Owner], [];
    KeysRead = "keys.read", "List API keys.", [Owner Admin Developer Viewer Teacher], [[Admin]];
    KeysWrite = "keys.write", "Make, rotate and revoke API keys, up to one's own power.",
        [Owner Admin Developer Teacher], [[Admin]];
    CredentialsRead = "credentials.read", "List providers' credentials, never their secrets.",
        [Owner Admin Developer], [[Admin]];
    CredentialsWrite = "credentials.write", "Add, replace and delete providers' credentials.",
        [Owner Admin], [[Admin]];
    EndpointsRead = "endpoints.read", "Read endpoints with their versions, publications and gates.",
        [Owner Admin Developer Viewer Teacher], [[Admin]];
    EndpointsWrite = "endpoints.write", "Make and change endpoints and their versions.",
        [Owner Admin Developer], [[Admin]];
    EndpointsPublish = "endpoints.publish", "Publish, try as a canary and withdraw, within the gate.",
        [Owner Admin Developer], [[Admin]];
    EndpointsForce = "endpoints.force", "Publish past the gate.", [Owner Admin], [[Admin Force]];
    EndpointsCall = "endpoints.call", "Call endpoints at the edge, with a key.",
        [Owner Admin Developer Viewer Teacher Student], [[Call]];
    GateWrite = "gate.write", "Say what an endpoint's gate demands.", [Owner Admin], [[Admin Gate]];
    CatalogRead = "catalog.read", "Search the catalog.",
        [Owner Admin Developer Viewer Teacher Student Parent], [[Admin]];
    InstallsRead = "installs.read", "List installs.",
        [Owner Admin Developer Viewer Teacher Student], [[Admin]];
    InstallsWrite = "installs.write", "Install, pin and uninstall endpoints of others.",
        [Owner Admin Developer Teacher], [[Admin]];
    PoliciesRead = "policies.read", "Read policies.", [Owner Admin Developer Viewer Teacher], [[Admin]];
    PoliciesWrite = "policies.write", "Make and change policies.", [Owner Admin Developer], [[Admin]];
    QuotasRead = "quotas.read", "Read quotas.", [Owner Admin Developer Viewer Teacher], [[Admin]];
    QuotasWrite = "quotas.write", "Set quotas.", [Owner Admin], [[Admin]];
    UsageRead = "usage.read", "Read usage.", [Owner Admin Developer Viewer Teacher], [[Admin]];
    EvalsRead = "evals.read", "Read evals, runs and files.",
        [Owner Admin Developer Viewer], [[Admin] [Evals]];
    EvalsRun = "evals.run", "Make and run evals, upload files, try graders.",
        [Owner Admin Developer], [[Admin] [Evals]];
    JobsRead = "jobs.read", "Read jobs, their output and the queue.",
        [Owner Admin Developer Viewer], [[Admin] [Evals]];
    JobsRun = "jobs.run", "Run, cancel, retry and delete jobs.", [Owner Admin Developer], [[Admin] [Evals]];
    AuditRead = "audit.read", "Read and export the audit trail.", [Owner Admin], [[Admin]];
}

/// Where somebody's power comes from.
#[derive(Debug, Clone, Copy)]
pub enum Power<'a> {
    /// A user's role in the org.
    Role(Role),
    /// The scopes of a key.
    Scopes(&'a [Scope]),
}

/// Whether somebody of this power may do this.
#[must_use]
pub fn may(power: Power<'_>, action: Action) -> bool {
    match power {
        Power::Role(role) => action.roles().contains(&role),
        Power::Scopes(scopes) => {
            action.scopes().iter().any(|needed| needed.iter().all(|scope| scopes.contains(scope)))
        }
    }
}

/// Whether somebody of this power may hand out that much of it: a role to a user, or scopes to a key.
///
/// A key with the scope `admin` hands out as an admin does.
#[must_use]
pub fn may_grant(power: Power<'_>, granted: Power<'_>) -> bool {
    let power = match power {
        Power::Scopes(scopes) if scopes.contains(&Scope::Admin) => Power::Role(Role::Admin),
        other => other,
    };
    Action::ALL.iter().all(|action| may(power, *action) || !may(granted, *action))
}

/// Whether the edge passes requests for this on: what a key of the scope `evals` may do, wherever it is shown.
#[must_use]
pub fn is_passed_on(action: Action) -> bool {
    may(Power::Scopes(&[Scope::Evals]), action)
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;
