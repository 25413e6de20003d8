//! The runner's end of the agent's protocol.

use super::Pipes;
use alphagate_agent::{
    frame::Decoder,
    message::{FROM_AGENT_MAX_BYTES, FromAgent, Hello, MessageError, ToAgent, VERSION},
};
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How much is read at once: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// What goes wrong between runner and agent.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The pipe ended: the sandbox is gone.
    #[error("the agent is gone")]
    Gone,
    /// The pipe failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It said what no agent says.
    #[error("the agent: {0}")]
    Message(#[from] MessageError),
    /// It speaks another version.
    #[error("the agent speaks version {0} of the protocol, and this runner {VERSION}")]
    Version(u16),
    /// It said something at the wrong time.
    #[error("the agent said something out of turn")]
    OutOfTurn,
}

/// Frames to and from an agent.
pub struct Link {
    pipes: Pipes,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl Link {
    /// Waits for the agent's hello.
    pub async fn greet(pipes: Pipes) -> Result<(Self, Hello), LinkError> {
        let mut link =
            Self { pipes, decoder: Decoder::new(FROM_AGENT_MAX_BYTES), buffer: vec![0; READ_BYTES] };
        match link.next().await? {
            FromAgent::Hello(hello) if hello.version == VERSION => Ok((link, hello)),
            FromAgent::Hello(hello) => Err(LinkError::Version(hello.version)),
            _ => Err(LinkError::OutOfTurn),
        }
    }

    /// The next message. Cancel-safe: what was read is kept.
    pub async fn next(&mut self) -> Result<FromAgent, LinkError> {
        loop {
            if let Some(message) = FromAgent::next_of(&mut self.decoder)? {
                return Ok(message);
            }
            match self.pipes.from_agent.read(&mut self.buffer).await? {
                0 => return Err(LinkError::Gone),
                count => self.decoder.push(self.buffer.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Says something.
    pub async fn say(&mut self, message: &ToAgent) -> Result<(), LinkError> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.pipes.to_agent.write_all(&bytes).await?;
        Ok(self.pipes.to_agent.flush().await?)
    }
}
