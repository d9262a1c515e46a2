use std::any::type_name;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::errand;
use crate::hsm::Hsm;

/// How long a test may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Where the [`Hsm`] is; only processes of one test have it.
const HOME: &str = "CKS_HSM_HOME";
/// The name of the test.
const TEST: &str = "CKS_HSM_TEST";
/// The file that says that the process did what it was started for.
const DONE: &str = "CKS_HSM_DONE";
/// What to do instead of the test.
const ERRAND: &str = "CKS_HSM_ERRAND";

/// Runs the body in a process of its own, with an [`Hsm`] of its own.
///
/// The body must be a closure inside the test's function, whose name is taken from it: the process is this program
/// again, which is told to run that test alone.
///
/// # Panics
///
/// With what the process printed, if it failed, ran another test or none, or took longer than [`LIMIT`].
pub fn alone<B: FnOnce(&Hsm)>(body: B) {
    if let Err(why) = attempt(&enclosing(type_name::<B>()), LIMIT, body) {
        panic!("{why}");
    }
}

/// As [`alone`] does, for the test of this name (`module::name`, without the program's) and with this limit, but says
/// what went wrong.
///
/// In the process of the test this returns when the body has; a panic of the body goes through.
///
/// # Errors
///
/// What went wrong, and what the process printed.
pub fn attempt(name: &str, limit: Duration, body: impl FnOnce(&Hsm)) -> Result<(), String> {
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else {
        let hsm = Hsm::new();
        let output = run(&hsm, name, limit, None)?.1;
        #[expect(clippy::print_stdout, reason = "the output of a test, which its harness captures")]
        {
            print!("{output}");
        }
        return Ok(());
    };
    let hsm = Hsm::at(&home);
    let answer = match std::env::var(ERRAND) {
        Ok(errand) => errand::run(&hsm, &home, &errand),
        Err(_) => {
            let releasing = Releasing(&hsm);
            body(&hsm);
            drop(releasing);
            hsm.shim().settle();
            String::new()
        }
    };
    std::fs::write(std::env::var_os(DONE).unwrap(), answer).unwrap();
    Ok(())
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
    let mut command = Command::new(std::env::current_exe().unwrap());
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
    let status = wait(command.spawn().unwrap(), limit);
    let printed = String::from_utf8_lossy(&std::fs::read(printed).unwrap()).into_owned();
    let told = |why: String| Err(format!("{name}, alone: {why}\n{printed}"));
    match (status, std::fs::read_to_string(done)) {
        (None, _) => told(format!("took longer than {limit:?}, and was killed")),
        (Some(status), _) if !status.success() => told(format!("{status}")),
        (Some(_), Err(_)) => told("no such test ran to its end; is this its name?".to_owned()),
        (Some(_), Ok(answer)) => Ok((answer, printed)),
    }
}

/// Nothing if it had to be killed.
fn wait(mut child: Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `a_test` of `program::module::a_test::{{closure}}`, with its modules.
fn enclosing(closure: &str) -> String {
    let function = closure.split("::{{closure}}").next().unwrap_or(closure);
    function.split_once("::").map_or(function, |(_, path)| path).to_owned()
}

/// Lets go what hangs, also when the test fails: the process could not end otherwise.
struct Releasing<'a>(&'a Hsm);

impl Drop for Releasing<'_> {
    fn drop(&mut self) {
        self.0.shim().release_all();
    }
}
