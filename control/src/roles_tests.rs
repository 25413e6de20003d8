//! The proof of the table of roles: what must hold of it whatever rows it gets, and that the page for people is it.

use super::*;
use crate::body::word;
use std::{collections::HashSet, env, fs, path::Path};

fn role(role: Role) -> HashSet<Action> {
    Action::ALL.iter().copied().filter(|action| may(Power::Role(role), *action)).collect()
}

fn key(scopes: &[Scope]) -> HashSet<Action> {
    Action::ALL.iter().copied().filter(|action| may(Power::Scopes(scopes), *action)).collect()
}

/// Every set of scopes.
fn every_set_of_scopes() -> Vec<Vec<Scope>> {
    let all = [Scope::Call, Scope::Admin, Scope::Evals, Scope::Gate, Scope::Force];
    let chosen = |bits: usize| all.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1);
    (0..1 << all.len()).map(|bits| chosen(bits).map(|(_, scope)| *scope).collect()).collect()
}

#[test]
fn an_owner_may_do_everything_and_nobody_else_touches_owners() {
    assert_eq!(role(Role::Owner).len(), Action::ALL.len());
    for other in &Role::ALL[1..] {
        assert!(!role(*other).contains(&Action::OwnersWrite), "{other:?}");
        assert!(!may_grant(Power::Role(*other), Power::Role(Role::Owner)), "{other:?}");
    }
    for scopes in every_set_of_scopes() {
        assert!(!key(&scopes).contains(&Action::OwnersWrite));
        assert!(!may_grant(Power::Scopes(&scopes), Power::Role(Role::Owner)), "{scopes:?}");
    }
}

#[test]
fn roles_are_ordered_by_what_they_may() {
    use Role::{Admin, Developer, Owner, Parent, Student, Teacher, Viewer};
    for (less, more) in [
        (Admin, Owner),
        (Developer, Admin),
        (Viewer, Developer),
        (Teacher, Admin),
        (Student, Teacher),
        (Parent, Student),
    ] {
        assert!(role(less).is_subset(&role(more)) && role(less) != role(more), "{less:?} < {more:?}");
    }
}

#[test]
fn nobody_hands_out_more_than_they_have() {
    for power in Role::ALL {
        for granted in Role::ALL {
            let fits = role(granted).is_subset(&role(power));
            assert_eq!(may_grant(Power::Role(power), Power::Role(granted)), fits, "{power:?} {granted:?}");
        }
        for scopes in every_set_of_scopes() {
            let fits = key(&scopes).is_subset(&role(power));
            assert_eq!(may_grant(Power::Role(power), Power::Scopes(&scopes)), fits, "{power:?} {scopes:?}");
        }
    }
    // A developer's key can do what a developer can, and an admin's is out of reach.
    let developer = Power::Role(Role::Developer);
    assert!(may_grant(developer, Power::Scopes(&[Scope::Call, Scope::Evals])));
    assert!(!may_grant(developer, Power::Scopes(&[Scope::Admin])));
    assert!(!may_grant(Power::Scopes(&[Scope::Evals]), Power::Scopes(&[Scope::Call])));
    assert!(may_grant(
        Power::Scopes(&[Scope::Admin]),
        Power::Scopes(&[Scope::Admin, Scope::Gate, Scope::Force])
    ));
}

#[test]
fn a_scope_more_never_takes_anything_away_and_no_scope_is_nothing() {
    assert!(key(&[]).is_empty());
    for scopes in every_set_of_scopes() {
        for more in every_set_of_scopes() {
            let both: Vec<Scope> = scopes.iter().chain(&more).copied().collect();
            assert!(key(&scopes).is_subset(&key(&both)), "{scopes:?} {more:?}");
        }
    }
}

#[test]
fn who_may_change_something_may_read_it() {
    let named = |text: &str| Action::ALL.iter().copied().find(|action| action.as_str() == text);
    for action in Action::ALL {
        let noun = action.as_str().split('.').next().unwrap_or_default();
        let Some(read) = named(&format!("{noun}.read")) else { continue };
        if [Action::MembersLeave, Action::EndpointsCall].contains(action) {
            continue;
        }
        for role in action.roles() {
            assert!(may(Power::Role(*role), read), "{role:?} may {} and not read", action.as_str());
        }
        for scopes in action.scopes() {
            assert!(may(Power::Scopes(scopes), read), "{scopes:?} may {} and not read", action.as_str());
        }
    }
}

#[test]
fn actions_have_one_name_each() {
    let names: HashSet<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    assert_eq!(names.len(), Action::ALL.len());
}

/// The table as the page has it.
fn page() -> String {
    let mut page = String::from(
        "# Who may do what\n\n\
         A user has one role in each org; a key has scopes. This page is made from `src/roles.rs` (a test holds it):\n\
         `AG_WRITE=1 cargo test -p alphagate-control --lib roles` writes it anew. Nobody hands out a role or a key that\n\
         may do more than they may themselves; a key with the scope `admin` hands out as an admin does.\n\n",
    );
    let roles: Vec<String> = Role::ALL.map(word).into();
    page += &format!("| action | what | {} | scopes of a key |\n", roles.join(" | "));
    page += &format!("| --- | --- |{} --- |\n", " :-: |".repeat(roles.len()));
    for action in Action::ALL {
        let marks = Role::ALL.map(|role| if may(Power::Role(role), *action) { "✓" } else { "" });
        let set = |set: &&[Scope]| {
            set.iter().map(|scope| format!("`{}`", word(scope))).collect::<Vec<_>>().join(" and ")
        };
        let scopes = action.scopes().iter().map(set).collect::<Vec<_>>().join(", or ");
        let scopes = if scopes.is_empty() { "–".to_owned() } else { scopes };
        page +=
            &format!("| `{}` | {} | {} | {scopes} |\n", action.as_str(), action.what(), marks.join(" | "));
    }
    page
}

#[test]
fn the_page_for_people_is_this_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ROLES.md");
    if env::var_os("AG_WRITE").is_some() {
        fs::write(&path, page()).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), page(), "see the page's first lines");
}
