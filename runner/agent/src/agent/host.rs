//! The pipes to the runner: standard input and output, never blocking, with a bound on what waits to be written.

use alphagate_agent::{
    frame::Decoder,
    message::{FromAgent, MessageError, TO_AGENT_MAX_BYTES, ToAgent},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    stdio::{stdin, stdout},
};
use std::io;

/// Nothing more is read from user code while this much waits for the runner: its output then waits in its own pipe.
const OUTBOX_MAX_BYTES: usize = 256 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// The runner, seen from inside.
pub struct Host {
    decoder: Decoder,
    outbox: Vec<u8>,
    written: usize,
    buffer: Vec<u8>,
    /// Whether the runner has closed its end.
    pub is_gone: bool,
}

impl Host {
    /// Takes over standard input and output.
    pub fn new() -> io::Result<Self> {
        for fd in [stdin(), stdout()] {
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
        }
        let decoder = Decoder::new(TO_AGENT_MAX_BYTES);
        Ok(Self { decoder, outbox: Vec::new(), written: 0, buffer: vec![0; READ_BYTES], is_gone: false })
    }

    /// Queues a message.
    pub fn say(&mut self, message: &FromAgent) {
        message.encode(&mut self.outbox);
    }

    /// Where a message may be appended without a copy.
    pub const fn outbox(&mut self) -> &mut Vec<u8> {
        &mut self.outbox
    }

    /// Whether more output can be taken.
    pub const fn has_room(&self) -> bool {
        self.outbox.len() - self.written < OUTBOX_MAX_BYTES
    }

    /// Whether something waits to be written.
    pub const fn has_mail(&self) -> bool {
        self.written < self.outbox.len()
    }

    /// Writes what can be written without waiting.
    pub fn write(&mut self) -> io::Result<()> {
        while let Some(rest) = self.outbox.get(self.written..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(stdout(), rest) {
                Ok(count) => self.written += count,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.outbox.clear();
        self.written = 0;
        Ok(())
    }

    /// Writes everything, however long the runner takes.
    pub fn flush(&mut self) -> io::Result<()> {
        loop {
            self.write()?;
            if !self.has_mail() {
                return Ok(());
            }
            poll(&mut [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)], None)?;
        }
    }

    /// Reads what is there, and gives the next message.
    pub fn read(&mut self) -> io::Result<()> {
        match rustix::io::read(stdin(), self.buffer.as_mut_slice()) {
            Ok(0) => self.is_gone = true,
            Ok(count) => self.decoder.push(self.buffer.get(..count).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The next whole message.
    pub fn next_message(&mut self) -> Result<Option<ToAgent>, MessageError> {
        ToAgent::next_of(&mut self.decoder)
    }
}
