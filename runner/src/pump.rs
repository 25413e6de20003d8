//! A job's output on its way to control: a bounded buffer, numbered batches, and back-pressure to the sandbox.
//!
//! Invariants: chunks are numbered from 0 without gaps, in the order in which they were written, and a number keeps its
//! bytes for ever: chunks are joined only while they wait. What waits is bounded, however slow control is.

use crate::{
    attempt::{Attempt, Over},
    execute::Sink,
    watched::Watched,
};
use alphagate_contract::job::{
    Bytes,
    dispatch::{Chunk, Held, OUTPUT_CHUNKS_MAX, OUTPUT_MAX_BYTES, Output, Stream},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Most bytes that wait; a batch under way comes on top, so that one job holds twice this and its base64.
const WAITING_MAX_BYTES: usize = OUTPUT_MAX_BYTES;
/// Most chunks that wait: writes of single bytes that alternate between the streams must not fill memory with headers.
const WAITING_CHUNKS_MAX: usize = 4 * OUTPUT_CHUNKS_MAX;
/// What is joined into one chunk: a job that prints byte by byte makes few chunks.
const CHUNK_MAX_BYTES: usize = 64 * 1024;
/// Between two batches that are not full: the first goes at once, the rest twenty times a second.
const GAP: Duration = Duration::from_millis(50);

/// What waits to be sent. Pure.
#[derive(Debug, Default)]
struct Buffer {
    /// User code has started, and control has not been told.
    unannounced: bool,
    /// Nothing more will come.
    closed: bool,
    /// Nobody wants it any more.
    discarded: bool,
    waiting: VecDeque<Chunk>,
    waiting_bytes: usize,
    /// The number of the first chunk that waits.
    next: u64,
}

impl Buffer {
    fn is_full(&self) -> bool {
        self.waiting_bytes >= WAITING_MAX_BYTES || self.waiting.len() >= WAITING_CHUNKS_MAX
    }

    fn has_news(&self) -> bool {
        self.unannounced || !self.waiting.is_empty()
    }

    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        if self.discarded {
            return;
        }
        self.waiting_bytes += bytes.len();
        for piece in bytes.chunks(CHUNK_MAX_BYTES) {
            let last = self
                .waiting
                .back_mut()
                .filter(|last| last.stream == stream && last.data.0.len() + piece.len() <= CHUNK_MAX_BYTES);
            match last {
                Some(last) => last.data.0.extend_from_slice(piece),
                None => self.waiting.push_back(Chunk { stream, data: Bytes(piece.to_vec()) }),
            }
        }
    }

    /// The next batch, taken out; none if there is nothing to say.
    fn batch(&mut self, held: Held) -> Option<Output> {
        if !self.has_news() {
            return None;
        }
        let first = self.next;
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        while let Some(chunk) = self.waiting.front() {
            bytes += chunk.data.0.len();
            if chunks.len() == OUTPUT_CHUNKS_MAX || bytes > OUTPUT_MAX_BYTES {
                break;
            }
            chunks.extend(self.waiting.pop_front());
        }
        self.unannounced = false;
        self.next += chunks.len() as u64;
        self.waiting_bytes = self.waiting.iter().map(|chunk| chunk.data.0.len()).sum();
        Some(Output { held, first, chunks })
    }

    fn discard(&mut self) {
        *self = Self { discarded: true, closed: self.closed, ..Self::default() };
    }
}

/// The sandbox's end: waits while the buffer is full. Dropping it says that nothing more will come.
pub struct OutputSink(Arc<Watched<Buffer>>);

/// Control's end.
pub(crate) struct Pump(Arc<Watched<Buffer>>);

/// Both ends of one job's output.
pub(crate) fn channel() -> (OutputSink, Pump) {
    let buffer = Arc::new(Watched::new(Buffer::default()));
    (OutputSink(Arc::clone(&buffer)), Pump(buffer))
}

impl Sink for OutputSink {
    async fn started(&mut self) {
        self.0.change(|buffer| buffer.unannounced = !buffer.discarded);
    }

    async fn output(&mut self, stream: Stream, bytes: Vec<u8>) {
        self.0.wait_until(|buffer| !buffer.is_full()).await;
        self.0.change(|buffer| buffer.push(stream, &bytes));
    }
}

impl Drop for OutputSink {
    fn drop(&mut self) {
        self.0.change(|buffer| buffer.closed = true);
    }
}

impl Pump {
    /// Sends everything, until the sink is gone and nothing is left; or until the attempt is over.
    pub(crate) async fn run(&self, attempt: &Attempt) -> Result<(), Over> {
        let result = self.send_all(attempt).await;
        if result.is_err() {
            self.0.change(Buffer::discard);
        }
        result
    }

    async fn send_all(&self, attempt: &Attempt) -> Result<(), Over> {
        loop {
            let has_news = self.0.wait(|buffer| match (buffer.has_news(), buffer.closed) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            });
            if !has_news.await {
                return Ok(());
            }
            // Only this pump takes anything out, so the news is still there.
            let Some(batch) = self.0.change(|buffer| buffer.batch(attempt.held)) else { continue };
            attempt.append(batch).await?;
            let worth_sending = self.0.wait_until(|buffer| buffer.closed || buffer.is_full());
            let _ = tokio::time::timeout(GAP, worth_sending).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::id::{AttemptId, JobId};
    use proptest::prelude::*;

    fn held() -> Held {
        Held { job: JobId::new(0, [0; 10]), attempt: AttemptId::new(0, [0; 10]) }
    }

    fn stream(number: u8) -> Stream {
        if number.is_multiple_of(2) { Stream::Stdout } else { Stream::Stderr }
    }

    proptest! {
        #[test]
        fn batches_have_every_byte_once_in_order_and_stay_within_their_bounds(
            writes in prop::collection::vec((0..2_u8, 0..200_000_usize, any::<bool>()), 0..40),
        ) {
            let mut buffer = Buffer::default();
            let (mut written, mut sent) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
            let mut next = 0;
            let mut take = |buffer: &mut Buffer| {
                let Some(batch) = buffer.batch(held()) else { return false };
                assert_eq!(batch.first, next);
                next += batch.chunks.len() as u64;
                let bytes: usize = batch.chunks.iter().map(|chunk| chunk.data.0.len()).sum();
                assert!(bytes <= OUTPUT_MAX_BYTES && batch.chunks.len() <= OUTPUT_CHUNKS_MAX);
                for chunk in batch.chunks {
                    sent[usize::from(chunk.stream == Stream::Stderr)].extend(chunk.data.0);
                }
                true
            };
            for (number, (which, length, send)) in writes.into_iter().enumerate() {
                let bytes = vec![u8::try_from(number).unwrap(); length];
                buffer.push(stream(which), &bytes);
                written[usize::from(which)].extend(bytes);
                if send { take(&mut buffer); }
            }
            while take(&mut buffer) {}
            prop_assert!(written == sent);
            prop_assert_eq!(buffer.waiting_bytes, 0);
        }
    }

    #[test]
    fn a_start_without_output_is_one_empty_batch() {
        let mut buffer = Buffer { unannounced: true, ..Buffer::default() };
        assert_eq!(buffer.batch(held()), Some(Output { held: held(), first: 0, chunks: vec![] }));
        assert_eq!(buffer.batch(held()), None);
    }

    #[test]
    fn single_bytes_on_alternating_streams_fill_it_too() {
        let mut buffer = Buffer::default();
        let pushed = (0..).take_while(|n: &u32| {
            let full = buffer.is_full();
            buffer.push(stream(u8::try_from(n % 2).unwrap()), b"x");
            !full
        });
        assert_eq!(pushed.count(), WAITING_CHUNKS_MAX);
    }

    #[tokio::test]
    async fn a_full_buffer_holds_the_sandbox_back_until_there_is_room() {
        let (mut sink, pump) = channel();
        for _ in 0..WAITING_MAX_BYTES / CHUNK_MAX_BYTES {
            sink.output(Stream::Stdout, vec![0; CHUNK_MAX_BYTES]).await;
        }
        let mut blocked = Box::pin(sink.output(Stream::Stdout, vec![1]));
        assert!(futures_util::poll!(blocked.as_mut()).is_pending());
        pump.0.change(|buffer| drop(buffer.batch(held())));
        blocked.await;
    }

    #[tokio::test]
    async fn output_that_nobody_wants_holds_nothing_back_and_fills_nothing() {
        let (mut sink, pump) = channel();
        pump.0.change(Buffer::discard);
        for _ in 0..100 {
            sink.output(Stream::Stdout, vec![0; CHUNK_MAX_BYTES]).await;
        }
        assert_eq!(pump.0.look(|buffer| buffer.waiting_bytes), 0);
    }
}
