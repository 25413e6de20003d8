//! HTTP by hand: requests that no library would send, and callers who leave in the way that a test wants.
//!
//! Invariant: nothing here waits for ever; every read has a deadline.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::stage::Caller;

/// Longer than anything that a test waits for on one connection.
const READ_MAX: Duration = Duration::from_secs(30);

/// How much the kernel keeps for a caller who does not read; left alone, it grows to several MB.
const UNREAD_MAX_BYTES: u32 = 64 * 1024;

/// A connection to the edge.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer as it came, its body out of its chunks.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head's lines after the first, as sent.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The error's code.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Raw {
    /// Connects to the edge.
    pub async fn connect(edge_url: &str) -> Result<Self> {
        let address = edge_url.strip_prefix("http://").context("not an http:// url")?;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(UNREAD_MAX_BYTES)?;
        let stream = socket.connect(address.parse()?).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Connects and sends a whole call of `caller` with this body.
    pub async fn call(caller: &Caller, body: &str) -> Result<Self> {
        let mut raw = Self::connect(&caller.edge_url).await?;
        raw.send(Self::request(caller, &format!("content-length: {}\r\n", body.len()), body).as_bytes())
            .await?;
        Ok(raw)
    }

    /// The text of a call, with these lines in its head besides the usual.
    pub fn request(caller: &Caller, lines: &str, body: &str) -> String {
        let secret = &caller.key.secret;
        format!(
            "POST /v1/responses HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer {secret}\r\n\
             content-type: application/json\r\n{lines}\r\n{body}"
        )
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads until `wanted` has come.
    pub async fn read_until(&mut self, wanted: &str) -> Result<()> {
        while !contains(&self.read, wanted) {
            if self.read_more().await? == 0 {
                bail!("the connection ended before {wanted:?}: {}", String::from_utf8_lossy(&self.read));
            }
        }
        Ok(())
    }

    /// Reads the whole answer.
    pub async fn answer(&mut self) -> Result<Answer> {
        loop {
            if let Some(answer) = parse(&self.read)? {
                return Ok(answer);
            }
            if self.read_more().await? == 0 {
                bail!("the connection ended within an answer: {}", String::from_utf8_lossy(&self.read));
            }
        }
    }

    /// Whether the edge ends the connection without a word; what it says instead is an error.
    pub async fn closed(&mut self) -> Result<()> {
        match self.read_more().await {
            Ok(0) | Err(_) => Ok(()),
            Ok(_) => bail!("an answer came: {}", String::from_utf8_lossy(&self.read)),
        }
    }

    /// Leaves by closing: the other side learns of it when it writes.
    pub fn close(self) {
        drop(self);
    }

    /// Leaves by a reset, which the other side sees at once.
    pub fn reset(self) -> Result<()> {
        Ok(self.stream.set_zero_linger()?)
    }

    async fn read_more(&mut self) -> Result<usize> {
        Ok(timeout(READ_MAX, self.stream.read_buf(&mut self.read)).await.context("nothing came")??)
    }
}

fn contains(bytes: &[u8], wanted: &str) -> bool {
    wanted.is_empty() || bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn parse(bytes: &[u8]) -> Result<Option<Answer>> {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let (first, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).context("no status")?.parse()?;
    let rest = bytes.get(head.len() + 4..).unwrap_or_default();
    if first.contains(" 100 ") {
        // The answer itself is still to come.
        return parse(rest);
    }
    let lower = lines.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body = match length {
        Some(length) => rest.get(..length.trim().parse()?).map(<[u8]>::to_vec),
        None if lower.contains("transfer-encoding: chunked") => unchunk(rest)?,
        None => Some(Vec::new()),
    };
    Ok(body.map(|body| Answer { status, head: lines.to_owned(), body }))
}

fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let size = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        let size = usize::from_str_radix(size.trim(), 16).context("a bad chunk")?;
        if size == 0 {
            return Ok(Some(body));
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
}
