//! The way of an answer's body to the client: compression, pieces, and HTTP's chunks.
//!
//! Invariant: one piece is one chunk of the transfer coding and one write to the socket.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::connection::Connection;
use super::knobs::Knobs;

/// The body of an answer that is being written. Its methods return `None` when the client has hung up.
#[derive(Debug)]
pub(super) struct Wire<'a> {
    connection: &'a mut Connection,
    chunk_bytes: usize,
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(connection: &'a mut Connection, knobs: &Knobs) -> Self {
        let gzip = Knobs::on(knobs.gzip).then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let chunk_bytes = knobs.chunk_bytes.unwrap_or(usize::MAX).max(1);
        Self { connection, chunk_bytes, gzip }
    }

    /// Writes status line and headers of a chunked answer.
    pub(super) async fn head(&mut self, status: &str, headers: &[(&str, String)]) -> Option<()> {
        let mut head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n");
        if self.gzip.is_some() {
            head.push_str("content-encoding: gzip\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.connection.write(head.as_bytes()).await
    }

    /// Writes bytes of the body, so that the client has all of them.
    pub(super) async fn body(&mut self, bytes: &[u8]) -> Option<()> {
        let compressed = self.gzip.as_mut().map(|gzip| {
            // Writing to memory does not fail.
            let _ = gzip.write_all(bytes);
            let _ = gzip.flush();
            std::mem::take(gzip.get_mut())
        });
        self.pieces(compressed.as_deref().unwrap_or(bytes)).await
    }

    /// Ends the body as HTTP wants it.
    pub(super) async fn end(mut self) -> Option<()> {
        if let Some(gzip) = self.gzip.take() {
            let rest = gzip.finish().unwrap_or_default();
            self.pieces(&rest).await?;
        }
        self.connection.write(b"0\r\n\r\n").await
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    async fn pieces(&mut self, bytes: &[u8]) -> Option<()> {
        for piece in bytes.chunks(self.chunk_bytes) {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend(piece);
            chunk.extend(b"\r\n");
            self.connection.write(&chunk).await?;
        }
        Some(())
    }
}
