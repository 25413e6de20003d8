//! Several policies as one, in which the stricter of them wins.
//!
//! Pure. Invariant: the order of the parts means nothing, a part twice means what it means once, and what the whole lets
//! through every part lets through. So that equal meanings are equal documents, lists come out sorted.

use super::{Policy, Retention};
use crate::{
    endpoint::{ConfigError, ImageKind, Retain, Shape, ToolPolicy, VersionConfig, refuse},
    policy::Moderation,
};
use std::cmp::Ordering;

/// Parameters by which a version itself would keep something at the provider.
const KEPT_AT_THE_PROVIDER: [&str; 2] = ["background", "conversation"];

impl Policy {
    /// This policy and another one as one.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut pii = self.pii.clone();
        for (kind, action) in &other.pii {
            let own = pii.entry(*kind).or_insert(*action);
            *own = (*own).max(*action);
        }
        let mut locked = [self.locked.as_slice(), other.locked.as_slice()].concat();
        locked.sort_unstable();
        locked.dedup();
        Self {
            shape: shape(&self.shape, &other.shape),
            locked,
            retention: least(self.retention, other.retention, |retention| retention.max_days),
            pii,
            moderation: moderation(&self.moderation, &other.moderation),
        }
    }
}

/// The smaller of two limits; none is no limit.
fn least<T: Copy, K: Ord>(one: Option<T>, other: Option<T>, key: impl Fn(&T) -> K) -> Option<T> {
    one.into_iter().chain(other).min_by_key(key)
}

fn shape(one: &Shape, other: &Shape) -> Shape {
    let images_max = least(one.images_max, other.images_max, |images| *images);
    let kinds = common(one.image_kinds.as_ref(), other.image_kinds.as_ref(), by_media_type);
    // A kind that no part shares is an image that no request can have; then there is nothing to say of kinds.
    let none_fits = images_max == Some(0) || kinds.as_ref().is_some_and(Vec::is_empty);
    Shape {
        fields: common(one.fields.as_ref(), other.fields.as_ref(), Ord::cmp),
        input_max_bytes: least(one.input_max_bytes, other.input_max_bytes, |bytes| *bytes),
        images_max: if none_fits { Some(0) } else { images_max },
        image_kinds: kinds.filter(|_| !none_fits),
        tools: tools(&one.tools, &other.tools),
    }
}

fn by_media_type(one: &ImageKind, other: &ImageKind) -> Ordering {
    (*one as u8).cmp(&(*other as u8))
}

/// What both lists have, sorted; none is everything.
fn common<T: Clone + PartialEq>(
    one: Option<&Vec<T>>,
    other: Option<&Vec<T>>,
    order: impl Fn(&T, &T) -> Ordering,
) -> Option<Vec<T>> {
    let mut both: Vec<T> = match (one, other) {
        (Some(one), Some(other)) => one.iter().filter(|item| other.contains(item)).cloned().collect(),
        (Some(items), None) | (None, Some(items)) => items.clone(),
        (None, None) => return None,
    };
    both.sort_by(order);
    both.dedup();
    Some(both)
}

fn tools(one: &ToolPolicy, other: &ToolPolicy) -> ToolPolicy {
    let names = |policy: &ToolPolicy| match policy {
        ToolPolicy::Any => None,
        ToolPolicy::None => Some(Vec::new()),
        ToolPolicy::Named(names) => Some(names.clone()),
    };
    match common(names(one).as_ref(), names(other).as_ref(), Ord::cmp) {
        None => ToolPolicy::Any,
        Some(names) if names.is_empty() => ToolPolicy::None,
        Some(names) => ToolPolicy::Named(names),
    }
}

fn moderation(one: &[Moderation], other: &[Moderation]) -> Vec<Moderation> {
    let mut all: Vec<Moderation> = Vec::new();
    for next in one.iter().chain(other) {
        match all.iter().position(|known| known.asked() == next.asked()) {
            Some(at) => {
                let known = all.swap_remove(at);
                all.push(known.with(next));
            }
            None => all.push(next.clone()),
        }
    }
    all.sort_by(|one, other| one.asked().cmp(&other.asked()));
    all
}

impl VersionConfig {
    /// The configuration under policies: what the edge goes by. It refers to none any more; without any it is itself.
    ///
    /// # Errors
    /// [`ConfigError`] when a policy forbids what the configuration itself says, or the whole is over a limit.
    pub fn under(&self, policies: &[Policy]) -> Result<Self, ConfigError> {
        let own = Policy {
            shape: self.shape.clone(),
            locked: self.locked.clone(),
            retention: None,
            pii: self.pii.clone(),
            moderation: self.moderation.clone(),
        };
        let Some(whole) =
            policies.iter().map(|policy| policy.with(&own)).reduce(|one, other| one.with(&other))
        else {
            return Ok(Self { policies: Vec::new(), ..self.clone() });
        };
        let mut resolved = Self {
            shape: whole.shape,
            locked: whole.locked,
            pii: whole.pii,
            moderation: whole.moderation,
            policies: Vec::new(),
            ..self.clone()
        };
        if let Some(retention) = whole.retention {
            resolved.keep_at_most(retention)?;
        }
        resolved.check()?;
        Ok(resolved)
    }

    fn keep_at_most(&mut self, Retention { max_days }: Retention) -> Result<(), ConfigError> {
        if let Some(field) = KEPT_AT_THE_PROVIDER.iter().find(|field| self.defaults.contains_key(**field)) {
            let message = "is kept at the provider, and a policy limits how long anything is kept";
            return refuse(format!("defaults.{field}"), message.into());
        }
        self.allow.store = false;
        self.allow.background = false;
        self.allow.conversation = false;
        let capped = |retain: Retain| Retain { days: retain.days.min(max_days) };
        self.retain = self.retain.map(capped).filter(|retain| retain.days > 0);
        Ok(())
    }
}
