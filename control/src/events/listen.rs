//! The one connection of this process that listens.

use super::CHANNEL;
use crate::app::App;
use sqlx::postgres::PgListener;
use std::time::Duration;

/// Pause before a lost connection is made anew.
const PAUSE: Duration = Duration::from_millis(500);

/// Listens for ever. Whenever the connection is new, everybody looks: what was said meanwhile was not heard.
pub(crate) async fn listen(app: App) {
    loop {
        if let Err(error) = hear(&app).await {
            tracing::warn!(%error, "notices cannot be heard; those who wait look for themselves");
        }
        app.hub().set_hearing(false);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(app: &App) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(app.system()).await?;
    listener.listen(CHANNEL).await?;
    app.hub().set_hearing(true);
    app.hub().say_all();
    // `try_recv` gives none when the connection was lost; `recv` would hide what was missed.
    while let Some(notice) = listener.try_recv().await? {
        if let Ok(notice) = notice.payload().parse() {
            app.hub().say(notice);
        }
    }
    Ok(())
}
