//! How a call may end, by AWS's documents, in a world of which not everything is known: where it is, that is one way.

mod keys;
mod stores;

use std::collections::BTreeSet;
use std::time::SystemTime;

use custom_key_store::ConnectionState;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::kms::Exception;

use super::fault::{Met, ends};
use super::model::{KeyRow, View};
use super::op::{Call, Named, Place};
use super::world::Asked;
use super::{CALL_TIMEOUT, CONNECT_TIMEOUT};

/// `None` when it succeeds.
pub(super) type Outcome = Option<Exception>;

const INVALID: Outcome = Some(Exception::KmsInvalidState);
const NOT_NOW: Outcome = Some(Exception::CustomKeyStoreInvalidState);
const NO_STORE: Outcome = Some(Exception::CustomKeyStoreNotFound);
const NO_KEY: Outcome = Some(Exception::NotFound);

/// What happened between the first poll of a call and its last.
#[derive(Debug, Clone)]
pub(super) struct While {
    pub(super) since: SystemTime,
    pub(super) now: SystemTime,
    /// The faults that each method of each key manager met, and how often it was called.
    pub(super) asked: Asked,
    /// Something of the catalogue failed, or is late.
    pub(super) trouble: bool,
    /// Time passed second by second, if at all.
    pub(super) stepwise: bool,
    /// All stores are of one key manager.
    pub(super) one_manager: bool,
    /// Which secrets a key manager accepted.
    pub(super) accepted: Vec<BTreeSet<u8>>,
}

impl While {
    pub(super) fn manager(&self, place: Place) -> usize {
        if self.one_manager { 0 } else { place.manager() }
    }

    /// Whether a call of this method met the fault.
    pub(super) fn met(&self, place: Place, method: Method, fault: &Fault) -> bool {
        let asked = self.asked.get(&(self.manager(place), method as u8));
        asked.is_some_and(|(faults, _)| faults.contains(fault))
    }

    /// How a call of this method may have ended.
    fn ends(&self, place: Place, method: Method) -> Vec<Met> {
        let Some((faults, calls)) = self.asked.get(&(self.manager(place), method as u8)) else {
            return vec![Met::Works];
        };
        let limit = if method == Method::Connect { CONNECT_TIMEOUT } else { CALL_TIMEOUT };
        let mut ended: Vec<Met> = faults.iter().flat_map(|fault| ends(fault, limit, self.stepwise)).collect();
        if faults.is_empty() || *calls != 1 {
            ended.push(Met::Works);
        }
        ended
    }
}

/// What a call is judged by.
#[derive(Clone, Copy)]
struct Expecting<'v> {
    view: &'v View,
    during: &'v While,
}

/// The ways of a call, from one check to the next.
struct Ways {
    ended: BTreeSet<Outcome>,
    /// Whether it may have come so far.
    goes_on: bool,
}

impl Ways {
    fn new() -> Self {
        Self { ended: BTreeSet::new(), goes_on: true }
    }

    /// A check, and what it may have come to.
    fn check(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        if !self.goes_on {
            return;
        }
        self.goes_on = false;
        for outcome in outcomes {
            match outcome {
                None => self.goes_on = true,
                ended => drop(self.ended.insert(ended)),
            }
        }
    }

    fn refuse(&mut self, outcome: Outcome) {
        self.check([outcome]);
    }

    /// Whoever came so far succeeds.
    fn succeed(mut self) -> BTreeSet<Outcome> {
        if self.goes_on {
            self.ended.insert(None);
        }
        self.ended
    }
}

pub(super) fn outcomes(call: &Call, view: &View, during: &While) -> BTreeSet<Outcome> {
    let expecting = Expecting { view, during };
    let mut outcomes = match *call {
        Call::Create(settings) => expecting.create(settings),
        Call::Connect(store) => expecting.transition(store, |state| match state {
            ConnectionState::Failed | ConnectionState::Disconnecting => NOT_NOW,
            _ => None,
        }),
        Call::Disconnect(store) => expecting.transition(store, |state| match state {
            ConnectionState::Disconnected | ConnectionState::Disconnecting => NOT_NOW,
            _ => None,
        }),
        Call::Update(store, edit) => expecting.update(store, edit),
        Call::Delete(store) => expecting.delete(store),
        Call::CreateKey(store, backing) => expecting.create_key(store, backing),
        Call::Key(key, edit) => expecting.edit_key(key, edit),
        Call::CreateAlias(alias, key) => {
            let mut ways = Ways::new();
            ways.check(expecting.rows(key, |row| if row.deletion.is_some() { INVALID } else { None }));
            let taken = Some(Exception::AlreadyExists);
            ways.check(expecting.alias(alias).map(|key| if key.is_some() { taken } else { None }));
            ways.succeed()
        }
        Call::UpdateAlias(alias, key) => {
            let mut ways = Ways::new();
            // Where the key is looked up first, and where the alias is, is no promise.
            ways.check(expecting.rows(key, |_| None));
            ways.check(expecting.alias(alias).map(|key| if key.is_some() { None } else { NO_KEY }));
            ways.check(expecting.rows(key, |row| if row.deletion.is_some() { INVALID } else { None }));
            ways.succeed()
        }
        Call::DeleteAlias(alias) => {
            let mut ways = Ways::new();
            ways.check(expecting.alias(alias).map(|key| if key.is_some() { None } else { NO_KEY }));
            ways.succeed()
        }
        Call::Encrypt { key, dry, .. } => expecting.encrypt(key, dry),
        Call::DataKey { key, .. } => expecting.encrypt(key, false),
        // Those need to know which blob: see `outcomes_of_blob`.
        Call::Decrypt { .. } | Call::ReEncrypt { .. } => unreachable!("they are about a blob"),
        Call::Random(None) => BTreeSet::from([None]),
        Call::Random(Some(store)) => expecting.random(store),
    };
    expecting.mishaps(call, &mut outcomes);
    outcomes
}

/// Of a call that is about a blob of this key.
pub(super) fn outcomes_of_blob(call: &Call, of: usize, view: &View, during: &While) -> BTreeSet<Outcome> {
    let expecting = Expecting { view, during };
    let mut ways = Ways::new();
    let mut outcomes = match *call {
        Call::Decrypt { wrong, named, dry, .. } => {
            expecting.blob_checks(&mut ways, of, wrong, named);
            if dry {
                ways.refuse(Some(Exception::DryRunOperation));
            }
            expecting.decryption(&mut ways, of, wrong);
            ways.succeed()
        }
        Call::ReEncrypt { to, .. } => {
            expecting.cut_off(&mut ways, of);
            ways.check(expecting.rows(of, |_| None));
            let mut ended = BTreeSet::new();
            for key in expecting.named(to) {
                let mut ways = Ways { ended: ways.ended.clone(), goes_on: ways.goes_on };
                match key {
                    None => ways.refuse(NO_KEY),
                    Some(to) => {
                        expecting.cut_off(&mut ways, to);
                        // Whether one that was deleted is found to be before the blob is looked at, is no promise.
                        ways.check(expecting.rows(to, |_| None).into_iter().chain([None]));
                        expecting.blob_checks(&mut ways, of, None, None);
                        expecting.usable(&mut ways, to);
                        expecting.decryption(&mut ways, of, None);
                        expecting.backend(&mut ways, to, Method::Encrypt);
                    }
                }
                ended.extend(ways.succeed());
            }
            ended
        }
        _ => unreachable!("it is about no blob"),
    };
    expecting.mishaps(call, &mut outcomes);
    outcomes
}

impl<'v> Expecting<'v> {
    /// What has nothing to do with the call: the catalogue failed, or the end had come.
    fn mishaps(&self, call: &Call, outcomes: &mut BTreeSet<Outcome>) {
        if self.during.trouble {
            outcomes.insert(Some(Exception::KmsInternal));
            // AWS documents no other for operations on custom key stores.
            if !is_about_store(call) {
                outcomes.insert(Some(Exception::DependencyTimeout));
            }
        }
        // Somebody else's change is under way, and takes too long.
        if matches!(call, Call::Update(store, _) | Call::Delete(store) if self.view.stores[*store].busy) {
            outcomes.insert(Some(Exception::KmsInternal));
        }
        let store = match *call {
            Call::Connect(store)
            | Call::Disconnect(store)
            | Call::Update(store, _)
            | Call::CreateKey(store, _) => Some(store),
            _ => None,
        };
        if store.is_some_and(|store| self.view.stores[store].limbo) {
            outcomes.extend([Some(Exception::KmsInternal), NO_STORE]);
        }
        if self.view.ended {
            outcomes.insert(Some(Exception::KmsInternal));
        }
    }

    fn states(&self, store: usize) -> impl Iterator<Item = Option<ConnectionState>> + use<'v> {
        self.view.stores[store].states.iter().copied()
    }

    fn transition(&self, store: usize, of: impl Fn(ConnectionState) -> Outcome) -> BTreeSet<Outcome> {
        self.states(store).map(|state| state.map_or(NO_STORE, &of)).collect()
    }

    fn rows(&self, key: usize, of: impl Fn(&KeyRow) -> Outcome) -> Vec<Outcome> {
        self.view.keys[key].rows.iter().map(|row| row.as_ref().map_or(NO_KEY, &of)).collect()
    }

    fn alias(&self, alias: u8) -> impl Iterator<Item = Option<usize>> + use<'v> {
        self.view.aliases[usize::from(alias)].iter().copied()
    }

    fn named(&self, named: Named) -> Vec<Option<usize>> {
        match named {
            Named::Id(key) | Named::Arn(key) => vec![Some(key)],
            Named::Alias(alias) | Named::AliasArn(alias) => self.alias(alias).collect(),
        }
    }
}

const fn is_about_store(call: &Call) -> bool {
    matches!(
        call,
        Call::Create(_) | Call::Connect(_) | Call::Disconnect(_) | Call::Update(..) | Call::Delete(_)
    )
}
