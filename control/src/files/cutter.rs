//! Cuts a stream of bytes into pieces of whole lines, and looks at every line. Pure.
//!
//! Invariant: the pieces together are the stream, byte for byte; no more than one piece, one line and one push are held.

use super::line::{self, LINE_MAX_BYTES};
use sha2::{Digest as _, Sha256};

/// A piece is handed out when it has this many bytes: four of them are a batch of a run, in memory and on the wire.
const PIECE_MIN_BYTES: usize = 256 * 1024;
/// Most lines of a file: as many as a run of days has.
pub(crate) const LINES_MAX: i64 = 1_000_000;

/// Whole lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The number of the first line, from 0.
    pub(super) first_line: i64,
    /// The bytes.
    pub(super) data: Vec<u8>,
}

/// What is known of a file when it is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) bytes: i64,
    pub(super) lines: i64,
    pub(super) digest: [u8; 32],
}

/// A line that cannot be accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Its number, from 0.
    pub(crate) number: i64,
    /// For people.
    pub(crate) why: String,
}

impl std::fmt::Display for BadLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} {}", self.number + 1, self.why)
    }
}

/// The cutter.
#[derive(Default)]
pub(super) struct Cutter {
    held: Vec<u8>,
    /// Where the line that is under way starts in what is held.
    line_start: usize,
    /// Up to where line ends were looked for.
    scanned: usize,
    lines: i64,
    first_line: i64,
    bytes: i64,
    digest: Sha256,
    /// The first of the blank lines that came last: they may only stand at the end.
    blank: Option<i64>,
}

impl Cutter {
    /// Takes more of the stream; a piece comes out when one is full.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<Option<Piece>, BadLine> {
        self.digest.update(data);
        self.bytes = self.bytes.saturating_add(i64::try_from(data.len()).unwrap_or(i64::MAX));
        self.held.extend_from_slice(data);
        while let Some(length) =
            self.held.get(self.scanned..).and_then(|rest| rest.iter().position(|b| *b == b'\n'))
        {
            let end = self.scanned + length;
            self.line(end)?;
            (self.line_start, self.scanned) = (end + 1, end + 1);
        }
        self.scanned = self.held.len();
        if self.held.len() - self.line_start > LINE_MAX_BYTES {
            return Err(self.bad(format!("has more than {LINE_MAX_BYTES} bytes")));
        }
        if self.line_start < PIECE_MIN_BYTES {
            return Ok(None);
        }
        // A piece has a line: nothing but blank ones is no end of a file, it is a flood.
        if self.lines == self.first_line {
            return Err(self.bad("is followed by too many empty ones".to_owned()));
        }
        let rest = self.held.split_off(self.line_start);
        (self.line_start, self.scanned) = (0, rest.len());
        Ok(self.piece(rest))
    }

    /// The stream has ended: the last piece, and what is known of the whole.
    pub(super) fn finish(mut self) -> Result<(Option<Piece>, Totals), BadLine> {
        if self.line_start < self.held.len() {
            self.line(self.held.len())?;
        }
        let piece = self.piece(Vec::new());
        let totals = Totals { bytes: self.bytes, lines: self.lines, digest: self.digest.finalize().into() };
        Ok((piece, totals))
    }

    fn piece(&mut self, rest: Vec<u8>) -> Option<Piece> {
        let data = std::mem::replace(&mut self.held, rest);
        let first_line = std::mem::replace(&mut self.first_line, self.lines);
        (!data.is_empty()).then_some(Piece { first_line, data })
    }

    fn line(&mut self, end: usize) -> Result<(), BadLine> {
        let bytes = self.held.get(self.line_start..end).unwrap_or_default();
        if bytes.iter().all(u8::is_ascii_whitespace) {
            self.blank.get_or_insert(self.lines);
            return Ok(());
        }
        if let Some(number) = self.blank {
            return Err(BadLine { number, why: "is empty".to_owned() });
        }
        if bytes.len() > LINE_MAX_BYTES {
            return Err(self.bad(format!("has more than {LINE_MAX_BYTES} bytes")));
        }
        line::read(bytes).map_err(|why| self.bad(why))?;
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(self.bad(format!("is one too many: a file has at most {LINES_MAX} lines")));
        }
        Ok(())
    }

    const fn bad(&self, why: String) -> BadLine {
        BadLine { number: self.lines, why }
    }
}

/// The lines of a piece from a number on, without their ends; blank ones, at the end of a file, are left out.
pub(super) fn lines_of(piece: &Piece, from: i64) -> impl Iterator<Item = &[u8]> {
    let skip = usize::try_from(from - piece.first_line).unwrap_or(0);
    piece
        .data
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
        .skip(skip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(stream: &[u8], step: usize) -> Result<(Vec<Piece>, Totals), BadLine> {
        let (mut cutter, mut pieces) = (Cutter::default(), Vec::new());
        for part in stream.chunks(step) {
            pieces.extend(cutter.push(part)?);
        }
        let (last, totals) = cutter.finish()?;
        pieces.extend(last);
        Ok((pieces, totals))
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let cases: [(&[u8], i64, &str); 5] = [
            (b"{\"item\":{}}\nnope\n", 1, "cannot be read"),
            (b"\n{\"item\":{}}", 0, "is empty"),
            (b"{\"item\":{}}\n \r\n{\"item\":{}}", 1, "is empty"),
            (b"{\"item\":{}}\n{\"item\":{}}\n{}", 2, "missing field `item`"),
            (b"\xef\xbb\xbf{\"item\":{}}", 0, "not a JSON object"),
        ];
        for (stream, number, why) in cases {
            let bad = cut(stream, 3).unwrap_err();
            assert_eq!(bad.number, number, "{bad}");
            assert!(bad.to_string().contains(why), "{bad}");
        }
        assert!(cut(&b"\n".repeat(PIECE_MIN_BYTES + 1), 1 << 16).is_err());
        let long = [b"{\"item\":{\"a\":\"", "x".repeat(LINE_MAX_BYTES).as_bytes(), b"\"}}"].concat();
        assert_eq!(cut(&long, 1 << 16).unwrap_err().number, 0);
    }

    #[test]
    fn blank_lines_at_the_end_are_no_lines() {
        let (pieces, totals) = cut(b"{\"item\":{}}\r\n{\"item\":{}}\n\n \n", 5).unwrap();
        assert_eq!(
            (totals.lines, lines_of(&pieces[0], 0).count(), lines_of(&pieces[0], 1).count()),
            (2, 2, 1)
        );
        assert_eq!(cut(b"", 1).unwrap().1.lines, 0);
    }

    #[test]
    fn what_is_held_stays_small() {
        let mut cutter = Cutter::default();
        for _ in 0..20_000 {
            cutter.push(format!("{{\"item\":{{\"a\":\"{}\"}}}}\n", "x".repeat(500)).as_bytes()).unwrap();
            assert!(cutter.held.len() <= PIECE_MIN_BYTES + 1_000);
        }
    }

    proptest! {
        // A case is a megabyte.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn pieces_are_the_stream_and_lines_are_found_again(sizes in prop::collection::vec(0_usize..90_000, 0..30), step in 1_usize..70_000) {
            let lines: Vec<String> = sizes.iter().map(|size| format!("{{\"item\":{{\"a\":\"{}\"}}}}", "y".repeat(*size))).collect();
            let stream = lines.join("\n");
            let (pieces, totals) = cut(stream.as_bytes(), step).unwrap();
            let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.data.clone()).collect();
            prop_assert_eq!(&whole, stream.as_bytes());
            prop_assert_eq!(totals.lines, i64::try_from(lines.len()).unwrap());
            let digest: [u8; 32] = Sha256::digest(&whole).into();
            prop_assert_eq!(totals.digest, digest);
            let mut number = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.first_line, number);
                for line in lines_of(piece, number) {
                    prop_assert_eq!(line, lines[usize::try_from(number).unwrap()].as_bytes());
                    number += 1;
                }
            }
            prop_assert_eq!(number, totals.lines);
        }
    }
}
