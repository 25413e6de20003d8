//! People for tests: they sign up by mail, sign in, make orgs and join others, as anybody would.

use crate::bed::{Bed, Org, Reply, read, text};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::{fs, time::Duration};

pub const PASSWORD: &str = "tuba-ginger-97-marsh";

/// Somebody with a confirmed account, signed in as a program.
pub struct Person {
    pub id: String,
    pub email: String,
    pub token: String,
}

/// A mail as it was sent.
#[derive(Debug)]
pub struct Mail {
    pub subject: String,
    pub text: String,
}

impl Mail {
    /// The token on a line of its own.
    pub fn token(&self) -> String {
        let line = self.text.lines().map(str::trim).find(|line| line.starts_with("agm_"));
        line.unwrap_or_else(|| panic!("a token: {self:?}")).to_owned()
    }
}

/// The mail in a file, if it has been written and is for this address.
fn read_mail(raw: &str, to: &str) -> Option<Mail> {
    let (head, text) = raw.split_once("\r\n\r\n")?;
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    (field("To:")? == to)
        .then(|| Mail { subject: field("Subject:").unwrap().to_owned(), text: text.to_owned() })
}

impl Bed {
    /// Mails to this address so far, oldest first.
    pub fn mails(&self, to: &str) -> Vec<Mail> {
        let Ok(folder) = fs::read_dir(self.database.mails()) else { return Vec::new() };
        let mut files: Vec<_> = folder
            .map(|file| file.unwrap().path())
            .map(|path| (fs::metadata(&path).unwrap().modified().unwrap(), path))
            .collect();
        files.sort();
        files.iter().filter_map(|(_, path)| read_mail(&fs::read_to_string(path).unwrap(), to)).collect()
    }

    /// Waits until so many mails have come to this address; gives the last.
    pub async fn mail(&self, to: &str, number: usize) -> Mail {
        for _ in 0..1_000 {
            let mut mails = self.mails(to);
            if mails.len() >= number {
                assert_eq!(mails.len(), number, "{to}: {mails:?}");
                return mails.pop().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no mail number {number} to {to}");
    }

    /// A call of somebody without any credential.
    pub async fn anyone(&self, path: &str, body: Value) -> Reply {
        read(self.request(Method::POST, path).json(&body)).await
    }

    /// Signs up and confirms.
    pub async fn person(&self, name: &str) -> Person {
        let email = format!("{name}@example.org");
        let before = self.mails(&email).len();
        let account = json!({"email": email, "password": PASSWORD, "name": name});
        let reply = self.anyone("/v1/auth/sign-up", account).await;
        assert_eq!(reply.0, 202, "{}", reply.1);
        let token = self.mail(&email, before + 1).await.token();
        let confirm = json!({"token": token, "password": PASSWORD, "carrier": "bearer"});
        let (status, answer) = self.anyone("/v1/auth/verify", confirm).await;
        assert_eq!(status, 200, "{answer}");
        Person { id: text(&answer["user"]), email, token: text(&answer["token"]) }
    }

    /// Signs in once more; gives the answer.
    pub async fn sign_in(&self, email: &str, password: &str) -> Reply {
        self.anyone("/v1/auth/sign-in", json!({"email": email, "password": password, "carrier": "bearer"}))
            .await
    }

    /// A request of a person in an org.
    pub fn by(&self, person: &Person, org: &str, method: &str, path: &str) -> RequestBuilder {
        self.request(method.parse().unwrap(), path).bearer_auth(&person.token).header("x-ag-org", org)
    }

    /// A call of a person in an org.
    pub async fn as_member(
        &self,
        person: &Person,
        org: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Reply {
        let request = self.by(person, org, method, path);
        read(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// One more org of a person, with an admin's key.
    pub async fn org_of(&self, owner: &Person, name: &str) -> Org {
        let (status, made) = self.call("POST", &owner.token, "/v1/orgs", Some(&json!({"name": name}))).await;
        assert_eq!((status, &made["role"]), (201, &json!("owner")), "{made}");
        let id = text(&made["id"]);
        let key = json!({"name": "first", "scopes": ["admin"]});
        let (status, key) = self.as_member(owner, &id, "POST", "/v1/keys", key).await;
        assert_eq!(status, 201, "{key}");
        Org { id, admin: text(&key["secret"]) }
    }

    /// Invites by an owner, and accepts.
    pub async fn join(&self, owner: &Person, org: &str, person: &Person, role: &str) {
        let before = self.mails(&person.email).len();
        let invitation = json!({"email": person.email, "role": role});
        let (status, made) = self.as_member(owner, org, "POST", "/v1/invitations", invitation).await;
        assert_eq!(status, 201, "{made}");
        let token = self.mail(&person.email, before + 1).await.token();
        let accept = json!({"token": token});
        let reply = self.call("POST", &person.token, "/v1/invitations/accept", Some(&accept)).await;
        assert_eq!((reply.0, &reply.1["role"]), (200, &json!(role)), "{}", reply.1);
    }
}
