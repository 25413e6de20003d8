//! What mails say. Plain ASCII text and fixed subjects: nothing that a stranger wrote gets into a mail but a name, and of
//! that only what cannot be a link.

use crate::app::App;
use alphagate_contract::secret::Secret;

/// Most characters of a name of an org in a mail.
const NAME_MAX_LEN: usize = 60;

/// A mail before it is sent.
#[derive(Debug)]
pub(crate) struct Letter {
    /// To whom.
    pub(crate) to: String,
    /// Its subject.
    pub(crate) subject: &'static str,
    /// Its text.
    pub(crate) text: Secret<String>,
}

fn letter(to: &str, subject: &'static str, text: String) -> Letter {
    Letter { to: to.to_owned(), subject, text: Secret::new(text) }
}

/// Where a token is used: behind a `#`, so that neither servers nor `Referer` headers see it.
fn link(app: &App, page: &str, token: &Secret<String>) -> String {
    format!("{}/{page}#{}", app.settings().console_url(), token.reveal())
}

/// Confirms a sign-up.
pub(crate) fn verify(app: &App, to: &str, token: &Secret<String>) -> Letter {
    let text = format!(
        "Somebody, probably you, asks for an account of Alpha Gate for this address.\n\
         To confirm it within a day, open this page and give the password that you chose:\n\n\
         {}\n\n\
         or use this token, by the command line or the API:\n\n\
         {}\n\n\
         If it was not you, do nothing: no account will be made.\n",
        link(app, "verify", token),
        token.reveal()
    );
    letter(to, "Confirm your address", text)
}

/// Tells somebody with an account that it was signed up for again.
pub(crate) fn account_exists(app: &App, to: &str) -> Letter {
    let text = format!(
        "Somebody, probably you, asks for an account of Alpha Gate for this address. There is one already:\n\
         sign in with its password, or ask for a new one, at\n\n\
         {}\n\n\
         If it was not you, do nothing: nothing has changed.\n",
        app.settings().console_url()
    );
    letter(to, "You have an account already", text)
}

/// Lets somebody set a new password.
pub(crate) fn reset(app: &App, to: &str, token: &Secret<String>) -> Letter {
    let text = format!(
        "Somebody, probably you, has forgotten the password of this address at Alpha Gate.\n\
         To set a new one within an hour, open this page:\n\n\
         {}\n\n\
         or use this token, by the command line or the API:\n\n\
         {}\n\n\
         Every session will end. If it was not you, do nothing: nothing has changed.\n",
        link(app, "reset", token),
        token.reveal()
    );
    letter(to, "Set a new password", text)
}

/// Tells somebody that their password is another one now.
pub(crate) fn password_changed(app: &App, to: &str) -> Letter {
    let text = format!(
        "The password of your account at Alpha Gate was changed. If that was you, all is well.\n\
         If not, ask for a new one now, which ends every session:\n\n\
         {}\n",
        app.settings().console_url()
    );
    letter(to, "Your password was changed", text)
}

/// Invites somebody into an org.
pub(crate) fn invitation(app: &App, to: &str, org: &str, role: &str, token: &Secret<String>) -> Letter {
    let text = format!(
        "You are invited to the organization \"{}\" at Alpha Gate, as {role}.\n\
         To accept within a week, sign in with this address (or sign up with it first) and open this page:\n\n\
         {}\n\n\
         or use this token, by the command line or the API:\n\n\
         {}\n\n\
         If you do not know them, do nothing.\n",
        harmless(org),
        link(app, "invitation", token),
        token.reveal()
    );
    letter(to, "You are invited", text)
}

/// A name without what a mail program could take for a link, an address or another line; in ASCII.
fn harmless(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || " -_&'()+".contains(c) { c } else { ' ' };
    let kept: String = name.chars().take(NAME_MAX_LEN).map(plain).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_name_is_no_way_to_write_mails_of_ones_own() {
        for (name, kept) in [
            ("Ada's Lab (EU) & Co-op", "Ada's Lab (EU) & Co-op"),
            ("Pay at https://evil.example/x now", "Pay at https evil example x now"),
            ("a\r\nBcc: b@example.org\r\n\r\nhello", "a Bcc b example org hello"),
            ("<b>\u{202e}x</b>", "b x b"),
            ("", ""),
        ] {
            assert_eq!(harmless(name), kept);
        }
        assert_eq!(harmless(&"x".repeat(500)).len(), super::NAME_MAX_LEN);
    }
}
