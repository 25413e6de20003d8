//! How much of a job's output is kept: counted here again, whatever the agent says.
//!
//! Invariant: never more than the job's `output_bytes` and one marker go on, and what goes on is byte for byte what came.

use alphagate_contract::job::{Written, dispatch::Stream};

/// The budget of one job's output.
#[derive(Debug, Clone)]
pub struct Budget {
    limit_bytes: u64,
    written: Written,
    cut: Option<Stream>,
}

impl Budget {
    /// A budget of so many bytes for both streams together.
    #[must_use]
    pub const fn new(limit_bytes: u64) -> Self {
        let written = Written { stdout_bytes: 0, stderr_bytes: 0, truncated: false };
        Self { limit_bytes, written, cut: None }
    }

    /// Takes what fits, and leaves it in `bytes`.
    pub fn take(&mut self, stream: Stream, bytes: &mut Vec<u8>) {
        let left = self.limit_bytes.saturating_sub(self.written.stdout_bytes + self.written.stderr_bytes);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if bytes.len() > left {
            bytes.truncate(left);
            self.cut(stream);
        }
        *self.count(stream) += bytes.len() as u64;
    }

    /// There was more, on this stream.
    pub fn cut(&mut self, stream: Stream) {
        self.written.truncated = true;
        self.cut.get_or_insert(stream);
    }

    /// Whether there was more than fits.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.written.truncated
    }

    /// What stands at the end of the stream that was cut, once.
    pub fn marker(&mut self) -> Option<(Stream, Vec<u8>)> {
        let stream = self.cut.take()?;
        Some((
            stream,
            format!("\n[output ends here: the limit is {} bytes]\n", self.limit_bytes).into_bytes(),
        ))
    }

    /// What was kept, without the marker.
    #[must_use]
    pub const fn written(&self) -> Written {
        self.written
    }

    const fn count(&mut self, stream: Stream) -> &mut u64 {
        match stream {
            Stream::Stdout => &mut self.written.stdout_bytes,
            Stream::Stderr => &mut self.written.stderr_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_is_the_beginning_of_what_came(
            limit in 0_u64..200,
            chunks in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..12),
        ) {
            let mut budget = Budget::new(limit);
            let (mut came, mut kept) = (0, 0);
            for (is_stdout, bytes) in chunks {
                let stream = if is_stdout { Stream::Stdout } else { Stream::Stderr };
                let mut taken = bytes.clone();
                budget.take(stream, &mut taken);
                prop_assert!(bytes.starts_with(&taken));
                came += bytes.len() as u64;
                kept += taken.len() as u64;
            }
            let written = budget.written();
            prop_assert_eq!(written.stdout_bytes + written.stderr_bytes, kept);
            prop_assert_eq!(kept, came.min(limit));
            prop_assert_eq!(written.truncated, came > limit);
            prop_assert_eq!(budget.marker().is_some(), came > limit);
            prop_assert!(budget.marker().is_none());
        }
    }
}
