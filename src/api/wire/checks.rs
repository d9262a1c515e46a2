//! Several members looked at, and all that is wrong with them said at once.

use super::member::{Flaw, Member, failure, violation};
use crate::api::failure::Failure;

/// Of so many violations the answer speaks; more help nobody.
const MOST: usize = 10;

/// What was found so far.
///
/// What is of the wrong type is refused at once, as AWS does before it looks at rules; what AWS has a name of its own for,
/// only when no rule is broken.
#[derive(Default)]
pub(super) struct Checks {
    violations: Vec<String>,
    refused: Option<Failure>,
}

impl Checks {
    /// A member that has to be there.
    pub(super) fn required<'a, T>(
        &mut self,
        member: Member<'a>,
        rule: impl FnOnce(&'a str) -> Result<T, Flaw>,
    ) -> Result<Option<T>, Failure> {
        self.note(member.name, member.raw.map_or_else(|| Err(Flaw::missing()), rule))
    }

    /// A member that may be absent.
    pub(super) fn optional<'a, T>(
        &mut self,
        member: Member<'a>,
        rule: impl FnOnce(&'a str) -> Result<T, Flaw>,
    ) -> Result<Option<T>, Failure> {
        match member.raw {
            None => Ok(None),
            Some(raw) => self.note(member.name, rule(raw)),
        }
    }

    fn note<T>(&mut self, name: &'static str, looked: Result<T, Flaw>) -> Result<Option<T>, Failure> {
        match looked {
            Ok(value) => Ok(Some(value)),
            Err(Flaw::Rule { below, rule }) => {
                self.add(violation(name, &below, &rule));
                Ok(None)
            }
            Err(Flaw::Refused(failure)) => {
                self.refused.get_or_insert(failure);
                Ok(None)
            }
            Err(other) => Err(failure(name, other)),
        }
    }

    /// A member that contradicts, or lacks, another one.
    pub(super) fn flawed(&mut self, name: &'static str, rule: &str) {
        self.add(violation(name, "", rule));
    }

    /// One that is needed because of another, which is named.
    pub(super) fn missing(&mut self, name: &'static str, with: &str) {
        self.flawed(name, &format!("Member must not be null {with}"));
    }

    #[cold]
    fn add(&mut self, violation: String) {
        if self.violations.len() < MOST {
            self.violations.push(violation);
        }
    }

    /// The request, if nothing is wrong; `make` gives one unless something was found missing.
    pub(super) fn done<T>(self, make: impl FnOnce() -> Option<T>) -> Result<T, Failure> {
        if !self.violations.is_empty() {
            return Err(Failure::validation(&self.violations));
        }
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        make().ok_or_else(|| Failure::validation(&["a member is missing".to_owned()]))
    }
}
