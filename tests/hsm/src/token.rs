use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cryptoki::context::Pkcs11;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::errand::Errand;
use crate::module::{Module, conf};

const PIN: &str = "userpin1";
const SO_PIN: &str = "officer-pin-1";

/// A token, in a directory of its own.
///
/// What changes it from outside, as an operator would, is done by a process of its own: in this one the officer could
/// not log in beside the user. Such methods work only inside [`alone`](crate::alone).
#[derive(Debug)]
pub struct Token {
    home: PathBuf,
    folder: PathBuf,
    label: String,
    pin: Mutex<String>,
}

impl Token {
    pub(crate) fn init(module: Module, home: &Path, label: &str) -> Self {
        let folder = module.init_token(home, label, SO_PIN, PIN);
        std::fs::write(note(home, label), folder.to_str().unwrap()).unwrap();
        Self::at(home, label)
    }

    /// The one that another process made.
    pub(crate) fn at(home: &Path, label: &str) -> Self {
        Self {
            home: home.to_owned(),
            folder: std::fs::read_to_string(note(home, label)).unwrap().into(),
            label: label.to_owned(),
            pin: Mutex::new(PIN.to_owned()),
        }
    }

    /// Its label, by which it is told from others.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The user's PIN, as it is now.
    #[must_use]
    pub fn pin(&self) -> String {
        self.pin.lock().unwrap().clone()
    }

    /// The officer's PIN.
    #[must_use]
    pub const fn so_pin(&self) -> &'static str {
        SO_PIN
    }

    /// The module's configuration, which all tokens of an [`Hsm`](crate::Hsm) share.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        conf(&self.home)
    }

    /// The directory that is the token.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The slot that it is in.
    #[must_use]
    pub fn slot(&self, context: &Pkcs11) -> Slot {
        let slots = context.get_slots_with_initialized_token().unwrap();
        let is_this = |slot: &Slot| context.get_token_info(*slot).unwrap().label() == self.label;
        let found: Vec<Slot> = slots.into_iter().filter(is_this).collect();
        let [slot] = found.as_slice() else { panic!("{} slots have a token '{}'", found.len(), self.label) };
        *slot
    }

    /// A session of the user, who is logged in with it.
    #[must_use]
    pub fn session(&self, context: &Pkcs11) -> Session {
        let session = context.open_rw_session(self.slot(context)).unwrap();
        session.login(UserType::User, Some(&AuthPin::from(self.pin()))).unwrap();
        session
    }

    /// Takes the token away, with all its keys, from under whoever uses it.
    ///
    /// SoftHSM has no card to pull: in a process that has initialized it the slot stays, the session is logged in as
    /// before and finds nothing. `C_GetTokenInfo` fails with `CKR_GENERAL_ERROR`, and so does what makes a key. Where it
    /// is initialized afterwards, there is no such token.
    pub fn remove(&self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// Takes the token away as [`remove`](Self::remove) does, until it is [put back](Self::put_back).
    pub fn take_away(&self) {
        std::fs::rename(&self.folder, self.aside()).unwrap();
    }

    /// Puts the token back where it was taken from, as it was.
    pub fn put_back(&self) {
        std::fs::rename(self.aside(), &self.folder).unwrap();
    }

    fn aside(&self) -> PathBuf {
        self.home.join(format!("{}.aside", self.label))
    }

    /// The officer gives the user another PIN.
    ///
    /// A process that has initialized SoftHSM goes on with the old PIN until it initializes it anew; there use
    /// [`Self::set_pin_here`]. Kryoptic takes the new one at once.
    pub fn set_pin_as_officer(&self, pin: &str) {
        let errand = Errand::SetPin { so_pin: SO_PIN.to_owned(), pin: pin.to_owned() };
        errand.send(&self.home, &self.label);
        pin.clone_into(&mut self.pin.lock().unwrap());
    }

    /// The officer gives the user another PIN in this process, where nobody may be logged in and no session be read-only.
    pub fn set_pin_here(&self, context: &Pkcs11, pin: &str) {
        let session = context.open_rw_session(self.slot(context)).unwrap();
        session.login(UserType::So, Some(&AuthPin::from(SO_PIN.to_owned()))).unwrap();
        session.init_pin(&AuthPin::from(pin.to_owned())).unwrap();
        session.logout().unwrap();
        pin.clone_into(&mut self.pin.lock().unwrap());
    }

    /// Whether somebody else can log in with this PIN.
    #[must_use]
    pub fn accepts(&self, pin: &str) -> bool {
        Errand::Try { pin: pin.to_owned() }.send(&self.home, &self.label) == "accepted"
    }

    /// Somebody else makes an AES key, of which everything else is as it should be.
    pub fn plant_key(&self, label: &str, id: &[u8], bits: u64) {
        self.plant_odd_key(label, id, bits, &[]);
    }

    /// Somebody else makes an AES key that is not as it should be.
    pub fn plant_odd_key(&self, label: &str, id: &[u8], bits: u64, traits: &[Trait]) {
        let (label, id, traits) = (label.to_owned(), id.to_vec(), traits.to_vec());
        Errand::Plant { pin: self.pin(), label, id, bits, traits }.send(&self.home, &self.label);
    }

    /// Somebody else plants an AES key of this value, as the vendor's tools copy one from another token.
    pub fn plant_value(&self, label: &str, id: &[u8], value: &[u8]) {
        let (label, id, value) = (label.to_owned(), id.to_vec(), value.to_vec());
        Errand::PlantValue { pin: self.pin(), label, id, value }.send(&self.home, &self.label);
    }

    /// Somebody else destroys all keys with this id, and there must be one.
    pub fn destroy_key(&self, id: &[u8]) {
        Errand::Destroy { pin: self.pin(), id: id.to_vec() }.send(&self.home, &self.label);
    }

    /// The secret keys that somebody else finds on it, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<Found> {
        let answer = Errand::List { pin: self.pin() }.send(&self.home, &self.label);
        answer.lines().map(Found::parse).collect()
    }
}

/// In what a key differs from the usual: private, sensitive, never extractable, for encryption and decryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "nobody outside this workspace uses it")]
pub enum Trait {
    /// `CKA_ENCRYPT` is false.
    CannotEncrypt,
    /// `CKA_DECRYPT` is false.
    CannotDecrypt,
    /// `CKA_EXTRACTABLE` is true.
    Extractable,
    /// `CKA_SENSITIVE` is false.
    NotSensitive,
    /// `CKA_PRIVATE` is false: who is not logged in sees it.
    Public,
    /// It is no AES key, but a generic secret of as many bits.
    Generic,
}

impl Trait {
    pub(crate) const ALL: [Self; 6] = [
        Self::CannotEncrypt,
        Self::CannotDecrypt,
        Self::Extractable,
        Self::NotSensitive,
        Self::Public,
        Self::Generic,
    ];
}

/// A key that is on a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "nobody outside this workspace uses it")]
pub struct Found {
    /// `CKA_LABEL`.
    pub label: String,
    /// `CKA_ID`.
    pub id: Vec<u8>,
}

impl Found {
    pub(crate) fn print(&self) -> String {
        format!("{} {}", hex(&self.id), self.label)
    }

    fn parse(line: &str) -> Self {
        let (id, label) = line.split_once(' ').unwrap();
        Self { label: label.to_owned(), id: unhex(id) }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Where is written which folder has the token of this label.
fn note(home: &Path, label: &str) -> PathBuf {
    home.join(format!("{label}.token"))
}
