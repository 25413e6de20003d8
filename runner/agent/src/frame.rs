//! Frames on a pipe: a length, a kind, a payload.
//!
//! `length: u32 LE (of the payload) ‖ kind: u8 ‖ payload`. A decoder refuses a length above its bound before it keeps a
//! byte of the payload, so the other side cannot make it grow.

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 5;

/// What was read is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The payload would be longer than the reader allows.
    #[error("a frame of {length} bytes, where {max} are allowed")]
    TooLong {
        /// What the header says.
        length: usize,
        /// What the reader allows.
        max: usize,
    },
}

/// A kind and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the payload means.
    pub kind: u8,
    /// The rest.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Appends the frame to `out`.
    pub fn encode(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // A payload is at most a few megabytes: its sender's bounds are far below u32.
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        out.push(kind);
        for part in parts {
            out.extend_from_slice(part);
        }
    }
}

/// Turns bytes, in whatever pieces they come, into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    taken: usize,
    max: usize,
}

impl Decoder {
    /// A decoder that refuses payloads longer than `max` bytes.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { buffer: Vec::new(), taken: 0, max }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if its last byte is here.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((header, rest)) = rest.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [a, b, c, d, kind] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > self.max {
            return Err(FrameError::TooLong { length, max: self.max });
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = Frame { kind, payload: payload.to_vec() };
        self.taken += HEADER_BYTES + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            frames in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..8),
            pieces in proptest::collection::vec(1_usize..40, 1..20),
        ) {
            let mut bytes = Vec::new();
            for (kind, payload) in &frames {
                Frame::encode(*kind, &[payload], &mut bytes);
            }
            let (mut decoder, mut read, mut rest) = (Decoder::new(300), Vec::new(), bytes.as_slice());
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                decoder.push(now);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    read.push((frame.kind, frame.payload));
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn any_bytes_are_frames_or_refused_and_never_grow_the_decoder(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(16);
            decoder.push(&bytes);
            while let Ok(Some(frame)) = decoder.next_frame() {
                prop_assert!(frame.payload.len() <= 16);
            }
        }
    }

    #[test]
    fn a_length_above_the_bound_is_refused_at_once() {
        let mut decoder = Decoder::new(10);
        decoder.push(&[11, 0, 0, 0, 1]);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong { length: 11, max: 10 }));
    }
}
