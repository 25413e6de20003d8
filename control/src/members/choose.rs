//! Which org a user works in: the one that the header `x-ag-org` names, else their personal one, else the only one.

use super::Membership;
use crate::error::Error;
use alphagate_contract::{
    id::OrgId,
    problem::{Code, Problem},
};
use axum::http::HeaderMap;

/// The header.
const HEADER: &str = "x-ag-org";

/// The membership that a request is made under; the personal org stands first. An org that the user is not in is answered
/// as one that is not there.
pub(crate) fn choose(memberships: &[Membership], headers: &HeaderMap) -> Result<Membership, Error> {
    let mut named = headers.get_all(HEADER).iter();
    match (named.next(), named.next()) {
        (Some(name), None) => {
            let org: Option<OrgId> = name.to_str().ok().and_then(|name| name.parse().ok());
            let found = memberships.iter().find(|membership| Some(membership.org) == org);
            found.copied().ok_or_else(|| Code::NotFound.into())
        }
        (None, _) => only(memberships),
        (Some(_), Some(_)) => Err(missing("Name one org.")),
    }
}

fn only(memberships: &[Membership]) -> Result<Membership, Error> {
    match memberships {
        [one] => Ok(*one),
        [first, ..] if first.personal => Ok(*first),
        [] => Err(missing("You are in no org. Make one by `POST /v1/orgs`.")),
        _ => Err(missing("You are in several orgs. `GET /v1/orgs` lists them.")),
    }
}

fn missing(why: &str) -> Error {
    let message = format!("The header `X-AG-Org` must say which org this is for. {why}");
    Problem::new(Code::ParameterMissing).param(HEADER).message(message).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::Role;

    fn member(number: u64, personal: bool) -> Membership {
        Membership { org: OrgId::new(number, [0; 10]), role: Role::Owner, personal }
    }

    fn chosen(memberships: &[Membership], named: &[String]) -> Result<OrgId, String> {
        let headers = named.iter().map(|name| (HEADER.parse().unwrap(), name.parse().unwrap()));
        let chosen = choose(memberships, &headers.collect());
        chosen.map(|membership| membership.org).map_err(|error| error.to_string())
    }

    #[test]
    fn the_named_org_then_the_personal_one_then_the_only_one() {
        let (personal, a, b) = (member(1, true), member(2, false), member(3, false));
        let name = |membership: Membership| membership.org.to_string();
        assert_eq!(chosen(&[personal, a], &[name(a)]), Ok(a.org));
        assert_eq!(chosen(&[personal, a, b], &[]), Ok(personal.org));
        assert_eq!(chosen(&[a], &[]), Ok(a.org));
        let missing = Err("missing_required_parameter".to_owned());
        assert_eq!(chosen(&[a, b], &[]), missing);
        assert_eq!(chosen(&[], &[]), missing);
        assert_eq!(chosen(&[a, b], &[name(a), name(b)]), missing);
        for foreign in [name(b), "org_".to_owned(), String::new(), name(a).to_uppercase()] {
            assert_eq!(chosen(&[personal, a], &[foreign]), Err("not_found".to_owned()));
        }
    }
}
