//! `alphagate signup` and `confirm`, and the session behind `login --email`: a person, not a key.
//!
//! A password is typed where nobody sees it, or piped; never an argument. A session's token is a bearer as a key is, but it
//! can act in every org of the person: which one is meant is kept beside it.

use super::{
    login::{keep, place},
    secret,
};
use crate::{
    client::Client, config::Config, context::Context, credential::Credential, failure::Failure, table,
};
use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  alphagate signup --url https://control.example.com --email ada@example.org --name Ada
  alphagate confirm agm_…                      # the token of the mail")]
pub(crate) struct Signup {
    /// Where the mail goes
    #[arg(long)]
    email: String,
    /// How others see you; also the name of your own org
    #[arg(long)]
    name: String,
}

impl Signup {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let password = secret::read(None, "Password: ")?;
        let body = json!({"email": self.email, "password": password.reveal(), "name": self.name});
        let answer = anonymous(context)?.post(&["v1", "auth", "sign-up"], &body).await?;
        context.output.show(&answer, |_| {
            format!(
                "a mail is on its way to {}; `alphagate confirm TOKEN` with what stands in it",
                table::plain(&self.email)
            )
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// `agm_…`, as the mail has it
    token: String,
}

impl Confirm {
    /// Takes the sign-up's password again, and logs in.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let password = secret::read(None, "Password: ")?;
        let body = json!({"token": self.token, "password": password.reveal(), "carrier": "bearer"});
        let session = anonymous(context)?.post(&["v1", "auth", "verify"], &body).await?;
        keep(context, of_session(context, &session).await?).await
    }
}

/// The credential of who signs in by e-mail and password.
pub(super) async fn sign_in(context: &Context, email: &str) -> Result<Credential, Failure> {
    let password = secret::read(None, "Password: ")?;
    let body = json!({"email": email, "password": password.reveal(), "carrier": "bearer"});
    let session = anonymous(context)?.post(&["v1", "auth", "sign-in"], &body).await?;
    of_session(context, &session).await
}

/// A session's bearer, and the org that is meant: the one that was named, else the personal one.
async fn of_session(context: &Context, session: &Value) -> Result<Credential, Failure> {
    let token = session["token"].as_str().ok_or_else(|| Failure::said("a session came without a token"))?;
    let nowhere = Credential::new(token, None).map_err(Failure::said)?;
    let orgs =
        Client::new(place(context, &Config::read()?)?, Some(nowhere))?.get(&["v1", "orgs"], &[]).await?;
    let org = choose(&orgs, context.global.org.as_deref())?;
    Credential::new(token, org).map_err(Failure::said)
}

/// The id of the org of this name or id; of the personal one, or the only one, if none is named.
pub(super) fn choose(orgs: &Value, named: Option<&str>) -> Result<Option<String>, Failure> {
    let orgs = orgs["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let id = |org: &Value| org["id"].as_str().map(str::to_owned);
    let Some(named) = named else {
        let own = orgs.iter().find(|org| org["personal"] == true).or_else(|| orgs.first());
        return Ok(own.and_then(id));
    };
    let mut found = orgs.iter().filter(|org| org["id"] == named || org["name"] == named);
    match (found.next(), found.next()) {
        (Some(org), None) => Ok(id(org)),
        (Some(_), Some(_)) => {
            Err(Failure::said(format!("several of your orgs are called `{named}`")).hint("name it by its id"))
        }
        (None, _) => {
            let known: Vec<String> = orgs.iter().map(|org| table::text(&org["name"])).collect();
            Err(Failure::said(format!("you are in no org `{named}`; there are: {}", known.join(", "))))
        }
    }
}

fn anonymous(context: &Context) -> Result<Client, Failure> {
    Client::new(place(context, &Config::read()?)?, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_org_is_chosen_by_name_or_id_and_is_else_ones_own() {
        let orgs = json!({"data": [
            {"id": "org_1", "name": "Team", "personal": false}, {"id": "org_2", "name": "Ada", "personal": true},
            {"id": "org_3", "name": "Twice", "personal": false}, {"id": "org_4", "name": "Twice", "personal": false},
        ]});
        let chosen = |named| choose(&orgs, named).map_err(|failure| failure.text());
        assert_eq!(chosen(None), Ok(Some("org_2".into())));
        assert_eq!(chosen(Some("Team")), Ok(Some("org_1".into())));
        assert_eq!(chosen(Some("org_3")), Ok(Some("org_3".into())));
        assert!(chosen(Some("Twice")).is_err_and(|text| text.contains("several")));
        assert!(chosen(Some("nowhere")).is_err_and(|text| text.contains("Team, Ada")));
        assert_eq!(choose(&json!({"data": []}), None).ok(), Some(None));
    }
}
