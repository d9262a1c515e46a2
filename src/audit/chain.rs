//! Lines, each of which holds a code over itself and the code of the line before.
//!
//! A line is a JSON object whose first member is its number and whose last is its code, in hexadecimal:
//!
//! ```text
//! {"sequence":7,"eventTime":…,"outcome":"Succeeded","hmac":"…"}
//! ```
//!
//! The code is HMAC-SHA-256 over the code of the line before, 32 bytes, zero for the first line, and all bytes of the line
//! that come before `,"hmac"`. So a line can be checked without being understood.

use std::time::SystemTime;

use aws_lc_rs::hmac;
use serde::Deserialize;

use super::record::{AuditOutcome, AuditRecord};
use crate::backend::Operation;
use crate::catalog::Ledger;

/// The greatest length of a line, its end included, in bytes. Nothing that an operation can be asked comes near it.
pub(super) const MAX_LINE: usize = 256 << 10;

/// What the first line of each file is called, which repeats the code of the line before.
pub(super) const BEGIN: &str = "BeginAuditFile";
/// The member in which it does.
pub(super) const PREVIOUS: &str = "previousHmac";

const PREFIX: &[u8] = b"{\"sequence\":";
const MIDDLE: &[u8] = b",\"hmac\":\"";
const SUFFIX: &[u8] = b"\"}";

/// The code of a line.
pub(super) type Code = [u8; 32];

/// The end of a chain: how many lines there are, and the code of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) lines: u64,
    pub(super) code: Code,
}

impl Position {
    /// Before the first line.
    pub(super) const START: Self = Self { lines: 0, code: [0; 32] };
}

/// Makes and checks the codes of one ledger's log.
#[derive(Debug, Clone)]
pub(super) struct Chain(hmac::Key);

impl Chain {
    pub(super) fn new(ledger: &Ledger) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, ledger.audit_key().as_slice()))
    }

    fn code(&self, before: &Code, body: &[u8]) -> hmac::Tag {
        let mut code = hmac::Context::with_key(&self.0);
        code.update(before);
        code.update(body);
        code.sign()
    }

    /// Whether this line comes after the one of that code.
    pub(super) fn follows(&self, before: &Code, line: &Line<'_>) -> bool {
        let code = self.code(before, line.body);
        aws_lc_rs::constant_time::verify_slices_are_equal(code.as_ref(), &line.code).is_ok()
    }

    /// Adds a line.
    pub(super) fn append(&self, lines: &mut Vec<u8>, end: &mut Position, record: &AuditRecord) {
        let start = lines.len();
        end.lines += 1;
        write_body(lines, end.lines, record);
        if lines.len() - start > MAX_LINE - (MIDDLE.len() + 2 * end.code.len() + SUFFIX.len() + 1) {
            let length = lines.len() - start;
            lines.truncate(start);
            write_body(lines, end.lines, &reduced(record, length));
        }
        let body = lines.get(start..).unwrap_or_default();
        let code = self.code(&end.code, body);
        end.code.copy_from_slice(code.as_ref());
        lines.extend_from_slice(MIDDLE);
        lines.extend_from_slice(hex(&end.code).as_bytes());
        lines.extend_from_slice(SUFFIX);
        lines.push(b'\n');
    }

    /// The first line of a file.
    pub(super) fn begin(&self, end: &mut Position, time: SystemTime, why: Option<(&str, String)>) -> Vec<u8> {
        let mut record = AuditRecord::service(time, Operation::new(BEGIN), AuditOutcome::Succeeded)
            .with_parameter("format", 1_u32)
            .with_parameter(PREVIOUS, hex(&end.code));
        if let Some((name, text)) = why {
            record = record.with_parameter(name.to_owned(), text);
        }
        let mut line = Vec::new();
        self.append(&mut line, end, &record);
        line
    }
}

/// The line up to its code.
fn write_body(line: &mut Vec<u8>, number: u64, record: &AuditRecord) {
    line.extend_from_slice(PREFIX);
    line.extend_from_slice(number.to_string().as_bytes());
    let brace = line.len();
    // Texts and numbers, which all have a form.
    if serde_json::to_writer(&mut *line, record).is_err() {
        line.truncate(brace);
        line.extend_from_slice(b"{\"unwritable\":true}");
    }
    // The object goes on where it began.
    if let Some(brace) = line.get_mut(brace) {
        *brace = b',';
    }
    line.pop();
}

/// What is left of a record that is longer than a line may be.
fn reduced(record: &AuditRecord, length: usize) -> AuditRecord {
    let short = |text: &str, most: usize| -> String { text.chars().take(most).collect() };
    let outcome = match &record.outcome {
        AuditOutcome::Failed { error, message } => {
            AuditOutcome::Failed { error: short(error, 256).into(), message: short(message, 1024).into() }
        }
        other => other.clone(),
    };
    let mut reduced = AuditRecord {
        operation: Operation::new(short(record.operation.as_str(), 256)),
        request_id: record.request_id.as_ref().map(|id| short(&id.to_string(), 256).as_str().into()),
        principal: record.principal.as_ref().map(|principal| short(principal, 2048).into()),
        encryption_context: None,
        destination_encryption_context: None,
        parameters: super::AuditParameters::new(),
        outcome,
        ..record.clone()
    };
    reduced.parameters.insert("omittedForLength", u64::try_from(length).unwrap_or(u64::MAX));
    reduced
}

/// A line as it is in a file, its end removed: of the right shape, but not checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) sequence: u64,
    pub(super) body: &'a [u8],
    pub(super) code: Code,
}

impl<'a> Line<'a> {
    /// `None` for what no log ever wrote.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_suffix(SUFFIX)?;
        let (rest, digits) = rest.split_last_chunk::<64>()?;
        let body = rest.strip_suffix(MIDDLE)?;
        let number = body.strip_prefix(PREFIX)?;
        let length = number.iter().position(|byte| *byte == b',')?;
        let number = std::str::from_utf8(number.get(..length)?).ok()?;
        let sequence: u64 = number.parse().ok()?;
        // One spelling.
        (sequence > 0 && sequence.to_string() == number).then_some(())?;
        Some(Self { sequence, body, code: unhex(digits)? })
    }

    /// The code that it says the line before had, if it is the first of a file.
    pub(super) fn previous(&self) -> Option<Code> {
        #[derive(Deserialize)]
        struct First<'a> {
            #[serde(rename = "eventName")]
            name: &'a str,
            #[serde(rename = "serviceEventDetails", borrow)]
            details: Details<'a>,
        }
        #[derive(Deserialize)]
        struct Details<'a> {
            #[serde(rename = "previousHmac")]
            previous: &'a str,
        }

        // Seldom: no other line need be understood.
        let name = format!("\"eventName\":\"{BEGIN}\"");
        memfind(self.body, name.as_bytes())?;
        let object = [self.body, b"}"].concat();
        let first: First<'_> = serde_json::from_slice(&object).ok()?;
        (first.name == BEGIN).then_some(())?;
        unhex(first.details.previous.as_bytes().try_into().ok()?)
    }
}

/// Whether it is there in the first few bytes, where the log itself puts it.
fn memfind(body: &[u8], name: &[u8]) -> Option<()> {
    const WITHIN: usize = 160;
    body.get(..WITHIN.min(body.len()))?.windows(name.len()).any(|window| window == name).then_some(())
}

pub(super) fn hex(code: &Code) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS.get(usize::from(half)).copied().unwrap_or_default());
    code.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(digits: &[u8; 64]) -> Option<Code> {
    let half = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut code = [0; 32];
    for (byte, [high, low]) in code.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = (half(*high)? << 4) | half(*low)?;
    }
    Some(code)
}
