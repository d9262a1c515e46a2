//! How stores move: by the events, each of which must be a legal move that somebody made or that a key manager explains.

use std::collections::BTreeSet;

use custom_key_store::ConnectionState::{self, Connected, Connecting, Disconnected, Disconnecting, Failed};
use custom_key_store::backend::ConnectionErrorCode;
use custom_key_store::backend::software::Method;
use custom_key_store::kms::ConnectionEvent;
use futures::{FutureExt as _, StreamExt as _};

use super::CONNECT_TIMEOUT;
use super::fault::{Met, ends};
use super::known::Known;
use super::model::Kept;
use super::op::{Call, Place};
use super::world::{Calls, World};

/// What is known of the moves of a store.
#[derive(Debug, Clone, Default)]
pub(super) struct Moves {
    /// What a restart may find.
    pub(super) kept: BTreeSet<Kept>,
    /// How often the catalogue had failed when the last move began.
    pub(super) met: u64,
    pub(super) attempt: Option<Attempt>,
    /// The catalogue may have other settings than the store has.
    pub(super) murky: bool,
    /// A connection that an update replaced may be there still, as a call was using it: until the store disconnects.
    pub(super) lingers: bool,
}

/// An attempt to connect under way.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) before: Calls,
    pub(super) place: Place,
    /// What it may show, and what was accepted meanwhile.
    pub(super) secrets: BTreeSet<u8>,
    pub(super) accepted: BTreeSet<u8>,
    /// Made by a restart, and made again while the cause may pass.
    pub(super) resumed: bool,
}

impl Known {
    /// Takes note of the events that there are.
    pub(super) fn note(&mut self, world: &mut World) {
        while let Some(Some(event)) = self.next_event(world) {
            self.moved(world, &event);
        }
        self.calls_noted = world.calls();
    }

    fn next_event(&self, world: &mut World) -> Option<Option<ConnectionEvent>> {
        world.process.as_mut()?.events.next().now_or_never()
    }

    fn moved(&mut self, world: &World, event: &ConnectionEvent) {
        let ConnectionEvent { store, from, to, code, time, missed, .. } = event;
        let index = self.view.store_of(store).unwrap();
        assert_eq!((*missed, *time), (0, world.now()), "{event:?}");
        assert_eq!(self.view.stores[index].state(), Some(*from), "{event:?}");
        if (*from, *to) == (Connecting, Connecting) {
            let attempt = self.moves[index].attempt.as_ref();
            assert!(attempt.is_some_and(|attempt| attempt.resumed), "{event:?}: it is tried once");
            assert!(code.is_some_and(ConnectionErrorCode::is_transient), "{event:?}: it does not pass");
            return;
        }
        assert_eq!(code.is_some(), *to == Failed, "{event:?}");
        self.passed.push((index, *to));
        self.view.stores[index].states = BTreeSet::from([Some(*to)]);
        match (from, to) {
            (Disconnected, Connecting) => {
                assert!(
                    self.is_caused(|call| *call == Call::Connect(index)),
                    "{event:?}: nobody asked for it"
                );
                let attempt = self.attempt(world, index, self.calls_noted.clone(), false);
                let moves = &mut self.moves[index];
                moves.met = self.met_before;
                moves.kept.insert(Kept::Connected);
                moves.attempt = Some(attempt);
            }
            (Connecting, Connected) => {
                let attempt = self.moves[index].attempt.take().unwrap();
                self.check_connected(world, index, &attempt);
                self.moves[index].kept = BTreeSet::from([Kept::Connected]);
                self.saw("connected");
            }
            (Connecting, Failed) => {
                let attempt = self.moves[index].attempt.take().unwrap();
                let code = code.unwrap();
                self.check_failed(world, index, &attempt, code);
                let trouble = self.is_trouble(world, self.moves[index].met);
                let kept = &mut self.moves[index].kept;
                if !trouble {
                    kept.clear();
                }
                kept.insert(Kept::Failed(code));
                self.saw(if attempt.resumed { "failed after a restart" } else { "failed" });
            }
            (Connecting | Connected | Failed, Disconnecting) => {
                assert!(
                    self.is_caused(|call| *call == Call::Disconnect(index)),
                    "{event:?}: nobody asked for it"
                );
                self.break_off(world, index);
                let moves = &mut self.moves[index];
                moves.met = self.met_before;
                moves.kept.insert(Kept::Disconnected);
                moves.lingers = false;
            }
            (Disconnecting, Disconnected) => {
                if !self.is_trouble(world, self.moves[index].met) {
                    self.moves[index].kept.clear();
                }
                self.moves[index].kept.insert(Kept::Disconnected);
                self.saw("disconnected");
            }
            _ => panic!("no legal move: {event:?}"),
        }
    }

    /// The attempt of a store that connects now.
    pub(super) fn attempt(&self, world: &World, store: usize, before: Calls, resumed: bool) -> Attempt {
        let of = &self.view.stores[store];
        let place = of.place();
        Attempt {
            before,
            place,
            secrets: of.settings.iter().map(|settings| settings.secret).collect(),
            accepted: BTreeSet::from([world.accepted[world.manager(place)]]),
            resumed,
        }
    }

    fn is_caused(&self, by: impl Fn(&Call) -> bool) -> bool {
        self.current.iter().chain(&self.pending).chain(self.ghosts.iter().map(|ghost| &ghost.call)).any(by)
    }

    /// How an attempt may have ended at its key manager.
    fn ends_of(world: &World, attempt: &Attempt) -> Vec<Met> {
        let manager = world.manager(attempt.place);
        let (faults, calls) = world.asked_since(&attempt.before, manager, Method::Connect);
        let mut ended: Vec<Met> =
            faults.iter().flat_map(|fault| ends(fault, CONNECT_TIMEOUT, false)).collect();
        if faults.is_empty() || calls != 1 {
            ended.push(Met::Works);
        }
        ended
    }

    fn check_connected(&self, world: &World, store: usize, attempt: &Attempt) {
        let ended = Self::ends_of(world, attempt);
        assert!(ended.contains(&Met::Works), "store {store} connected although {ended:?}");
        let accepted = attempt.secrets.intersection(&attempt.accepted).next().is_some();
        assert!(accepted, "store {store} connected with a secret that nobody accepts: {attempt:?}");
    }

    /// An attempt that nobody heard the end of may be known to have failed.
    pub(super) fn break_off(&mut self, world: &World, store: usize) {
        if let Some(attempt) = self.moves[store].attempt.take() {
            let codes = self.codes(world, store, &attempt);
            self.moves[store].kept.extend(codes.into_iter().map(Kept::Failed));
        }
    }

    fn check_failed(&self, world: &World, store: usize, attempt: &Attempt, code: ConnectionErrorCode) {
        let codes = self.codes(world, store, attempt);
        assert!(codes.contains(&code), "store {store} failed with {code}, not one of {codes:?}");
        assert!(!attempt.resumed || !code.is_transient(), "store {store} gave up although {code} may pass");
    }

    /// With which it may have failed.
    fn codes(&self, world: &World, store: usize, attempt: &Attempt) -> BTreeSet<ConnectionErrorCode> {
        let external = attempt.place.is_external();
        let ended = Self::ends_of(world, attempt).into_iter();
        let mut codes: BTreeSet<_> = ended.filter_map(|met| met.code(external)).collect();
        if attempt.secrets.iter().any(|secret| attempt.accepted.iter().any(|accepted| accepted != secret)) {
            codes.insert(ConnectionErrorCode::InvalidCredentials);
        }
        let unrecorded = self.is_trouble(world, self.moves[store].met) || self.view.stores[store].limbo;
        if unrecorded && !attempt.resumed {
            codes.insert(ConnectionErrorCode::InternalError);
        }
        codes
    }

    /// Whether something of the catalogue failed since, or is late.
    pub(super) fn is_trouble(&self, world: &World, met: u64) -> bool {
        world.catalogue.met() > met || world.catalogue.is_behind()
    }

    /// The key manager accepts another secret.
    pub(super) fn accepts(&mut self, world: &World, manager: usize, secret: u8) {
        for attempt in self.moves.iter_mut().filter_map(|moves| moves.attempt.as_mut()) {
            if world.one_manager || world.manager(attempt.place) == manager {
                attempt.accepted.insert(secret);
            }
        }
    }
}

/// What a restart makes of what may be kept.
pub(super) fn after_restart(kept: &BTreeSet<Kept>) -> BTreeSet<Option<ConnectionState>> {
    kept.iter().map(|kept| Some(kept.after_restart())).collect()
}
