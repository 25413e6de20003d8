//! One connection, byte by byte: requests are read here, and a client that hangs up is noticed at once.
//!
//! Invariant: bytes that arrive while an answer is written are kept for the next request.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Method, path and headers: our edge sends about 500 bytes, and a test may send 20 KB of URL.
const HEAD_MAX_BYTES: usize = 64 * 1024;
const HEADERS_MAX: usize = 128;
/// More than any body a gateway lets through.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;
const LINE_MAX_BYTES: usize = 4 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// A request without its body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    /// The first header of this name, in any case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The path without its query.
    pub(super) fn route(&self) -> &str {
        self.path.split_once('?').map_or(&self.path, |(route, _)| route)
    }

    /// What stands behind the `?`; empty if nothing does.
    pub(super) fn query(&self) -> &str {
        self.path.split_once('?').map_or("", |(_, query)| query)
    }

    pub(super) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The token behind `Bearer`, if there is one.
    pub(super) fn bearer(&self) -> Option<&str> {
        let token = self.header("authorization")?.strip_prefix("Bearer ")?.trim();
        (!token.is_empty()).then_some(token)
    }
}

/// The client did not send what HTTP wants, or hung up.
#[derive(Debug)]
pub(super) enum Broken {
    /// Between two requests: the normal end.
    Gone,
    /// Within one.
    Halfway,
    /// It wrote something that is not a request.
    Malformed(&'static str),
}

#[derive(Debug)]
pub(super) struct Connection {
    reader: OwnedReadHalf,
    pub(super) writer: OwnedWriteHalf,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Every write is a packet of its own: a test that wants small pieces gets them.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        Self { reader, writer, buffer: Vec::new() }
    }

    pub(super) async fn head(&mut self) -> Result<Head, Broken> {
        loop {
            if let Some((head, length)) = parse_head(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(head);
            }
            if self.buffer.len() > HEAD_MAX_BYTES {
                return Err(Broken::Malformed("head too long"));
            }
            let nothing_yet = self.buffer.is_empty();
            if !self.read_more().await {
                return Err(if nothing_yet { Broken::Gone } else { Broken::Halfway });
            }
        }
    }

    pub(super) async fn body(&mut self, head: &Head) -> Result<Vec<u8>, Broken> {
        if head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            let go_on = self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            go_on.map_err(|_| Broken::Halfway)?;
        }
        if let Some(coding) = head.header("transfer-encoding") {
            if !coding.eq_ignore_ascii_case("chunked") {
                return Err(Broken::Malformed("unknown transfer coding"));
            }
            return self.chunked().await;
        }
        let length = head.header("content-length").unwrap_or("0").parse::<usize>();
        match length {
            Ok(length) if length <= BODY_MAX_BYTES => self.take(length).await,
            Ok(_) => Err(Broken::Malformed("body too long")),
            Err(_) => Err(Broken::Malformed("bad content-length")),
        }
    }

    async fn chunked(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| Broken::Malformed("bad chunk"))?;
            if body.len().saturating_add(size) > BODY_MAX_BYTES {
                return Err(Broken::Malformed("body too long"));
            }
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default());
                let line = line.into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > LINE_MAX_BYTES {
                return Err(Broken::Malformed("line too long"));
            }
            if !self.read_more().await {
                return Err(Broken::Halfway);
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        while self.buffer.len() < length {
            if !self.read_more().await {
                return Err(Broken::Halfway);
            }
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn read_more(&mut self) -> bool {
        self.buffer.reserve(READ_BYTES);
        matches!(self.reader.read_buf(&mut self.buffer).await, Ok(count) if count > 0)
    }

    /// Does `work` unless the client hangs up first: then `None`, at once.
    pub(super) async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = gone(&mut self.reader, &mut self.buffer) => None,
        }
    }

    /// Writes `bytes` unless the client hangs up first.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        let Self { reader, writer, buffer } = self;
        let written: Option<io::Result<()>> = tokio::select! {
            biased;
            written = writer.write_all(bytes) => Some(written),
            () = gone(reader, buffer) => None,
        };
        written?.ok()
    }

    /// Ends the connection with RST instead of FIN.
    pub(super) fn reset(self) {
        // Without it the close below sends FIN: the test that wanted RST fails and says so.
        let _ = self.writer.as_ref().set_zero_linger();
        // Dropping it would send FIN first.
        self.writer.forget();
    }
}

/// Returns when the client has hung up.
async fn gone(reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>) {
    loop {
        if buffer.len() > HEAD_MAX_BYTES {
            // A client that pipelines so much is not watched any further.
            return std::future::pending().await;
        }
        if !matches!(reader.read_buf(buffer).await, Ok(count) if count > 0) {
            return;
        }
    }
}

fn parse_head(buffer: &[u8]) -> Result<Option<(Head, usize)>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(buffer) {
        Err(_) => Err(Broken::Malformed("not HTTP/1.1")),
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = request.headers.iter();
            let headers = headers.map(|header| (header.name.to_owned(), text(header.value)));
            let head = Head {
                method: request.method.unwrap_or_default().to_owned(),
                path: request.path.unwrap_or_default().to_owned(),
                headers: headers.collect(),
            };
            Ok(Some((head, length)))
        }
    }
}
