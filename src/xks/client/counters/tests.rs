use std::time::{Duration, SystemTime};

use super::XksCounters;
use crate::backend::BackendErrorKind;

#[test]
fn the_upper_end_of_a_bucket_belongs_to_it() {
    let bucket = |nanos| {
        let counters = XksCounters::new(SystemTime::UNIX_EPOCH);
        counters.begin().end(None, Duration::from_nanos(nanos));
        let found = counters.counts().latency;
        assert_eq!(found.count(), 1);
        found.buckets().position(|(_, count)| count == 1)
    };
    for (nanos, expected) in [
        (0, 0),
        (500_000, 0),
        (500_001, 1),
        (1_000_000, 1),
        (1_000_001, 2),
        (250_000_000, 11),
        (250_000_001, 12),
        (1_000_000_000, 12),
        (1_000_000_001, 13),
        (u64::MAX, 13),
    ] {
        assert_eq!(bucket(nanos), Some(expected), "{nanos}");
    }
}

#[test]
fn every_kind_has_a_counter_of_its_own() {
    let counters = XksCounters::new(SystemTime::UNIX_EPOCH);
    for (number, kind) in BackendErrorKind::ALL.iter().enumerate() {
        for _ in 0..=number {
            counters.begin().end(Some(*kind), Duration::ZERO);
        }
    }
    let counts = counters.counts();
    for (number, kind) in (1..).zip(BackendErrorKind::ALL) {
        assert_eq!(counts.errors(*kind), number, "{kind:?}");
    }
    assert_eq!(counts.retryable_errors() + counts.lasting_errors(), counts.requests);
}
