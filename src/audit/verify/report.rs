//! What a check of a log has found.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What [`verify`](super::verify) found.
///
/// `Display` says it in words, a line for each finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReport {
    /// How many files were read.
    pub files: usize,
    /// How many lines they have.
    pub lines: u64,
    /// How many of these were proven to be as they were written, each after the one that it was written after.
    pub proven: u64,
    /// The number of the last line that was proven in its place, or 0.
    pub last: u64,
    /// The number of the last line that the catalogue knows of; `None` when a part of a log was checked. The last lines of
    /// a process that was killed may go beyond.
    pub head: Option<u64>,
    /// What is wrong, in the order of the files; the first [`MAX_FINDINGS`](Self::MAX_FINDINGS).
    pub findings: Vec<AuditFinding>,
    /// How much more is wrong.
    pub more_findings: u64,
}

impl AuditReport {
    /// How many findings are kept.
    pub const MAX_FINDINGS: usize = 1000;

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty() && self.more_findings == 0
    }

    /// Whether nothing is wrong but what a crash may have left, or whoever puts bytes behind the last line: an
    /// [unfinished](AuditFindingKind::Unfinished) line. Every line is there that anybody was told is durable.
    #[must_use]
    pub fn is_intact_or_unfinished(&self) -> bool {
        let is_wrong = |finding: &AuditFinding| finding.kind != AuditFindingKind::Unfinished;
        !self.findings.iter().any(is_wrong) && self.more_findings == 0
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, lines, proven, last, .. } = self;
        let files_word = if *files == 1 { "file" } else { "files" };
        write!(
            f,
            "{lines} lines in {files} {files_word}, {proven} of them proven, the last of these number {last}"
        )?;
        if let Some(head) = self.head {
            write!(f, " (the catalogue knows of {head})")?;
        }
        if self.is_intact() {
            write!(f, ": intact")?;
        }
        for finding in &self.findings {
            write!(f, "\n{finding}")?;
        }
        match self.more_findings {
            0 => Ok(()),
            more => write!(f, "\nand {more} more findings"),
        }
    }
}

/// Something that is wrong with a log, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFinding {
    /// What it is.
    pub kind: AuditFindingKind,
    /// The file.
    pub file: Arc<Path>,
    /// The line in the file, counted from 1: the one that is wrong, or the first after what is missing; that after the last
    /// when nothing comes after.
    pub line: u64,
    /// Where it begins in the file, in bytes from 0.
    pub offset: u64,
    /// The number that the line has in the log, or says that it has.
    pub sequence: Option<u64>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditFindingKind {
    /// It is not as it was written, or not written by the log at all.
    Edited,
    /// It has not the form of a line of a log, where there should be one.
    Malformed,
    /// It may be as it was written. That cannot be proven, since the line before is missing or was edited.
    Unproven,
    /// Lines that should come before it are not there.
    Missing {
        /// The number of the first of them.
        first: u64,
        /// The number of the last.
        last: u64,
    },
    /// It is as it was written, but stands in another place.
    Reordered,
    /// It does not belong there: a second copy of a line, or one that the log never wrote.
    Inserted,
    /// The file ends within the line.
    Torn,
    /// The last file ends within the line, after all lines that the catalogue knows of: as a crash leaves it while lines are
    /// written, of which nobody was told yet that they are durable. The log cuts it off, and keeps it, when it is opened.
    Unfinished,
    /// The last lines are not there.
    CutOff {
        /// The number of the first of them.
        first: u64,
        /// The number of the last that the catalogue knows of.
        last: u64,
    },
    /// It is a line of the log, but not the one that the catalogue knows of: the log went on in two ways, such as from the
    /// same backup twice.
    Forked,
}

impl fmt::Display for AuditFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, offset, .. } = self;
        write!(f, "{file:?}, line {line} (byte {offset}")?;
        match self.sequence {
            Some(sequence) => write!(f, ", number {sequence}): ")?,
            None => write!(f, "): ")?,
        }
        match self.kind {
            AuditFindingKind::Edited => write!(f, "not as it was written"),
            AuditFindingKind::Malformed => write!(f, "no line of a log"),
            AuditFindingKind::Unproven => {
                write!(f, "cannot be proven, since the line before is missing or was edited")
            }
            AuditFindingKind::Missing { first, last } => {
                write!(f, "numbers {first} to {last} are missing before it")
            }
            AuditFindingKind::Reordered => write!(f, "in another place than it was written to"),
            AuditFindingKind::Inserted => write!(f, "does not belong there"),
            AuditFindingKind::Torn => write!(f, "the file ends within it"),
            AuditFindingKind::Unfinished => {
                write!(f, "the last file ends within it, after all that was durable: as a crash leaves it")
            }
            AuditFindingKind::CutOff { first, last } => write!(f, "numbers {first} to {last} are cut off"),
            AuditFindingKind::Forked => write!(f, "not the line of this number that the catalogue knows of"),
        }
    }
}
