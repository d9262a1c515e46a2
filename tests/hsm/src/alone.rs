use std::any::type_name;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::errand;
use crate::hsm::Hsm;
use crate::module::Module;

/// How long a test may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Where the [`Hsm`] is; only processes of one test have it.
const HOME: &str = "CKS_HSM_HOME";
/// The name of the test.
const TEST: &str = "CKS_HSM_TEST";
/// The file that says how it ended, as its first line, and what came of it.
const DONE: &str = "CKS_HSM_DONE";
/// What to do instead of the test.
const ERRAND: &str = "CKS_HSM_ERRAND";

/// Runs the body in a process of its own, with an [`Hsm`] of its own.
///
/// The body must be a closure inside the test's function, whose name is taken from it: the process is this program
/// again, which is told to run that test alone. When the body has returned or panicked, the process is killed: while
/// threads are still at work in a module, a process cannot always leave without a crash.
///
/// # Panics
///
/// With what the process printed, if it failed, ran another test or none, or took longer than [`LIMIT`].
pub fn alone<B: FnOnce(&Hsm)>(body: B) {
    alone_on(Module::SoftHsm, body);
}

/// As [`alone`] does, on this module.
///
/// # Panics
///
/// As [`alone`] does.
pub fn alone_on<B: FnOnce(&Hsm)>(module: Module, body: B) {
    if let Err(why) = attempt(module, &enclosing(type_name::<B>()), LIMIT, body) {
        panic!("{why}");
    }
}

/// As [`alone_on`] does, for the test of this name (`module::name`, without the program's) and with this limit, but says
/// what went wrong.
///
/// In the process of the test this does not return.
///
/// # Errors
///
/// What went wrong, and what the process printed.
pub fn attempt(module: Module, name: &str, limit: Duration, body: impl FnOnce(&Hsm)) -> Result<(), String> {
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else {
        let hsm = Hsm::new(module);
        let output = run(&hsm, name, limit, None)?.1;
        #[expect(clippy::print_stdout, reason = "the output of a test, which its harness captures")]
        {
            print!("{output}");
        }
        return Ok(());
    };
    let failing = Failing;
    let hsm = Hsm::at(&home);
    let answer = match std::env::var(ERRAND) {
        Ok(errand) => errand::run(&hsm, &home, &errand),
        Err(_) => {
            release_when_it_panics(&home);
            body(&hsm);
            String::new()
        }
    };
    std::mem::forget(failing);
    end(PASSED, &answer)
}

/// What the body drops when it panics may wait for threads whose calls hang.
fn release_when_it_panics(home: &Path) {
    let hsm = Hsm::at(home);
    let test = std::thread::current().id();
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        if std::thread::current().id() == test {
            hsm.shim().release_all();
        }
    }));
}

const PASSED: &str = "passed";
const FAILED: &str = "failed";

/// Says how it ended, and waits to be killed.
fn end(how: &str, answer: &str) -> ! {
    let done = PathBuf::from(std::env::var_os(DONE).unwrap());
    let written = done.with_extension("written");
    std::fs::write(&written, format!("{how}\n{answer}")).unwrap();
    // Whoever waits must not see half of it.
    std::fs::rename(written, done).unwrap();
    loop {
        std::thread::park();
    }
}

/// Ends the process where a panic would leave the body; it has been printed by then.
struct Failing;

impl Drop for Failing {
    fn drop(&mut self) {
        end(FAILED, "");
    }
}

/// Does an errand in a process of its own, and gives its answer.
pub(crate) fn elsewhere(home: &Path, errand: &str) -> String {
    let test = std::env::var(TEST);
    assert!(test.is_ok(), "only a test that is alone can have this done in another process");
    match run(&Hsm::at(home), &test.unwrap(), LIMIT, Some(errand)) {
        Ok((answer, _)) => answer,
        Err(why) => panic!("{why}"),
    }
}

/// Runs this program again for the one test, and gives what it wrote when it was done and what it printed.
fn run(hsm: &Hsm, name: &str, limit: Duration, errand: Option<&str>) -> Result<(String, String), String> {
    // Files, not pipes: a process that prints much while nobody reads would wait for ever.
    let folder = tempfile::tempdir_in(hsm.home()).unwrap();
    let done = folder.path().join("done");
    let printed = folder.path().join("printed");
    let output = File::create(&printed).unwrap();
    let mut command = Command::new(program());
    command
        .args(["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"])
        .envs(hsm.env())
        .env(HOME, hsm.home())
        .env(TEST, name)
        .env(DONE, &done)
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    if let Some(errand) = errand {
        command.env(ERRAND, errand);
    }
    let ended = wait(command.spawn().unwrap(), limit, &done);
    let printed = String::from_utf8_lossy(&std::fs::read(printed).unwrap()).into_owned();
    let why = match ended {
        Ended::Said(said) => match said.split_once('\n') {
            Some((PASSED, answer)) => return Ok((answer.to_owned(), printed)),
            _ => "failed".to_owned(),
        },
        Ended::Left(status) if status.success() => {
            "no such test ran to its end; is this its name?".to_owned()
        }
        Ended::Left(status) => status.to_string(),
        Ended::TookTooLong => format!("took longer than {limit:?}, and was killed"),
    };
    Err(format!("{name}, alone: {why}\n{printed}"))
}

/// This program, where that can be had also when its file has been built anew meanwhile.
fn program() -> PathBuf {
    let running = Path::new("/proc/self/exe");
    if running.exists() { running.to_owned() } else { std::env::current_exe().unwrap() }
}

enum Ended {
    Said(String),
    Left(ExitStatus),
    TookTooLong,
}

fn wait(mut child: Child, limit: Duration, done: &Path) -> Ended {
    let start = Instant::now();
    let ended = loop {
        if let Ok(said) = std::fs::read_to_string(done) {
            break Ended::Said(said);
        }
        if let Some(status) = child.try_wait().unwrap() {
            return Ended::Left(status);
        }
        if start.elapsed() > limit {
            break Ended::TookTooLong;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    ended
}

/// `a_test` of `program::module::a_test::{{closure}}`, with its modules.
fn enclosing(closure: &str) -> String {
    let function = closure.split("::{{closure}}").next().unwrap_or(closure);
    function.split_once("::").map_or(function, |(_, path)| path).to_owned()
}
