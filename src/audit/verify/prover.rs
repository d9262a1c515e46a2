//! Follows the chain through lines that somebody may have tampered with, and says what was done.
//!
//! A line is proven by its code together with that of the line before. Where the chain breaks, the lines that follow are
//! suspects, until one is proven again: by the code of the last line that was proven, and then the suspects do not belong
//! there; by the code that the suspect before it states, which was then not invented; or, the first of a file, by the code
//! that it repeats itself. What the suspects are follows from their numbers.

use std::path::Path;
use std::sync::Arc;

use super::report::{AuditFinding, AuditFindingKind as Kind, AuditReport};
use crate::audit::chain::{Chain, Code, Line, Position};
use crate::audit::lines::{Content, Spot};

/// How many suspects, gaps and such are kept in mind. Whoever makes more is caught, if not told of each.
const MOST: usize = 10_000;

/// Where a line is.
#[derive(Debug, Clone)]
struct Place {
    /// The number of the file, by which findings are ordered.
    number: usize,
    file: Arc<Path>,
    spot: Spot,
}

/// A line that is not proven.
#[derive(Debug)]
struct Suspect {
    place: Place,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Line {
        sequence: u64,
        code: Code,
        /// Whether it says that it is the first of a file, which needs no other line to be proven by.
        begins: bool,
    },
    Malformed,
    Torn,
}

/// Lines that were passed over. They may come later.
#[derive(Debug)]
struct Gap {
    first: u64,
    last: u64,
    /// The code of the line before the first, if it is known.
    before: Option<Code>,
    finding: Option<usize>,
}

/// A line that came before its turn.
#[derive(Debug)]
struct Early {
    sequence: u64,
    code: Code,
    finding: Option<usize>,
}

/// The line before was the first of a file, and many are missing before it. Should the next of these come now, it was that
/// line that came before its turn.
#[derive(Debug)]
struct Leap {
    from: Position,
    /// That they are missing.
    finding: Option<usize>,
}

pub(super) struct Prover {
    chain: Chain,
    head: Option<Position>,
    /// The last line that was proven in its place; `None` while it is unknown where the lines begin.
    good: Option<Position>,
    /// What came after it.
    suspects: Vec<Suspect>,
    /// The code that the line before states, unless that is `good`.
    stated: Option<Code>,
    gaps: Vec<Gap>,
    early: Vec<Early>,
    leap: Option<Leap>,
    /// What was found; what turned out to be something else is none any more.
    findings: Vec<Option<(usize, AuditFinding)>>,
    more: u64,
    place: Place,
    files: usize,
    lines: u64,
    proven: u64,
}

impl Prover {
    /// Unless it is to begin with the first line of all, it begins wherever the first file does.
    pub(super) fn new(chain: Chain, begins: bool, head: Option<Position>) -> Self {
        let spot = Spot { number: 1, offset: 0 };
        Self {
            chain,
            good: begins.then_some(Position::START),
            head,
            suspects: Vec::new(),
            stated: None,
            gaps: Vec::new(),
            early: Vec::new(),
            leap: None,
            findings: Vec::new(),
            more: 0,
            place: Place { number: 0, file: Path::new("").into(), spot },
            files: 0,
            lines: 0,
            proven: 0,
        }
    }

    pub(super) fn begin_file(&mut self, path: &Path) {
        self.files += 1;
        let spot = Spot { number: 1, offset: 0 };
        self.place = Place { number: self.files, file: path.into(), spot };
    }

    pub(super) fn take(&mut self, spot: Spot, content: Content<'_>) {
        self.lines += 1;
        self.place.spot = spot;
        let leap = self.leap.take();
        let shape = match content {
            Content::Whole(bytes) => match Line::parse(bytes) {
                Some(line) => {
                    self.leap_back(leap, &line);
                    return self.take_line(&line);
                }
                None => Shape::Malformed,
            },
            Content::TooLong => Shape::Malformed,
            Content::Torn => Shape::Torn,
        };
        self.suspect(shape, None);
    }

    /// The last place of all is the end of the last file.
    pub(super) fn end_file(&mut self, spot: Spot) {
        self.place.spot = spot;
    }

    fn take_line(&mut self, line: &Line<'_>) {
        let follows = |code: &Code| self.chain.follows(code, line);
        let expected = self.good.map(|good| good.lines + 1);
        if let Some(good) = self.good
            && expected == Some(line.sequence)
            && follows(&good.code)
        {
            self.clear_suspects();
            return self.accept(line);
        }
        let previous = line.previous();
        let by_itself = previous.is_some_and(|previous| follows(&previous));
        // One that came before its turn, and is the one that this follows.
        let early = self.early.iter().position(|early| {
            Some(early.sequence) == expected && early.sequence == line.sequence - 1 && follows(&early.code)
        });
        if let Some(early) = early {
            let early = self.early.swap_remove(early);
            self.refine(early.finding, Kind::Reordered);
            self.clear_suspects();
            return self.accept(line);
        }
        if by_itself || self.stated.is_some_and(|stated| follows(&stated)) {
            if expected.is_none_or(|expected| line.sequence >= expected) {
                let leap = if self.suspects.is_empty() { self.good } else { None };
                self.resolve(line.sequence - 1);
                let gap = self.gaps.last().filter(|gap| gap.last == line.sequence - 1);
                self.leap = leap.zip(gap).map(|(from, gap)| Leap { from, finding: gap.finding });
                return self.accept(line);
            }
            self.clear_suspects();
            return self.take_out_of_place(line);
        }
        let fills =
            |gap: &Gap| gap.first == line.sequence && gap.before.is_some_and(|before| follows(&before));
        if self.gaps.iter().any(fills) {
            self.clear_suspects();
            return self.take_out_of_place(line);
        }
        let Line { sequence, code, .. } = *line;
        self.suspect(Shape::Line { sequence, code, begins: previous.is_some() }, Some(code));
    }

    /// Takes a leap back, if this is the line that was due before it.
    fn leap_back(&mut self, leap: Option<Leap>, line: &Line<'_>) {
        let Some(Leap { from, finding }) = leap else { return };
        if line.sequence == from.lines + 1
            && self.chain.follows(&from.code, line)
            && let Some(Position { lines: sequence, code }) = self.good.replace(from)
        {
            self.gaps.pop();
            self.refine(finding, Kind::Inserted);
            self.come_early(Early { sequence, code, finding });
        }
    }

    fn come_early(&mut self, early: Early) {
        if self.early.len() < MOST {
            self.early.push(early);
        }
    }

    /// A line is proven, in its place.
    fn accept(&mut self, line: &Line<'_>) {
        let now = Position { lines: line.sequence, code: line.code };
        if self.head.is_some_and(|head| head.lines == now.lines && head.code != now.code) {
            self.find(self.place.clone(), Some(line.sequence), Kind::Forked);
        }
        self.good = Some(now);
        self.stated = None;
        self.proven += 1;
    }

    /// A line is proven, in another place than its own.
    fn take_out_of_place(&mut self, line: &Line<'_>) {
        let kind = self.leave_gap(line.sequence, Some(line.code));
        self.find(self.place.clone(), Some(line.sequence), kind);
        self.stated = Some(line.code);
        self.proven += 1;
    }

    fn suspect(&mut self, shape: Shape, code: Option<Code>) {
        self.stated = code;
        if self.suspects.len() < MOST {
            self.suspects.push(Suspect { place: self.place.clone(), shape });
        } else {
            self.more += 1;
        }
    }

    /// The suspects belong nowhere here: without them the chain is whole.
    fn clear_suspects(&mut self) {
        for Suspect { place, shape } in std::mem::take(&mut self.suspects) {
            match shape {
                Shape::Line { sequence, code, .. } => self.misplaced(place, sequence, code),
                Shape::Malformed => drop(self.find(place, None, Kind::Inserted)),
                Shape::Torn => drop(self.find(place, None, Kind::Torn)),
            }
        }
    }

    /// A line, not proven, whose number is not one that is due.
    fn misplaced(&mut self, place: Place, sequence: u64, code: Code) {
        let is_early = self.good.is_some_and(|good| sequence > good.lines + 1);
        let kind = self.leave_gap(sequence, None);
        let finding = self.find(place, Some(sequence), kind);
        if is_early {
            self.come_early(Early { sequence, code, finding });
        }
    }

    /// The suspects stand where the lines up to this number should: says of each what it is, and which are missing. Gives
    /// how many are left at the end that say no number.
    fn resolve(&mut self, to: u64) -> u64 {
        let suspects = std::mem::take(&mut self.suspects);
        let first = suspects.iter().find_map(|suspect| match suspect.shape {
            Shape::Line { sequence, .. } => Some(sequence),
            Shape::Malformed | Shape::Torn => None,
        });
        // Where the beginning is unknown, it is where it seems to be.
        let from = self.good.map_or_else(|| first.unwrap_or(to + 1), |good| good.lines + 1);
        let mut due = from;
        // Those without a number stand for as many.
        let mut nameless = 0;
        for Suspect { place, shape } in suspects {
            match shape {
                Shape::Line { sequence, begins, .. } if (due..=to).contains(&sequence) => {
                    self.miss(&place, sequence, (due + nameless, sequence - 1), from);
                    let edited = begins || (sequence == from && self.good.is_some());
                    self.find(place, Some(sequence), if edited { Kind::Edited } else { Kind::Unproven });
                    (due, nameless) = (sequence + 1, 0);
                }
                Shape::Line { sequence, code, .. } => self.misplaced(place, sequence, code),
                Shape::Malformed | Shape::Torn => {
                    let kind = if matches!(shape, Shape::Torn) { Kind::Torn } else { Kind::Malformed };
                    self.find(place, None, kind);
                    // Half a line stands for none.
                    nameless += u64::from(kind == Kind::Malformed);
                }
            }
        }
        self.miss(&self.place.clone(), to + 1, (due.saturating_add(nameless), to), from);
        nameless
    }

    /// Says that lines are missing before the one of this number, if any are.
    fn miss(&mut self, place: &Place, sequence: u64, (first, last): (u64, u64), from: u64) {
        if first > last {
            return;
        }
        let before = self.good.filter(|_| first == from).map(|good| good.code);
        let finding = self.find(place.clone(), Some(sequence), Kind::Missing { first, last });
        if self.gaps.len() < MOST {
            self.gaps.push(Gap { first, last, before, finding });
        }
    }

    /// A line of this number has come after all, though late, or is one too many.
    fn leave_gap(&mut self, sequence: u64, code: Option<Code>) -> Kind {
        let found = self.gaps.iter().position(|gap| (gap.first..=gap.last).contains(&sequence));
        let Some(found) = found else { return Kind::Inserted };
        let Gap { first, last, before, finding } = self.gaps.swap_remove(found);
        // What is left of it, on either side.
        let mut finding = finding;
        for (first, last, before) in [(first, sequence - 1, before), (sequence + 1, last, code)] {
            if first > last {
                continue;
            }
            let kind = Kind::Missing { first, last };
            let left = match finding.take() {
                Some(left) => {
                    self.refine(Some(left), kind);
                    Some(left)
                }
                None => self.find(self.place.clone(), None, kind),
            };
            self.gaps.push(Gap { first, last, before, finding: left });
        }
        if let Some(slot) = finding.and_then(|finding| self.findings.get_mut(finding)) {
            *slot = None;
        }
        Kind::Reordered
    }

    fn find(&mut self, place: Place, sequence: Option<u64>, kind: Kind) -> Option<usize> {
        if self.findings.len() >= MOST {
            self.more += 1;
            return None;
        }
        let Place { number, file, spot } = place;
        let finding = AuditFinding { kind, file, line: spot.number, offset: spot.offset, sequence };
        self.findings.push(Some((number, finding)));
        Some(self.findings.len() - 1)
    }

    /// A finding turns out to be another.
    fn refine(&mut self, finding: Option<usize>, kind: Kind) {
        let found = finding.and_then(|finding| self.findings.get_mut(finding)?.as_mut());
        if let Some((_, finding)) = found {
            finding.kind = kind;
        }
    }

    pub(super) fn end(mut self) -> AuditReport {
        let good = self.good.map_or(0, |good| good.lines);
        // Of what the catalogue knows nothing is missing.
        if let [Suspect { place, shape: Shape::Torn }] = self.suspects.as_slice()
            && place.number == self.files
            && self.head.is_some_and(|head| head.lines <= good)
        {
            let place = place.clone();
            self.suspects.clear();
            self.find(place, None, Kind::Unfinished);
        }
        // Numbers that lines of this log can have, so that an invented one does not stand for all that are missing.
        let most = self
            .head
            .map_or(u64::MAX - 1, |head| head.lines.max(good.saturating_add(self.suspects.len() as u64)));
        let last = self.suspects.iter().filter_map(|suspect| match suspect.shape {
            Shape::Line { sequence, .. } => (sequence > good && sequence <= most).then_some(sequence),
            Shape::Malformed | Shape::Torn => None,
        });
        let last = last.max().unwrap_or(good);
        let mut reached = last.saturating_add(self.resolve(last));
        // The last line may have come before its turn, and so be followed by none: the catalogue knows its code.
        if let Some(head) = self.head
            && head.lines == reached + 1
            && let Some(early) =
                self.early.iter().find(|early| (early.sequence, early.code) == (head.lines, head.code))
        {
            self.refine(early.finding, Kind::Reordered);
            reached = head.lines;
        }
        if let Some(head) = self.head
            && head.lines > reached
        {
            let kind = Kind::CutOff { first: reached + 1, last: head.lines };
            self.find(self.place.clone(), None, kind);
        }
        let mut findings: Vec<_> = self.findings.into_iter().flatten().collect();
        findings.sort_by_key(|(file, finding)| (*file, finding.line));
        let beyond = findings.len().saturating_sub(AuditReport::MAX_FINDINGS);
        findings.truncate(AuditReport::MAX_FINDINGS);
        AuditReport {
            files: self.files,
            lines: self.lines,
            proven: self.proven,
            last: good,
            head: self.head.map(|head| head.lines),
            findings: findings.into_iter().map(|(_, finding)| finding).collect(),
            more_findings: self.more + beyond as u64,
        }
    }
}
