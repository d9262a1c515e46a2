//! A test that is alone has a process to itself, and fails when that does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use custom_key_store_hsm::{Hsm, LIMIT, Module, alone, attempt};

#[test]
fn each_test_has_a_process_of_its_own() {
    static TIMES: AtomicU32 = AtomicU32::new(0);
    alone(|hsm| {
        TIMES.fetch_add(1, Ordering::Relaxed);
        assert!(std::env::var_os("SOFTHSM2_CONF").is_some_and(|conf| hsm.token().conf() == conf));
    });
    assert_eq!(TIMES.load(Ordering::Relaxed), 0, "it ran here");
}

#[test]
fn a_panic_is_reported_with_what_was_printed_before_it() {
    let name = "alone::a_panic_is_reported_with_what_was_printed_before_it";
    let why = attempt(Module::SoftHsm, name, LIMIT, |_| {
        println!("the last words");
        panic!("the reason");
    });
    let why = why.unwrap_err();
    assert!(why.starts_with("alone::a_panic_is_reported"), "{why}");
    assert!(why.contains("alone: failed"), "{why}");
    assert!(why.contains("the last words") && why.contains("the reason"), "{why}");
}

#[test]
#[should_panic(expected = "the reason")]
fn a_test_should_panic_when_its_body_does() {
    alone(|_| panic!("the reason"));
}

#[test]
fn a_process_that_dies_is_reported() {
    let why =
        attempt(Module::SoftHsm, "alone::a_process_that_dies_is_reported", LIMIT, |_| std::process::abort());
    assert!(why.unwrap_err().contains("SIGABRT"));
}

#[test]
fn a_process_that_ends_before_its_test_does_is_reported() {
    let name = "alone::a_process_that_ends_before_its_test_does_is_reported";
    let why = attempt(Module::SoftHsm, name, LIMIT, |_| std::process::exit(0));
    assert!(why.unwrap_err().contains("no such test ran to its end"));
}

#[test]
fn a_name_of_no_test_is_reported() {
    let why = attempt(Module::SoftHsm, "alone::nobody", LIMIT, |_| ());
    assert!(why.unwrap_err().contains("no such test ran to its end"));
}

#[test]
#[should_panic(expected = "no such test ran to its end")]
fn a_body_that_is_not_in_the_test_is_reported() {
    fn elsewhere(_: &Hsm) {}
    alone(elsewhere);
}

#[test]
fn a_process_that_takes_too_long_is_killed() {
    let name = "alone::a_process_that_takes_too_long_is_killed";
    let why = attempt(Module::SoftHsm, name, Duration::from_millis(300), |_| {
        loop {
            std::thread::park();
        }
    });
    assert!(why.unwrap_err().contains("was killed"));
}

#[test]
fn a_test_ends_while_a_call_hangs() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = context.open_rw_session(hsm.token().slot(&context)).unwrap();
        hsm.shim().hang("C_GenerateRandom");
        std::thread::spawn(move || session.generate_random_vec(8));
        hsm.shim().await_hanging("C_GenerateRandom", 1);
    });
}

#[test]
#[should_panic(expected = "the reason")]
fn a_test_that_waits_for_a_call_that_hangs_can_panic() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = context.open_rw_session(hsm.token().slot(&context)).unwrap();
        hsm.shim().hang("C_GenerateRandom");
        std::thread::scope(|scope| {
            scope.spawn(move || session.generate_random_vec(8));
            hsm.shim().await_hanging("C_GenerateRandom", 1);
            panic!("the reason");
        });
    });
}

mod within {
    use super::alone;

    #[test]
    fn a_test_in_a_module_is_found() {
        alone(|hsm| assert!(hsm.home().is_dir()));
    }
}

#[test]
fn the_directory_goes_with_the_test() {
    let hsm = Hsm::new(Module::SoftHsm);
    let home = hsm.home().to_owned();
    assert!(hsm.token().folder().starts_with(&home) && hsm.token().conf().is_file());
    drop(hsm);
    assert!(!home.exists());
}
