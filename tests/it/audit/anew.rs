//! A log whose end is not what the catalogue says, or of which it says nothing any more; and how it goes on.

use std::fs;
use std::sync::Arc;

use custom_key_store::audit::{
    self, AuditErrorKind as Kind, AuditFindingKind as Finding, AuditLog, AuditSink as _,
};
use custom_key_store::catalog::{Catalog, Edit, Ledger, MemoryCatalog, Row, Table};
use futures::executor::block_on;

use super::opening::{Twice, ends, twice};
use super::support::{Place, copy_of, ledger_on, prompt, sealer, write};

#[test]
fn a_log_that_is_begun_anew_says_why_and_keeps_what_was_there() {
    block_on(async {
        let Twice { place, second, .. } = twice().await;
        let whole = second.1;
        let ledger = ledger_on(second.0).await;
        let cut = &whole[..ends(&whole)[6]];
        fs::write(place.log(), cut).unwrap();
        let log = prompt(&ledger).begin_anew().open(place.log()).await.unwrap();
        write(&log, "e").await.unwrap();
        let report = log.verify().await.unwrap();
        log.close().await.unwrap();
        let aside = place.path("audit.damaged-000000000009.jsonl");
        assert!(fs::read(&aside).unwrap() == cut);
        let lines = place.lines();
        let first = &lines[7];
        assert_eq!((&first["eventName"], &first["sequence"]), (&"BeginAuditFile".into(), &10.into()));
        let why = first["serviceEventDetails"]["begunAnew"].as_str().unwrap();
        assert!(why.starts_with("the audit log has fewer lines than were written to it"), "{why}");
        // What is missing is missing for good, and all else is proven.
        let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [Finding::Missing { first: 8, last: 9 }]);
        assert_eq!((report.lines, report.proven), (10, 10));

        // It goes on as any other; and a file that is as it should be is not put aside.
        let log = prompt(&ledger).begin_anew().open(place.log()).await.unwrap();
        log.close().await.unwrap();
        assert_eq!(place.files().len(), 2);
        // A second one has a name of its own.
        fs::remove_file(place.log()).unwrap();
        prompt(&ledger).begin_anew().open(place.log()).await.unwrap().close().await.unwrap();
        fs::write(place.log(), "a letter").unwrap();
        prompt(&ledger).begin_anew().open(place.log()).await.unwrap().close().await.unwrap();
        let letters = place.files().into_iter().filter(|(_, content)| content == b"a letter");
        assert_eq!(letters.count(), 1);
    });
}

/// A row that somebody else put into the catalogue, or took away.
#[test]
fn an_end_that_somebody_else_wrote_is_refused() {
    block_on(async {
        let Twice { place, second, .. } = twice().await;
        let rows = second.0.list(Table::Audit, None, None, 9).await.unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        let mut forged = row.clone();
        forged.body = forged.body.iter().map(|byte| if *byte == b'9' { b'8' } else { *byte }).collect();
        let catalog = copy_of(&second.0).await;
        catalog.commit(vec![Edit::delete(row), Edit::Insert(forged)]).await.unwrap();
        let ledger = ledger_on(catalog).await;
        assert_eq!(prompt(&ledger).open(place.log()).await.unwrap_err().kind(), Kind::Altered);
        assert_eq!(audit::verify(&ledger, [place.log()]).await.unwrap_err().kind(), Kind::Altered);

        // Without it nobody knows where the end is, but that there was one.
        let catalog = copy_of(&second.0).await;
        catalog.commit(vec![Edit::delete(row)]).await.unwrap();
        let whole = fs::read(place.log()).unwrap();
        let cut = &whole[..ends(&whole)[6]];
        fs::write(place.log(), cut).unwrap();
        let ledger = ledger_on(Arc::clone(&catalog)).await;
        let error = prompt(&ledger).open(place.log()).await.unwrap_err();
        assert_eq!((error.kind(), error.place().unwrap().0), (Kind::Altered, &*place.log()));
        assert_eq!(audit::verify(&ledger, [place.log()]).await.unwrap_err().kind(), Kind::Altered);
        assert!(fs::read(place.log()).unwrap() == cut, "it is left as it is");
        // Nor is that forgotten with another sealer.
        let another = custom_key_store::SealingKey::from_bytes(&[8; 32]);
        ledger.reseal(&another).await.unwrap();
        let ledger = Ledger::open(catalog, &another).await.unwrap();
        assert_eq!(prompt(&ledger).open(place.log()).await.unwrap_err().kind(), Kind::Altered);
        // Somebody who has looked at it begins anew, with the first line, and it goes on as any other.
        let log = prompt(&ledger).begin_anew().open(place.log()).await.unwrap();
        log.close().await.unwrap();
        assert!(fs::read(place.path("audit.damaged-000000000000.jsonl")).unwrap() == cut);
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        write(&log, "e").await.unwrap();
        log.close().await.unwrap();
        let first = fs::read_to_string(place.log()).unwrap();
        assert!(first.starts_with(r#"{"sequence":1,"#) && first.contains("begunAnew"), "{first}");
        let report = audit::verify(&ledger, [place.log()]).await.unwrap();
        assert!(report.is_intact(), "{report}");
    });
}

/// A log of a release that did not say so elsewhere.
#[test]
fn that_there_is_a_log_is_said_as_soon_as_it_is_opened() {
    block_on(async {
        let place = Place::new();
        let catalog = Arc::new(MemoryCatalog::new());
        let ledger = ledger_on(Arc::clone(&catalog)).await;
        let root = || async { catalog.read(Table::Catalog, "root").await.unwrap().unwrap() };
        let is_marked = |row: &Row| String::from_utf8(row.body.clone()).unwrap().contains("is_audited");
        let before = root().await;
        assert!(!is_marked(&before));
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        write(&log, "a").await.unwrap();
        log.close().await.unwrap();
        let marked = root().await;
        assert!(is_marked(&marked));
        // Whoever did not know of it sees what was always there.
        for member in ["format", "identity", "sealed_root"] {
            assert!(String::from_utf8(marked.body.clone()).unwrap().contains(member));
        }

        // There is the row of its end, and nothing else that says so.
        let unmarked = copy_of(&catalog).await;
        unmarked.commit(vec![Edit::delete(&marked), Edit::Insert(before.clone())]).await.unwrap();
        let [end] = unmarked.list(Table::Audit, None, None, 9).await.unwrap().try_into().unwrap();
        let ledger = ledger_on(Arc::clone(&unmarked)).await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        let after = unmarked.read(Table::Catalog, "root").await.unwrap().unwrap();
        assert!(is_marked(&after), "before anything is written");
        assert_eq!(after.version, before.version + 1);
        write(&log, "b").await.unwrap();
        log.close().await.unwrap();
        let again = unmarked.read(Table::Catalog, "root").await.unwrap().unwrap();
        assert_eq!(again.version, after.version, "once");
        assert_eq!(
            place.names(),
            ["BeginAuditFile", "OpenAuditLog", "a", "CloseAuditLog", "OpenAuditLog", "b", "CloseAuditLog"]
        );
        let report = audit::verify(&ledger, [place.log()]).await.unwrap();
        assert!(report.is_intact(), "{report}");

        // So from then on it cannot be taken away unseen.
        let latest = unmarked.read(Table::Audit, &end.id).await.unwrap().unwrap();
        unmarked.commit(vec![Edit::delete(&latest)]).await.unwrap();
        assert_eq!(prompt(&ledger).open(place.log()).await.unwrap_err().kind(), Kind::Altered);
    });
}

/// Somebody took away where a log ends that has more full files than one name can be given to.
#[test]
fn files_that_are_put_aside_keep_the_numbers_of_their_lines() {
    block_on(async {
        let place = Place::new();
        let catalog = Arc::new(MemoryCatalog::new());
        let ledger = ledger_on(Arc::clone(&catalog)).await;
        let log = prompt(&ledger).max_file_size(1).open(place.log()).await.unwrap();
        write(&log, "a").await.unwrap();
        log.close().await.unwrap();
        let full = AuditLog::files(place.log()).unwrap();
        assert!(full.len() > 2, "{full:?}");
        // As many as a log has after years.
        for number in 100..1_200_u64 {
            fs::write(place.path(&format!("audit.{number:012}-{number:012}.jsonl")), "of before").unwrap();
        }
        let before = place.files();
        let [row] = catalog.list(Table::Audit, None, None, 9).await.unwrap().try_into().unwrap();
        catalog.commit(vec![Edit::delete(&row)]).await.unwrap();
        let log = prompt(&ledger).begin_anew().open(place.log()).await.unwrap();
        log.close().await.unwrap();
        for (name, content) in before {
            let aside = match name.strip_prefix("audit.").unwrap() {
                "jsonl" => "audit.damaged-000000000000.jsonl".to_owned(),
                numbers => format!("audit.damaged-{numbers}"),
            };
            assert!(fs::read(place.path(&aside)).unwrap() == content, "{aside}");
        }
        assert_eq!(place.files().iter().filter(|(name, _)| !name.contains("damaged")).count(), 1);
    });
}

#[test]
fn a_log_that_was_begun_anew_or_moved_elsewhere_is_verified_from_there() {
    block_on(async {
        let Twice { place, second, .. } = twice().await;
        let ledger = ledger_on(second.0).await;
        let cut = &second.1[..ends(&second.1)[6]];
        fs::write(place.log(), cut).unwrap();
        let log = prompt(&ledger).begin_anew().max_file_size(800).open(place.log()).await.unwrap();
        for number in 0..9 {
            write(&log, format!("{number}")).await.unwrap();
        }
        log.close().await.unwrap();
        let files = AuditLog::files(place.log()).unwrap();
        assert!(files.len() > 3, "{files:?}");
        assert!(!audit::verify(&ledger, &files).await.unwrap().is_intact());
        let since: Vec<_> = files.iter().filter(|file| !file.to_str().unwrap().contains("damaged")).collect();
        let mut left = since.clone();
        while !left.is_empty() {
            let report = audit::verify_end(&ledger, &left).await.unwrap();
            assert!(report.is_intact() && report.head == Some(report.last), "{report}");
            left.remove(0);
        }
        // The last line is needed, and all in between.
        let report = audit::verify_end(&ledger, &since[..since.len() - 1]).await.unwrap();
        assert!(matches!(report.findings[0].kind, Finding::CutOff { .. }), "{report}");
        let gap = [&since[..1], &since[2..]].concat();
        assert!(matches!(
            audit::verify_end(&ledger, gap).await.unwrap().findings[0].kind,
            Finding::Missing { .. }
        ));
        let report = audit::verify_end(&ledger, [] as [&std::path::Path; 0]).await.unwrap();
        assert!(!report.is_intact());
    });
}

#[test]
fn that_there_is_a_log_is_known_of_a_ledger_that_is_restored() {
    block_on(async {
        let Twice { place, second, .. } = twice().await;
        let mut backup = Vec::new();
        ledger_on(second.0).await.backup(&mut backup).await.unwrap();
        let catalog = Arc::new(MemoryCatalog::new());
        let restored = Ledger::restore(Arc::clone(&catalog), &sealer(), &mut &backup[..]).await.unwrap();
        assert!(audit::verify(&restored, [place.log()]).await.unwrap().is_intact());
        let rows = catalog.list(Table::Audit, None, None, 9).await.unwrap();
        catalog.commit(rows.iter().map(Edit::delete).collect()).await.unwrap();
        assert_eq!(audit::verify(&restored, [place.log()]).await.unwrap_err().kind(), Kind::Altered);
        assert_eq!(prompt(&restored).open(place.log()).await.unwrap_err().kind(), Kind::Altered);
    });
}
