//! Which part of a list is wanted.

use super::checks::Checks;
use super::member::{Flaw, Member};
use super::rule;
use crate::api::failure::Failure;
use crate::key::{Marker, PageRequest};
use crate::kms::Exception;

/// A page of `usual` entries unless another limit is given, and of `most` whatever is given: KMS may return fewer entries than
/// were asked for.
pub(super) fn page(
    checks: &mut Checks,
    limit: Member<'_>,
    marker: Member<'_>,
    usual: usize,
    most: usize,
) -> Result<Option<PageRequest>, Failure> {
    let limit = checks.optional(limit, rule::integer(1..=1000))?;
    let marker = checks.optional(marker, read_marker)?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usual).min(most);
    let page = PageRequest::first(limit).ok();
    Ok(page.map(|page| match marker {
        Some(marker) => page.after(marker),
        None => page,
    }))
}

fn read_marker(raw: &str) -> Result<Marker, Flaw> {
    let text = rule::text_of(1..=1024)(raw)?;
    Marker::from_text(&text).map_err(|_| {
        Flaw::Refused(Failure::new(
            Exception::InvalidMarker,
            "the Marker is none that a page of this list gave",
        ))
    })
}
