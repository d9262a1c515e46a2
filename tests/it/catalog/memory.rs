//! The catalogue in memory.

use custom_key_store::catalog::MemoryCatalog;
use custom_key_store::catalog::conformance::{Suite, Verdict};
use futures::executor::block_on;

#[test]
fn conforms() {
    let report = block_on(Suite::new(|| async { Ok(MemoryCatalog::new()) }).run());
    report.assert();
    let skipped =
        report.findings().iter().filter(|finding| matches!(finding.verdict, Verdict::NotApplicable(_)));
    assert_eq!(
        skipped.map(|finding| finding.name).collect::<Vec<_>>(),
        ["durability::closed", "durability::dropped", "durability::one_owner"],
    );
}
