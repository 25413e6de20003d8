//! The loop that pushes: woken by commits of this process, by NOTIFY from others, and by a clock in case both failed.
//!
//! At shutdown it takes on nothing new and finishes the pushes at hand.

use super::{
    CHANNEL,
    desk::Desk,
    push::{self, Pass},
};
use crate::app::App;
use alphagate_contract::id::OrgId;
use sqlx::postgres::PgListener;
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{Id, JoinSet},
    time::Instant,
};

/// Most orgs that one process pushes at once; each holds a connection of the system pool meanwhile.
const PUSHES_MAX: usize = 8;
/// Wakes that may queue up before their senders wait; an unheard one is made good by the poll.
const WAKES_MAX: usize = 1_024;
/// Pause before the lock of an org that another replica pushes is tried again.
const ELSEWHERE_PAUSE: Duration = Duration::from_millis(20);

type Reply = oneshot::Sender<Pass>;

/// The way to the loop.
#[derive(Debug, Clone)]
pub struct Courier {
    wakes: mpsc::Sender<(OrgId, Option<Reply>)>,
    wait: Duration,
}

/// The loop's end of it.
pub struct Inbox(mpsc::Receiver<(OrgId, Option<Reply>)>);

impl Courier {
    pub(crate) fn new(wait: Duration) -> (Self, Inbox) {
        let (wakes, inbox) = mpsc::channel(WAKES_MAX);
        (Self { wakes, wait }, Inbox(inbox))
    }

    /// Pushes what `org` has in the outbox now; whether the edge accepted all of it before the deadline.
    pub(crate) async fn deliver(&self, org: OrgId) -> bool {
        tokio::time::timeout(self.wait, self.drained(org)).await.unwrap_or(false)
    }

    async fn drained(&self, org: OrgId) -> bool {
        loop {
            let (reply, answer) = oneshot::channel();
            if self.wakes.send((org, Some(reply))).await.is_err() {
                return false;
            }
            match answer.await {
                Ok(Pass::Drained) => return true,
                Ok(Pass::Elsewhere) => tokio::time::sleep(ELSEWHERE_PAUSE).await,
                Ok(Pass::Failed) | Err(_) => return false,
            }
        }
    }

    async fn wake(&self, org: OrgId) {
        // Only a stopped loop does not listen.
        let _ = self.wakes.send((org, None)).await;
    }
}

/// Runs until `stop` changes.
pub(crate) async fn run(app: App, mut inbox: Inbox, mut stop: watch::Receiver<bool>) {
    let mut wakers = JoinSet::new();
    wakers.spawn(listen(app.clone()));
    wakers.spawn(poll(app.clone()));
    let connections = usize::try_from(app.settings().database_connections_max).unwrap_or(PUSHES_MAX);
    let mut desk = Desk::new(PUSHES_MAX.min(connections / 2));
    let mut pushes: JoinSet<()> = JoinSet::new();
    let mut whose: HashMap<Id, OrgId> = HashMap::new();
    loop {
        while let Some((org, replies)) = desk.start() {
            let task = pushes.spawn(pass(app.clone(), org, replies, stop.clone()));
            whose.insert(task.id(), org);
        }
        tokio::select! {
            Some((org, reply)) = inbox.0.recv() => desk.wake(org, reply),
            Some(ended) = pushes.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                if let Some(org) = whose.remove(&id) {
                    desk.finish(org);
                }
            }
            _ = stop.changed() => break,
        }
    }
    wakers.shutdown().await;
    while pushes.join_next().await.is_some() {}
}

/// One pass; who waits hears of the edge's acceptance at once, while the rows are still being deleted.
async fn pass(app: App, org: OrgId, replies: Vec<Reply>, stop: watch::Receiver<bool>) {
    let eager = !replies.is_empty();
    let mut waiting = Some(replies);
    let mut tell = |pass| {
        for reply in waiting.take().into_iter().flatten() {
            // Who no longer waits has been told `pending`.
            let _ = reply.send(pass);
        }
    };
    let ended = push::drain(&app, org, eager, stop, || tell(Pass::Drained)).await;
    tell(ended);
}

/// Wakes the desk for every org that another process has written to.
async fn listen(app: App) {
    loop {
        if let Err(error) = hear(&app).await {
            tracing::warn!(%error, "the outbox cannot listen; it polls");
        }
        tokio::time::sleep(app.settings().outbox_poll).await;
    }
}

async fn hear(app: &App) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(app.system()).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let notice = listener.recv().await?;
        if let Ok(org) = notice.payload().parse() {
            app.courier().wake(org).await;
        }
    }
}

/// Wakes the desk for every org that is due, whatever else was missed.
async fn poll(app: App) {
    let mut last_warning: Option<Instant> = None;
    loop {
        match push::due(app.system()).await {
            Ok(orgs) => {
                for org in orgs {
                    app.courier().wake(org).await;
                }
            }
            Err(error) if last_warning.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) => {
                last_warning = Some(Instant::now());
                tracing::warn!(%error, "the outbox cannot be read");
            }
            Err(_) => {}
        }
        tokio::time::sleep(app.settings().outbox_poll).await;
    }
}
