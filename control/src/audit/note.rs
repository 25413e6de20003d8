//! What a handler notes of a change, and how it becomes an entry of the trail in the same transaction.
//!
//! A call that changed nothing leaves no entry: where both sides are given and say the same, nothing is written. What was
//! there before is what an `If-Match` is about: a change of something else is refused here, with all that it did.

use super::mask;
use crate::{
    accounts::SignedIn,
    app::App,
    body::word,
    error::Error,
    origin::Origin,
    principal::{Actor, Member, Operator},
    roles::{Action, Role},
};
use alphagate_contract::id::{AuditId, OrgId};
use chrono::DateTime;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::fmt::Display;
use uuid::Uuid;

/// Whose trail the changes are in that concern no org: runners, and what they register with.
pub(super) const INSTALLATION: OrgId = OrgId::from_uuid(Uuid::nil());

/// A change, before it is written down.
#[must_use = "a change that is not recorded is in nobody's trail"]
pub(crate) struct Note {
    org: OrgId,
    actor: Who,
    action: &'static str,
    verb: &'static str,
    kind: &'static str,
    subject: String,
    origin: Origin,
    before: Option<Value>,
    after: Option<Value>,
}

/// The columns of an actor.
#[derive(Default)]
struct Who {
    kind: &'static str,
    id: Option<String>,
    session: Option<String>,
    role: Option<String>,
}

impl Who {
    fn of(actor: &Actor) -> Self {
        match actor {
            Actor::Key { id, .. } => Self { kind: "key", id: Some(id.to_string()), ..Self::default() },
            Actor::User { id, role, session } => Self {
                kind: "user",
                id: Some(id.to_string()),
                session: Some(session.to_string()),
                role: Some(word(role)),
            },
        }
    }
}

impl Note {
    /// A member's doing: what it took, what was done, and to what.
    pub(crate) fn of(
        member: &Member,
        action: Action,
        verb: &'static str,
        kind: &'static str,
        subject: impl Display,
    ) -> Self {
        let (actor, origin) = (Who::of(&member.actor), member.origin.clone());
        Self::new(member.org, actor, origin, (action.as_str(), verb, kind), &subject)
    }

    /// The operator's doing, in the trail of the org that it concerns; none: in the installation's.
    pub(crate) fn by_operator(
        operator: &Operator,
        org: Option<OrgId>,
        what: (&'static str, &'static str, &'static str),
        subject: impl Display,
    ) -> Self {
        let actor = Who { kind: "operator", ..Who::default() };
        Self::new(org.unwrap_or(INSTALLATION), actor, operator.origin.clone(), what, &subject)
    }

    /// What a signed-in user does to become a member of an org, in that org's trail.
    pub(crate) fn by_user(
        user: &SignedIn,
        role: Role,
        org: OrgId,
        what: (&'static str, &'static str, &'static str),
        subject: impl Display,
    ) -> Self {
        let actor = Who::of(&Actor::User { id: user.user, role, session: user.session });
        Self::new(org, actor, user.origin.clone(), what, &subject)
    }

    /// What this program does by itself.
    pub(crate) fn by_system(
        org: OrgId,
        action: Action,
        verb: &'static str,
        kind: &'static str,
        subject: impl Display,
    ) -> Self {
        let actor = Who { kind: "system", ..Who::default() };
        Self::new(org, actor, Origin::default(), (action.as_str(), verb, kind), &subject)
    }

    fn new(
        org: OrgId,
        actor: Who,
        origin: Origin,
        (action, verb, kind): (&'static str, &'static str, &'static str),
        subject: &dyn Display,
    ) -> Self {
        let subject = subject.to_string();
        Self { org, actor, action, verb, kind, subject, origin, before: None, after: None }
    }

    /// What was there before.
    pub(crate) fn before(mut self, shown: &impl Serialize) -> Self {
        self.before = Some(value(shown));
        self
    }

    /// What is there now.
    pub(crate) fn after(mut self, shown: &impl Serialize) -> Self {
        self.after = Some(value(shown));
        self
    }
}

/// What cannot be shown does not keep the change from being recorded.
fn value(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).unwrap_or_else(|error| json!({"unreadable": error.to_string()}))
}

/// Writes the entry in the transaction of the change, and announces it to the sequencer.
pub(crate) async fn record(app: &App, db: &mut PgConnection, note: Note) -> Result<(), Error> {
    if let Some(before) = &note.before {
        note.origin.precondition.check(before)?;
    }
    if note.before.is_some() && note.before == note.after {
        return Ok(());
    }
    let now_ms = app.platform().now_ms();
    let id = AuditId::new(now_ms, app.platform().bytes());
    let at = DateTime::from_timestamp_millis(i64::try_from(now_ms).map_err(Error::internal)?);
    let request = Some(note.origin.request).filter(|id| !id.is_empty());
    sqlx::query(
        "INSERT INTO audit (org_id, id, at, actor_kind, actor_id, session, role, action, verb, subject_kind, subject_id,
            address, user_agent, request, before, after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::json, $16::text::json)",
    )
    .bind(note.org.uuid())
    .bind(id.uuid())
    .bind(at)
    .bind(note.actor.kind)
    .bind(note.actor.id)
    .bind(note.actor.session)
    .bind(note.actor.role)
    .bind(note.action)
    .bind(note.verb)
    .bind(note.kind)
    .bind(note.subject)
    .bind(note.origin.address.map(|address| address.to_string()))
    .bind(note.origin.user_agent)
    .bind(request)
    .bind(note.before.map(mask::side))
    .bind(note.after.map(mask::side))
    .execute(&mut *db)
    .await?;
    sqlx::query("INSERT INTO audit_pending (org_id, entry_id) VALUES ($1, $2)")
        .bind(note.org.uuid())
        .bind(id.uuid())
        .execute(db)
        .await?;
    Ok(())
}
