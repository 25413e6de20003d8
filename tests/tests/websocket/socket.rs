//! A caller's end of a connection: messages out, frames in.
//!
//! Invariant: nothing here waits for ever.

use std::time::Duration;

use alphagate_tests::Caller;
use anyhow::{Context, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::StatusCode},
};

/// Longer than any turn of a test.
const FRAME_MAX: Duration = Duration::from_secs(30);

/// Types of frames after which nothing of a turn comes.
const TERMINAL: [&str; 4] = ["response.completed", "response.incomplete", "response.failed", "error"];

/// A connection.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens one with the caller's key.
    pub async fn open(caller: &Caller) -> Result<Self> {
        match Self::try_open(&caller.edge_url, Some(&caller.key.secret)).await? {
            Ok(socket) => Ok(socket),
            Err(status) => bail!("no connection: {status}"),
        }
    }

    /// Opens one, or says with which status it is refused.
    pub async fn try_open(edge_url: &str, key: Option<&str>) -> Result<Result<Self, StatusCode>> {
        let url = format!("{}/v1/responses", edge_url.replacen("http://", "ws://", 1));
        let mut request = url.into_client_request()?;
        if let Some(key) = key {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse()?);
        }
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Ok(Self(stream))),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Ok(Err(answer.status())),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends any frame.
    pub async fn send(&mut self, message: Message) -> Result<()> {
        Ok(self.0.send(message).await?)
    }

    /// Asks for a response.
    pub async fn ask(&mut self, caller: &Caller, extra: Value) -> Result<()> {
        let mut body = json!({"type": "response.create", "model": caller.name, "input": "Write a line."});
        if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
            body.extend(extra);
        }
        self.send(Message::text(body.to_string())).await
    }

    /// The next frame; none: the other end has closed.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            match timeout(FRAME_MAX, self.0.next()).await.context("no frame came")? {
                Some(Ok(Message::Text(text))) => return Ok(Some(serde_json::from_str(&text)?)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
                Some(Ok(other)) => bail!("a frame that is no text: {other:?}"),
            }
        }
    }

    /// The frames of a turn, its terminal one last.
    pub async fn turn(&mut self) -> Result<Vec<Value>> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await?.context("closed in a turn")?;
            let is_last = TERMINAL.iter().any(|kind| frame["type"] == *kind);
            frames.push(frame);
            if is_last {
                return Ok(frames);
            }
        }
    }

    /// Asks, and reads to the end of the turn.
    pub async fn tell(&mut self, caller: &Caller, extra: Value) -> Result<Vec<Value>> {
        self.ask(caller, extra).await?;
        self.turn().await
    }

    /// A turn that must complete: its response.
    pub async fn completed(&mut self, caller: &Caller, extra: Value) -> Result<Value> {
        let last = self.tell(caller, extra).await?.pop().unwrap_or_default();
        anyhow::ensure!(last["type"] == "response.completed", "{last}");
        Ok(last["response"].clone())
    }

    /// A turn that must be refused: status and code of the error.
    pub async fn refused(&mut self, caller: &Caller, extra: Value) -> Result<(u64, String)> {
        let frames = self.tell(caller, extra).await?;
        let [error] = frames.as_slice() else { bail!("{frames:?}") };
        Ok(what(error))
    }

    /// The connection itself, to end it in any way.
    pub fn into_inner(self) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        self.0
    }
}

/// Status and code of an `error` frame.
pub fn what(error: &Value) -> (u64, String) {
    assert_eq!(error["type"], "error", "{error}");
    let code = error["error"]["code"].as_str().unwrap_or_default();
    (error["status"].as_u64().unwrap_or_default(), code.to_owned())
}

/// The types of frames.
pub fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["type"].as_str()).collect()
}
