//! The lines of a file, whatever it holds.

use std::io::{self, BufRead};

use super::chain::MAX_LINE;

/// Reads line by line, in bounded memory.
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

/// Where a line is: its number in the file, from 1, and the place of its first byte, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) number: u64,
    pub(super) offset: u64,
}

pub(super) enum Content<'a> {
    /// A line, without its end.
    Whole(&'a [u8]),
    /// More bytes than a line of ours has, skipped.
    TooLong,
    /// The file ends within it.
    Torn,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, line: Vec::new(), number: 0, offset: 0 }
    }

    /// Where a further line would be.
    pub(super) const fn end(&self) -> Spot {
        Spot { number: self.number + 1, offset: self.offset }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<(Spot, Content<'_>)>> {
        self.line.clear();
        let spot = Spot { number: self.number + 1, offset: self.offset };
        let mut length = 0;
        let ended = loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                break false;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let more = end.map_or(bytes, |end| bytes.get(..end).unwrap_or_default());
            length += more.len();
            if length < MAX_LINE {
                self.line.extend_from_slice(more);
            }
            let used = more.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.offset += used as u64;
            if end.is_some() {
                break true;
            }
        };
        if length == 0 && !ended {
            return Ok(None);
        }
        self.number += 1;
        let content = match (ended, length < MAX_LINE) {
            (false, _) => Content::Torn,
            (true, true) => Content::Whole(&self.line),
            (true, false) => Content::TooLong,
        };
        Ok(Some((spot, content)))
    }
}
