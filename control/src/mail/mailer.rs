//! How a mail leaves: by SMTP, or, where no server is set, into a folder and the log, for development.

use super::letters::Letter;
use crate::settings::Settings;
use anyhow::{Context as _, Result};
use lettre::{
    AsyncFileTransport, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType},
    },
};
use std::{fs, path::PathBuf, time::Duration};
use tokio::sync::Notify;

/// How long an SMTP server may take for a step; RFC 5321 allows minutes, and a mail is tried again.
const STEP_MAX: Duration = Duration::from_secs(30);

/// Sends mails, and wakes the loop that does.
pub(crate) struct Mailer {
    from: Mailbox,
    way: Way,
    woken: Notify,
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

impl Mailer {
    /// As the settings say. Nothing is dialled yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let from = settings
            .mail_from
            .parse()
            .context("AG_MAIL_FROM: not a mailbox, such as `Name <a@example.org>`")?;
        let way = match &settings.smtp_url {
            Some(url) => {
                let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.reveal());
                Way::Smtp(smtp.context("AG_SMTP_URL cannot be used")?.timeout(Some(STEP_MAX)).build())
            }
            None => Way::Folder(settings.mail_folder.clone()),
        };
        Ok(Self { from, way, woken: Notify::new() })
    }

    /// There may be mail to send.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until there may be.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Sends a letter; when this is done, the server, or the folder, has it.
    pub(super) async fn send(&self, letter: &Letter) -> Result<()> {
        let to: Mailbox = letter.to.parse().context("the address of a mail cannot be used")?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(body(letter.text.reveal()))?;
        match &self.way {
            Way::Smtp(smtp) => {
                smtp.send(message).await?;
            }
            Way::Folder(folder) => {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                AsyncFileTransport::<Tokio1Executor>::new(folder).send(message).await?;
                tracing::info!(
                    to = letter.to,
                    subject = letter.subject,
                    text = letter.text.reveal(),
                    "mail, as no SMTP server is set"
                );
            }
        }
        Ok(())
    }
}

/// The text as it is, for people who read it in its file: ASCII, in lines far shorter than the 998 characters of RFC 5322.
/// Left to itself, the library would break the links.
fn body(text: &str) -> Body {
    Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), ContentTransferEncoding::SevenBit)
}
