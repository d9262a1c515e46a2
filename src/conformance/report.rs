use std::fmt;

/// What a suite found, check by check.
///
/// `Display` prints a line for each check, and a last one with the counts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a report that nobody looks at has checked nothing"]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(crate) const fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// Every check, in the order in which they ran.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.verdict, Verdict::Failed(_)))
    }

    /// Whether no check failed. Some may have been not applicable: print the report to see which.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Ends a test that must have no failed check.
    ///
    /// # Panics
    ///
    /// When a check failed, with the name and the reason of each that did.
    #[track_caller]
    pub fn assert(&self) {
        let failures: Vec<_> = self.failures().map(|finding| format!("\n  {finding}")).collect();
        assert!(failures.is_empty(), "it does not conform:{}", failures.concat());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut ok, mut failed, mut not_applicable) = (0, 0, 0);
        for finding in &self.findings {
            match finding.verdict {
                Verdict::Passed => ok += 1,
                Verdict::Failed(_) => failed += 1,
                Verdict::NotApplicable(_) => not_applicable += 1,
            }
            writeln!(f, "{finding}")?;
        }
        write!(f, "{ok} ok, {failed} failed, {not_applicable} not applicable")
    }
}

/// One check and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The check, as `theme::check`.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
}

impl Finding {
    pub(crate) const fn new(name: &'static str, verdict: Verdict) -> Self {
        Self { name, verdict }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match &self.verdict {
            Verdict::Passed => write!(f, "{name}: ok"),
            Verdict::Failed(reason) => write!(f, "{name}: failed: {reason}"),
            Verdict::NotApplicable(reason) => write!(f, "{name}: not applicable: {reason}"),
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// What was checked did as it must.
    Passed,
    /// It did not: in which way.
    Failed(String),
    /// The check could not be made: why, and what the suite would have to be given.
    NotApplicable(String),
}
