//! How calls about keys may end.

use std::collections::BTreeSet;

use custom_key_store::ConnectionState;
use custom_key_store::backend::BackendErrorKind as Kind;
use custom_key_store::backend::software::Method;
use custom_key_store::kms::Exception;

use super::super::fault;
use super::super::op::{KeyEdit, Named, Wrong};
use super::{Expecting, INVALID, NO_KEY, NOT_NOW, Outcome, Ways};

impl Expecting<'_> {
    pub(super) fn edit_key(&self, key: usize, edit: KeyEdit) -> BTreeSet<Outcome> {
        let (since, now) = (self.during.since, self.during.now);
        let mut outcomes: BTreeSet<Outcome> =
            self.rows(key, |row| row.edited(edit, since, now).err()).into_iter().collect();
        // A window that is none is found before or after the key is.
        if matches!(edit, KeyEdit::Schedule(days) if !(7..=30).contains(&days)) && outcomes.contains(&NO_KEY)
        {
            outcomes.insert(Some(Exception::Validation));
        }
        outcomes
    }

    /// Deletion, connection, disabled, in this order.
    pub(super) fn usable(&self, ways: &mut Ways, key: usize) {
        let store = self.view.keys[key].store;
        ways.check(self.rows(key, |row| if row.deletion.is_some() { INVALID } else { None }));
        let connected = Some(ConnectionState::Connected);
        ways.check(self.states(store).map(|state| if state == connected { None } else { INVALID }));
        ways.check(self.rows(key, |row| if row.enabled { None } else { Some(Exception::Disabled) }));
    }

    /// By a disconnect, wherever it is.
    pub(super) fn cut_off(&self, ways: &mut Ways, key: usize) {
        let store = &self.view.stores[self.view.keys[key].store];
        let is_cut_off = store.states.iter().any(|state| *state != Some(ConnectionState::Connected));
        ways.check([None].into_iter().chain((is_cut_off && store.states.len() > 1).then_some(INVALID)));
    }

    pub(super) fn backend(&self, ways: &mut Ways, key: usize, method: Method) {
        self.cut_off(ways, key);
        let key = &self.view.keys[key];
        let store = &self.view.stores[key.store];
        let external = store.is_external();
        let ended = store.settings.iter().flat_map(|settings| self.during.ends(settings.place, method));
        ways.check(ended.map(|met| match met.kind() {
            Ok(Some(())) => None,
            Ok(None) if external || method == Method::Encrypt => INVALID,
            // A cluster is believed.
            Ok(None) => None,
            Err(Kind::InvalidCiphertext) if !external && method == Method::Decrypt => {
                Some(Exception::InvalidCiphertext)
            }
            Err(kind) => Some(fault::of_use(external, kind)),
        }));
        if key.broken {
            ways.refuse(INVALID);
        }
    }

    pub(super) fn encrypt(&self, key: Named, dry: bool) -> BTreeSet<Outcome> {
        let mut ended = BTreeSet::new();
        for key in self.named(key) {
            let mut ways = Ways::new();
            match key {
                None => ways.refuse(NO_KEY),
                Some(key) => {
                    self.cut_off(&mut ways, key);
                    ways.check(self.rows(key, |_| None));
                    self.usable(&mut ways, key);
                    if dry {
                        ways.refuse(Some(Exception::DryRunOperation));
                    }
                    self.backend(&mut ways, key, Method::Encrypt);
                }
            }
            ended.extend(ways.succeed());
        }
        ended
    }

    /// What is found out about a blob without the key manager.
    pub(super) fn blob_checks(&self, ways: &mut Ways, of: usize, wrong: Option<Wrong>, named: Option<Named>) {
        self.cut_off(ways, of);
        if named.is_some_and(|named| self.named(named).iter().any(|key| *key != Some(of))) {
            // Whether the one that was deleted is found to be before, or that another was named, is no promise.
            ways.check(self.rows(of, |_| None).into_iter().chain([None]));
        } else {
            ways.check(self.rows(of, |_| None));
        }
        if let Some(named) = named {
            ways.check(self.named(named).into_iter().flat_map(|key| match key {
                None => vec![NO_KEY],
                Some(key) if key == of => vec![None],
                // One that was deleted is another too.
                Some(key) if self.view.keys[key].rows.contains(&None) => {
                    vec![NO_KEY, Some(Exception::IncorrectKey)]
                }
                Some(_) => vec![Some(Exception::IncorrectKey)],
            }));
        }
        self.usable(ways, of);
        if wrong.is_some() && self.view.stores[self.view.keys[of].store].is_external() {
            ways.refuse(Some(Exception::InvalidCiphertext));
        }
    }

    pub(super) fn decryption(&self, ways: &mut Ways, of: usize, wrong: Option<Wrong>) {
        self.backend(ways, of, Method::Decrypt);
        if wrong.is_some() {
            ways.refuse(Some(Exception::InvalidCiphertext));
        }
    }

    pub(super) fn random(&self, store: usize) -> BTreeSet<Outcome> {
        let of = &self.view.stores[store];
        let mut ways = Ways::new();
        ways.check(self.transition(store, |_| None));
        if of.is_external() {
            ways.refuse(Some(Exception::UnsupportedOperation));
        }
        let connected = Some(ConnectionState::Connected);
        ways.check(self.states(store).map(|state| if state == connected { None } else { NOT_NOW }));
        if of.states.len() > 1 {
            ways.check([None, NOT_NOW]);
        }
        let ended = self.during.ends(of.place(), Method::GenerateRandom);
        ways.check(ended.into_iter().map(|met| match met.kind() {
            Ok(Some(())) => None,
            Ok(None) => Some(Exception::KmsInternal),
            Err(kind) => Some(fault::of_random(kind)),
        }));
        ways.succeed()
    }

    pub(super) fn create_key(&self, store: usize, backing: Option<u8>) -> BTreeSet<Outcome> {
        let of = &self.view.stores[store];
        let external = of.is_external();
        let mut ways = Ways::new();
        ways.check(self.transition(store, |_| None));
        let connected = Some(ConnectionState::Connected);
        ways.check(self.states(store).map(|state| if state == connected { None } else { NOT_NOW }));
        if external != backing.is_some() {
            ways.refuse(Some(Exception::Validation));
        }
        if of.states.len() > 1 {
            ways.check([None, NOT_NOW]);
        }
        let in_use = |ways: &mut Ways| {
            for key in self.view.keys_of(store).filter(|key| external && key.backing == backing) {
                let taken = Some(Exception::XksKeyAlreadyInUse);
                ways.check(key.rows.iter().map(|row| if row.is_some() { taken } else { None }));
            }
            if external && self.view.coming_keys.contains(&(store, backing)) {
                ways.check([None, Some(Exception::XksKeyAlreadyInUse)]);
            }
        };
        in_use(&mut ways);
        let method = if external { Method::DescribeKey } else { Method::GenerateKey };
        let ended = self.during.ends(of.place(), method);
        ways.check(ended.into_iter().map(|met| match met.kind() {
            Ok(Some(())) => None,
            Ok(None) if external => Some(Exception::XksKeyInvalidConfiguration),
            Ok(None) => None,
            Err(kind) => Some(fault::of_create_key(external, kind)),
        }));
        in_use(&mut ways);
        ways.succeed()
    }
}
