//! The load: requests over connections that stay open, timed to the nanosecond.
//!
//! Invariant: nothing but the exchange itself lies between two readings of the clock: connections are opened and
//! requests are built beforehand.

use super::{
    script::{self, Asked, STAMP, STAMP_DIGITS},
    subject::Door,
};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use memchr::{memchr_iter, memmem};
use std::time::{Duration, Instant};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// Longest wait for one answer: a machine that needs more says nothing about a gateway.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Three digits, from a nanosecond to a minute.
const DIGITS: u8 = 3;
const TIME_MAX_NS: u64 = 60_000_000_000;

/// Times, in nanoseconds.
pub type Times = Histogram<u64>;

/// No times yet.
pub fn no_times() -> Times {
    #[expect(clippy::unwrap_used, reason = "the bounds are constants that the histogram takes")]
    Histogram::new_with_bounds(1, TIME_MAX_NS, DIGITS).unwrap()
}

/// Counts a time; one beyond the histogram's end as its end.
pub fn count(times: &mut Times, time: Duration) {
    times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

/// One open connection.
struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    async fn open(door: &Door) -> Result<Self> {
        let stream = TcpStream::connect(&door.authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; an error is seen by the request that meets it.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        self.0.ready().await?;
        let response = timeout(ANSWER_MAX, self.0.send_request(request)).await??;
        ensure!(response.status() == StatusCode::OK, "{}", response.status());
        Ok(response)
    }

    /// A whole answer.
    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Duration> {
        self.0.ready().await?;
        let begun = Instant::now();
        let response = timeout(ANSWER_MAX, self.0.send_request(request)).await??;
        let status = response.status();
        let body = timeout(ANSWER_MAX, response.into_body().collect()).await??.to_bytes();
        let took = begun.elapsed();
        ensure!(status == StatusCode::OK, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(took)
    }
}

fn request(door: &Door, body: &Bytes) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::post("/v1/responses")
        .header(HOST, &door.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", door.key));
    for (name, value) in &door.headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(body.clone())).context("no request")
}

/// What came of asking for some time.
#[derive(Debug)]
pub struct Asking {
    pub times: Times,
    pub failures: u64,
    pub elapsed: Duration,
    /// The first failure, in words.
    pub why: Option<String>,
}

/// Asks over so many connections for so long, or so often in all.
pub async fn ask(
    door: &Door,
    bytes: usize,
    connections: usize,
    length: Duration,
    most: usize,
) -> Result<Asking> {
    let body = Asked::Plain.body(&door.model, bytes);
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(door).await?;
        // The first exchange of a connection is no like the others.
        let _ = connection.ask(request(door, &body)?).await;
        open.push(connection);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in open {
        let (door, body) = (door.clone(), body.clone());
        let end = begun + length;
        tasks.spawn(async move { until(connection, door, body, end, most.div_ceil(connections)).await });
    }
    let mut all = Asking { times: no_times(), failures: 0, elapsed: Duration::ZERO, why: None };
    while let Some(done) = tasks.join_next().await {
        let one = done??;
        all.times.add(&one.times)?;
        all.failures += one.failures;
        all.why = all.why.or(one.why);
    }
    all.elapsed = begun.elapsed();
    Ok(all)
}

async fn until(
    mut connection: Connection,
    door: Door,
    body: Bytes,
    end: Instant,
    most: usize,
) -> Result<Asking> {
    let mut asking = Asking { times: no_times(), failures: 0, elapsed: Duration::ZERO, why: None };
    for _ in 0..most {
        if Instant::now() > end {
            break;
        }
        match connection.ask(request(&door, &body)?).await {
            Ok(took) => count(&mut asking.times, took),
            Err(error) => {
                asking.failures += 1;
                asking.why.get_or_insert_with(|| format!("{error:#}"));
                connection = Connection::open(&door).await?;
            }
        }
    }
    Ok(asking)
}

/// What came of one stream.
#[derive(Debug)]
pub struct Streamed {
    /// To the first byte of its first event.
    pub first: Duration,
    /// Events that came.
    pub events: usize,
    /// From the first byte to the last.
    pub elapsed: Duration,
    /// How long each stamped delta was on its way.
    pub delays: Times,
}

/// Reads one stream to its end, or for so long.
pub async fn stream(door: &Door, asked: Asked, length: Duration) -> Result<Streamed> {
    let body = asked.body(&door.model, 0);
    let mut connection = Connection::open(door).await?;
    let request = request(door, &body)?;
    let begun = Instant::now();
    let mut answer = connection.send(request).await?.into_body();
    let mut first = None;
    let mut reading = Reading::new();
    while let Ok(Some(frame)) = timeout(ANSWER_MAX, answer.frame()).await {
        let now = begun.elapsed();
        if let Ok(bytes) = frame?.into_data() {
            first.get_or_insert(now);
            reading.take(&bytes);
        }
        if now > length {
            break;
        }
    }
    let first = first.context("a stream without a byte")?;
    let Reading { events, delays, .. } = reading;
    Ok(Streamed { first, events, elapsed: begun.elapsed().saturating_sub(first), delays })
}

/// Opens a stream, reads its first bytes, and hangs up.
pub async fn leave(door: &Door) -> Result<()> {
    let body = Asked::Paced.body(&door.model, 0);
    let mut connection = Connection::open(door).await?;
    let mut answer = connection.send(request(door, &body)?).await?.into_body();
    let _ = timeout(ANSWER_MAX, answer.frame()).await?;
    Ok(())
}

/// A stream as it comes: its events are counted, its stamps are read.
struct Reading {
    events: usize,
    delays: Times,
    /// The newest stamp read: a translated stream ends with events that tell the whole text again, stamps and all.
    newest_us: u64,
    /// The end of what came before, as long as a stamp at most.
    rest: Vec<u8>,
    after_line: bool,
}

impl Reading {
    fn new() -> Self {
        Self { events: 0, delays: no_times(), newest_us: 0, rest: vec![], after_line: false }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.events += memmem::find_iter(bytes, b"\n\n").count();
        // An end of an event that lies in two chunks.
        self.events += usize::from(self.after_line && bytes.first() == Some(&b'\n'));
        self.after_line = bytes.ends_with(b"\n") && !bytes.ends_with(b"\n\n");
        self.rest.extend_from_slice(bytes);
        let mut read = 0;
        for at in memchr_iter(STAMP, &self.rest) {
            let end = at + 1 + STAMP_DIGITS;
            if at < read || self.rest.get(end) != Some(&STAMP) {
                continue;
            }
            let digits = self.rest.get(at + 1..end).and_then(|digits| std::str::from_utf8(digits).ok());
            if let Some(stamp_us) = digits.and_then(|digits| digits.parse().ok()) {
                if stamp_us > self.newest_us {
                    self.newest_us = stamp_us;
                    count(&mut self.delays, script::since(stamp_us));
                }
                read = end + 1;
            }
        }
        let kept = read.max(self.rest.len().saturating_sub(STAMP_DIGITS + 1));
        self.rest.drain(..kept);
    }
}
