//! The programs under `tests/ui`, made from the table.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs};

use custom_key_store::ConnectionState;

use crate::table::{AWAIT, METHODS, PROPERTIES, Property, Receiver, Row, STATES};

/// A program, by its path under `tests/ui`.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: String,
    pub(crate) text: String,
    /// What the compiler is to say, in the order of the lines; nothing, if it is a legal program.
    pub(crate) complaints: Vec<Complaint>,
}

/// An error that the compiler is to report.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) line: usize,
    /// Each of these is in the error's text.
    pub(crate) says: Vec<String>,
}

/// Fail programs that no table could make.
pub(crate) const WRITTEN_BY_HAND: &[&str] = &["fail/foreign_state.rs"];

/// Pairs of names that the compiler takes for a slip of the pen: where the second exists, it proposes that instead
/// of saying where the first does.
const RESEMBLING: &[(&str, &str)] = &[
    ("connect", "disconnect"),
    ("disconnect", "connect"),
    ("disconnect_report", "disconnect"),
    ("disconnect_within", "disconnect"),
];

/// The directory of the programs.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

/// Every program that comes from the table.
pub(crate) fn generated() -> Vec<Program> {
    let mut programs: Vec<_> = STATES.into_iter().flat_map(|state| [illegal(state), legal(state)]).collect();
    programs.extend([after_transition(), dropped_transition()]);
    programs
}

/// Compares the programs with the table once, or writes them if `UPDATE_UI` is set.
pub(crate) fn check_or_update() -> Result<(), String> {
    static OUTCOME: OnceLock<Result<(), String>> = OnceLock::new();
    OUTCOME
        .get_or_init(|| {
            let stale: Vec<_> = generated().into_iter().filter(is_stale).collect();
            if env::var_os("UPDATE_UI").is_some() {
                return stale.iter().try_for_each(write);
            }
            let paths: Vec<_> = stale.into_iter().map(|program| program.path).collect();
            if paths.is_empty() {
                return Ok(());
            }
            Err(format!(
                "not what src/table.rs says: {}\nwrite them anew, and their snapshots, with\n    \
                 UPDATE_UI=1 TRYBUILD=overwrite cargo test -p custom-key-store-compile-fail\n\
                 and read the difference before you commit it",
                paths.join(", ")
            ))
        })
        .clone()
}

fn is_stale(program: &Program) -> bool {
    fs::read_to_string(directory().join(&program.path)).ok().as_deref() != Some(&program.text)
}

fn write(program: &Program) -> Result<(), String> {
    let path = directory().join(&program.path);
    fs::write(&path, &program.text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A program under construction.
#[derive(Debug, Default)]
struct Draft {
    text: String,
    complaints: Vec<Complaint>,
}

impl Draft {
    fn new(about: &str) -> Self {
        let mut draft = Self::default();
        draft.line(&format!("//! {about}"));
        draft.line("//!");
        draft.line("//! Made from src/table.rs: edit that, and see the README.");
        draft.line("#![allow(unused_imports, unused_mut, reason = \"every program begins alike\")]");
        draft.line("");
        draft.line("use std::time::Duration;");
        draft.line("");
        draft.line("use custom_key_store::backend::*;");
        draft.line("use custom_key_store::*;");
        draft.line("use custom_key_store_compile_fail::fixtures::*;");
        draft
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A line that the compiler is to refuse.
    fn illegal_line(&mut self, line: &str, says: Vec<String>) {
        self.line(line);
        self.complaints.push(Complaint { line: self.text.lines().count(), says });
    }

    fn finish(self, directory: &str, name: &str) -> Program {
        let Self { text, complaints } = self;
        Program { path: format!("{directory}/{name}.rs"), text, complaints }
    }
}

/// A function with a store of its own for each way to take one.
fn for_each_transition(mut draft: Draft, mut body: impl FnMut(&mut Draft, &Row, ConnectionState)) -> Draft {
    for row in METHODS.iter().filter(|row| row.receiver == Receiver::Taken) {
        for state in STATES.into_iter().filter(|state| row.is_legal(*state)) {
            draft.line("");
            let name = format!("{}_while_{}", row.method, lower(state));
            draft.line(&format!("async fn {name}(store: KeyStore<{state:?}>) {{"));
            body(&mut draft, row, state);
            draft.line("}");
        }
    }
    draft.line("");
    draft.line("fn main() {}");
    draft
}

fn illegal(state: ConnectionState) -> Program {
    let mut draft = Draft::new(&format!("Everything that must not compile while a store is `{state:?}`."));
    draft.line("");
    draft.line(&format!("async fn illegal(mut store: KeyStore<{state:?}>) {{"));
    for row in METHODS.iter().filter(|row| !row.is_legal(state)) {
        draft.illegal_line(&format!("    {};", row.call(state)), refusal(row, state));
    }
    if state == ConnectionState::Connected {
        for property in PROPERTIES.iter().filter(|property| !property.live) {
            let Property { name, arguments, .. } = property;
            let says = vec![
                "error[E0599]".into(),
                format!("no method named `{name}` found for struct `custom_key_store::backend::LiveChange`"),
            ];
            let call = format!("    store.update(LiveChange::new().{name}({arguments})).await;");
            draft.illegal_line(&call, says);
        }
    }
    draft.line("}");
    draft.line("");
    draft.line("fn main() {}");
    draft.finish("fail", &lower(state))
}

/// What the compiler is to say of an illegal call.
///
/// It writes paths in full here, as trybuild has it verbose; elsewhere it writes `KeyStore<Connected>`.
fn refusal(row: &Row, state: ConnectionState) -> Vec<String> {
    let method = row.method;
    let store = |state| format!("`custom_key_store::KeyStore<custom_key_store::{state:?}>`");
    if method == AWAIT {
        return vec!["error[E0277]".into(), format!("{} is not a future", store(state))];
    }
    if exists(method, state) {
        // Its argument is of another type: the one that the call has which is legal here.
        return vec!["error[E0308]".into(), "expected `".into(), "Change`, found `".into()];
    }
    let mut says = vec!["error[E0599]".into(), format!("named `{method}` found for struct {}", store(state))];
    match RESEMBLING.iter().find(|(name, other)| *name == method && exists(other, state)) {
        Some((_, other)) => says.push(format!("there is a method `{other}` with a similar name")),
        None => {
            says.push("was found for".into());
            let states = STATES.into_iter().filter(|state| exists(method, *state));
            says.extend(states.map(|state| format!("- {}", store(state))));
        }
    }
    says
}

/// Whether a store has a method of this name, whatever its arguments.
fn exists(method: &str, state: ConnectionState) -> bool {
    METHODS.iter().any(|row| row.method == method && row.is_legal(state))
}

fn legal(state: ConnectionState) -> Program {
    let mut draft = Draft::new(&format!("Everything that a store can do while it is `{state:?}`."));
    draft.line("");
    draft.line("fn main() {");
    draft.line("    futures::executor::block_on(async {");
    for row in METHODS {
        let Some(check) = row.check(state) else { continue };
        draft.line("        {");
        if row.receiver != Receiver::Absent {
            draft.line(&format!("            let mut store = {}().await;", lower(state)));
        }
        draft.line(&format!("            let outcome = {};", row.call(state)));
        draft.line(&format!("            {};", check.replace("{state}", &format!("{state:?}"))));
        draft.line("        }");
    }
    let (change, live_only) = match state {
        ConnectionState::Disconnected => ("Change", false),
        ConnectionState::Connected => ("LiveChange", true),
        ConnectionState::Connecting | ConnectionState::Disconnecting | ConnectionState::Failed => ("", false),
    };
    if !change.is_empty() {
        for Property { name, arguments, .. } in
            PROPERTIES.iter().filter(|property| property.live || !live_only)
        {
            draft.line(&format!("        assert_ne!({change}::new().{name}({arguments}), {change}::new());"));
        }
    }
    draft.line("    });");
    draft.line("}");
    draft.finish("pass", &lower(state))
}

fn after_transition() -> Program {
    let draft = Draft::new("A transition takes the store: what it was is gone.");
    let draft = for_each_transition(draft, |draft, row, state| {
        // In a block of its own, or the compiler shows the standard library's source, where that is installed.
        let call = row.call(state);
        let call = if row.method == AWAIT { format!("async move {{ {call} }}") } else { call };
        draft.line(&format!("    let _next = {call};"));
        let says = vec!["error[E0382]".into(), "borrow of moved value: `store`".into()];
        draft.illegal_line("    store.id();", says);
    });
    draft.finish("fail", "after_transition")
}

fn dropped_transition() -> Program {
    let mut draft = Draft::new("A transition that nobody waits for would take the store with it.");
    draft.text = draft.text.replacen("#![allow", "#![deny(unused_must_use)]\n#![allow", 1);
    let draft = for_each_transition(draft, |draft, row, state| {
        let call = format!("    {};", row.call(state));
        if row.method == AWAIT && state == ConnectionState::Disconnecting {
            // A disconnected store is at rest, and can be dropped.
            draft.line(&call);
        } else {
            draft.illegal_line(&call, vec!["error: unused ".into(), "that must be used".into()]);
        }
    });
    draft.finish("fail", "dropped_transition")
}

fn lower(state: ConnectionState) -> String {
    format!("{state:?}").to_ascii_lowercase()
}
