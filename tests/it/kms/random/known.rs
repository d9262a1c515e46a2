//! What is known while a sequence runs.

use std::collections::BTreeSet;

use custom_key_store::ConnectionState;

use super::call::Blob;
use super::model::{Ghost, View};
use super::moves::Moves;
use super::op::Call;
use super::world::{Calls, World};

pub(super) struct Known {
    /// As it was last seen, and changed by what was acknowledged since.
    pub(super) view: View,
    /// Of each store.
    pub(super) moves: Vec<Moves>,
    pub(super) ghosts: Vec<Ghost>,
    pub(super) blobs: Vec<Blob>,
    /// The call that is awaited at this moment, and those that are kept.
    pub(super) current: Option<Call>,
    pub(super) pending: Vec<Call>,
    /// The states that stores came to since the last step.
    pub(super) passed: Vec<(usize, ConnectionState)>,
    /// How often each key manager was called when events were last taken note of.
    pub(super) calls_noted: Calls,
    /// Stores may share what none may, since one came back that was thought not to be there.
    pub(super) returned: bool,
    /// How often the catalogue had failed when the last step began.
    pub(super) met_before: u64,
    /// A process has just begun, of which it is not known what it finds.
    pub(super) is_new: bool,
    /// What this sequence has led to, so that a test can tell whether its sequences lead anywhere.
    pub(super) seen: BTreeSet<&'static str>,
    /// How many calls could end in one way alone, and how many in several.
    pub(super) foretold: [u64; 2],
}

impl Known {
    pub(super) fn new(world: &World) -> Self {
        Self {
            view: View::new(),
            moves: Vec::new(),
            ghosts: Vec::new(),
            blobs: Vec::new(),
            current: None,
            pending: Vec::new(),
            passed: Vec::new(),
            calls_noted: world.calls(),
            returned: false,
            met_before: 0,
            is_new: false,
            seen: BTreeSet::new(),
            foretold: [0; 2],
        }
    }

    pub(super) fn saw(&mut self, what: &'static str) {
        self.seen.insert(what);
    }

    /// What may be by now: what is known, and what the ghosts may have done to it.
    pub(super) fn haunted(&self, world: &World) -> View {
        let mut view = self.view.clone();
        view.haunt(&self.ghosts, world.now());
        view
    }

    /// Whether the catalogue may have other stores than can be seen, or others of their names.
    pub(super) fn is_uncertain(&self, world: &World) -> bool {
        self.moves.iter().any(|moves| moves.murky)
            || self.view.stores.iter().any(|store| store.limbo)
            || !self.view.phantoms.is_empty()
            || self.ghosts.iter().any(|ghost| self.is_trouble(world, ghost.met))
    }

    /// Nothing that was left alone can take effect any more; but what failed may be in the catalogue all the same.
    pub(super) fn exorcise(&mut self, world: &World) {
        for ghost in std::mem::take(&mut self.ghosts) {
            if !self.is_trouble(world, ghost.met) {
                continue;
            }
            match ghost.call {
                Call::Create(settings) => drop(self.view.phantoms.insert(settings)),
                Call::Delete(store) => self.view.stores[store].limbo |= self.view.stores[store].is_here(),
                Call::Update(store, _) => self.moves[store].murky = true,
                _ => {}
            }
        }
        self.view.coming.clear();
        self.view.coming_keys.clear();
    }
}
