//! What is known of a whole `Kms`, and what is possible: of everything a set of values, which is of one value unless
//! something was dropped, is under way, or failed in a way that leaves it open.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use custom_key_store::backend::ConnectionErrorCode;
use custom_key_store::kms::Exception;
use custom_key_store::{ConnectionState, KeyId, KeyMetadata, KeyState, StoreId};

use super::op::{ALIASES, Call, Edit, KeyEdit, Place, Settings, TAGS};

/// What may be seen at one moment, or over a while.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) stores: Vec<StoreView>,
    pub(super) keys: Vec<KeyView>,
    /// The keys that each stands for, or none.
    pub(super) aliases: Vec<BTreeSet<Option<usize>>>,
    /// Stores that may be in the catalogue, and may come, although the call that was to create them failed.
    pub(super) phantoms: BTreeSet<Settings>,
    /// Stores and keys that somebody may be creating, without anything to be seen of them yet.
    pub(super) coming: BTreeSet<Settings>,
    pub(super) coming_keys: BTreeSet<(usize, Option<u8>)>,
    /// Whether there was no driver, or it was at its end.
    pub(super) ended: bool,
}

#[derive(Debug, Clone)]
pub(super) struct StoreView {
    pub(super) id: StoreId,
    /// `None` where it is not there.
    pub(super) states: BTreeSet<Option<ConnectionState>>,
    /// As it is, and as it may be kept.
    pub(super) settings: BTreeSet<Settings>,
    pub(super) stored: BTreeSet<Settings>,
    /// What an update may have claimed for it that has not ended.
    pub(super) claimed: BTreeSet<Settings>,
    /// Somebody may be changing it.
    pub(super) busy: bool,
    /// It is there, but perhaps not in the catalogue any more.
    pub(super) limbo: bool,
}

#[derive(Debug, Clone)]
pub(super) struct KeyView {
    pub(super) id: KeyId,
    pub(super) store: usize,
    pub(super) backing: Option<u8>,
    /// It rests on a key of the cluster that does not exist.
    pub(super) broken: bool,
    /// `None` where it is not there.
    pub(super) rows: BTreeSet<Option<KeyRow>>,
}

/// A key, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyRow {
    pub(super) enabled: bool,
    pub(super) deletion: Option<Due>,
    pub(super) text: u8,
    pub(super) tags: [Option<u8>; TAGS as usize],
}

/// When a key is to be deleted: at a moment that is known only when it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
}

/// A call that may take effect, or may have taken effect, since nobody waited for its end, or its end said nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ghost {
    pub(super) call: Call,
    pub(super) since: SystemTime,
    /// How often the catalogue had failed before.
    pub(super) met: u64,
}

/// What a restart makes of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    Disconnected,
    Connected,
    Failed(ConnectionErrorCode),
}

impl Kept {
    pub(super) const fn after_restart(self) -> ConnectionState {
        match self {
            Self::Disconnected => ConnectionState::Disconnected,
            Self::Connected => ConnectionState::Connecting,
            Self::Failed(_) => ConnectionState::Failed,
        }
    }
}

impl KeyRow {
    pub(super) const fn new() -> Self {
        Self { enabled: true, deletion: None, text: 0, tags: [None; TAGS as usize] }
    }

    /// The rule: what is written down, and `Unavailable` over it while the store is not connected.
    pub(super) fn state(self, connected: bool) -> KeyState {
        match self {
            Self { deletion: Some(_), .. } => KeyState::PendingDeletion,
            _ if !connected => KeyState::Unavailable,
            Self { enabled: true, .. } => KeyState::Enabled,
            Self { enabled: false, .. } => KeyState::Disabled,
        }
    }

    /// What becomes of it, by a call between two moments.
    pub(super) fn edited(
        mut self,
        edit: KeyEdit,
        since: SystemTime,
        now: SystemTime,
    ) -> Result<Self, Exception> {
        if let KeyEdit::Schedule(days) = edit
            && !(7..=30).contains(&days)
        {
            return Err(Exception::Validation);
        }
        match edit {
            KeyEdit::Cancel => {
                self.deletion.take().ok_or(Exception::KmsInvalidState)?;
            }
            _ if self.deletion.is_some() => return Err(Exception::KmsInvalidState),
            KeyEdit::Enable => self.enabled = true,
            KeyEdit::Disable => self.enabled = false,
            KeyEdit::Schedule(days) => {
                let window = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
                self.deletion = Some(Due { from: since + window, to: now + window });
                self.enabled = false;
            }
            KeyEdit::Describe(text) => self.text = text,
            KeyEdit::Tag(tag, value) => self.tags[usize::from(tag)] = Some(value),
            KeyEdit::Untag(tag) => self.tags[usize::from(tag)] = None,
        }
        Ok(self)
    }

    /// Whether this is what was seen; with the moment at which it is to be deleted, as that shows it.
    pub(super) fn seen(
        mut self,
        connected: bool,
        seen: &KeyMetadata,
        tags: [Option<u8>; TAGS as usize],
    ) -> Option<Self> {
        if let (Some(due), Some(date)) = (&mut self.deletion, seen.deletion_date) {
            if date < due.from || date > due.to {
                return None;
            }
            (due.from, due.to) = (date, date);
        }
        let same = self.state(connected) == seen.key_state
            && self.deletion.is_some() == seen.deletion_date.is_some()
            && super::text(self.text) == seen.description
            && self.tags == tags;
        same.then_some(self)
    }
}

impl StoreView {
    /// The one state that it is in; where it is not known, it is not looked at.
    pub(super) fn state(&self) -> Option<ConnectionState> {
        assert_eq!(self.states.len(), 1, "looked at while it is not known");
        self.states.first().copied().flatten()
    }

    pub(super) fn is_here(&self) -> bool {
        self.states.iter().any(Option::is_some)
    }

    /// Of which type it is, which never changes.
    pub(super) fn place(&self) -> Place {
        self.settings.first().unwrap().place
    }

    pub(super) fn is_external(&self) -> bool {
        self.place().is_external()
    }
}

impl KeyView {
    pub(super) fn may_exist(&self) -> bool {
        self.rows.iter().any(Option::is_some)
    }
}

impl View {
    pub(super) fn new() -> Self {
        Self {
            stores: Vec::new(),
            keys: Vec::new(),
            aliases: vec![BTreeSet::from([None]); usize::from(ALIASES)],
            phantoms: BTreeSet::new(),
            coming: BTreeSet::new(),
            coming_keys: BTreeSet::new(),
            ended: false,
        }
    }

    /// What is possible over a while in which both were.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { stores, keys, aliases, phantoms, coming, coming_keys, ended } = other;
        for (index, store) in stores.iter().enumerate() {
            match self.stores.get_mut(index) {
                Some(ours) => {
                    ours.states.extend(&store.states);
                    ours.settings.extend(&store.settings);
                    ours.stored.extend(&store.stored);
                    ours.claimed.extend(&store.claimed);
                    ours.busy |= store.busy;
                    ours.limbo |= store.limbo;
                }
                None => {
                    let mut states = store.states.clone();
                    states.insert(None);
                    self.stores.push(StoreView { states, ..store.clone() });
                }
            }
        }
        for (index, key) in keys.iter().enumerate() {
            match self.keys.get_mut(index) {
                Some(ours) => ours.rows.extend(&key.rows),
                None => {
                    let mut rows = key.rows.clone();
                    rows.insert(None);
                    self.keys.push(KeyView { rows, ..key.clone() });
                }
            }
        }
        for (ours, theirs) in self.aliases.iter_mut().zip(aliases) {
            ours.extend(theirs);
        }
        self.phantoms.extend(phantoms);
        self.coming.extend(coming);
        self.coming_keys.extend(coming_keys);
        self.ended |= ended;
    }

    /// Adds what the ghosts may have done already, and nobody can see.
    pub(super) fn haunt_unseen(&mut self, ghosts: &[Ghost]) {
        for ghost in ghosts {
            match ghost.call {
                Call::Create(settings) => drop(self.coming.insert(settings)),
                Call::CreateKey(store, backing) => drop(self.coming_keys.insert((store, backing))),
                Call::Delete(store) => {
                    let store = &mut self.stores[store];
                    (store.limbo, store.busy) = (true, true);
                }
                Call::Update(store, edit) if edit.fits(self.stores[store].is_external()) => {
                    let store = &mut self.stores[store];
                    store.busy = true;
                    store.stored.extend(edited(&store.stored, edit));
                    store.claimed.extend(edited(&store.settings, edit));
                    store.claimed.extend(edited(&store.claimed, edit));
                }
                _ => {}
            }
        }
    }

    /// Adds what the ghosts may have done by now, in whatever order; and what the driver may have deleted.
    pub(super) fn haunt(&mut self, ghosts: &[Ghost], now: SystemTime) {
        loop {
            let before = self.size();
            self.haunt_unseen(ghosts);
            for ghost in ghosts {
                self.haunt_by(ghost, now);
            }
            self.reap(now);
            self.settle();
            if self.size() == before {
                return;
            }
        }
    }

    fn haunt_by(&mut self, ghost: &Ghost, now: SystemTime) {
        match ghost.call {
            Call::Key(key, edit) => {
                let rows = &mut self.keys[key].rows;
                let edited = rows.iter().flatten().filter_map(|row| row.edited(edit, ghost.since, now).ok());
                let edited: Vec<_> = edited.map(Some).collect();
                rows.extend(edited);
            }
            Call::CreateAlias(alias, key) => self.haunt_alias(alias, key, |alias| alias.is_none()),
            Call::UpdateAlias(alias, key) => self.haunt_alias(alias, key, |alias| alias.is_some()),
            Call::DeleteAlias(alias) => {
                self.aliases[usize::from(alias)].insert(None);
            }
            Call::Update(store, edit) if edit.fits(self.stores[store].is_external()) => {
                let store = &mut self.stores[store];
                store.settings.extend(edited(&store.settings, edit));
            }
            Call::Connect(store) => self.haunt_state(store, |state| match state {
                ConnectionState::Disconnected => Some(Some(ConnectionState::Connecting)),
                _ => None,
            }),
            Call::Disconnect(store) => self.haunt_state(store, |state| match state {
                ConnectionState::Disconnected | ConnectionState::Disconnecting => None,
                _ => Some(Some(ConnectionState::Disconnecting)),
            }),
            Call::Delete(store) => self.haunt_state(store, |state| match state {
                ConnectionState::Disconnected => Some(None),
                _ => None,
            }),
            _ => {}
        }
    }

    fn haunt_state(&mut self, store: usize, to: impl Fn(ConnectionState) -> Option<Option<ConnectionState>>) {
        let states = &mut self.stores[store].states;
        let moved: Vec<_> = states.iter().flatten().copied().filter_map(to).collect();
        states.extend(moved);
    }

    /// What is under way comes to its end.
    fn settle(&mut self) {
        for store in &mut self.stores {
            if store.states.contains(&Some(ConnectionState::Connecting)) {
                store.states.insert(Some(ConnectionState::Connected));
                store.states.insert(Some(ConnectionState::Failed));
            }
            if store.states.contains(&Some(ConnectionState::Disconnecting)) {
                store.states.insert(Some(ConnectionState::Disconnected));
            }
        }
    }

    fn haunt_alias(&mut self, alias: u8, key: usize, from: impl Fn(&Option<usize>) -> bool) {
        let aliases = &mut self.aliases[usize::from(alias)];
        // Before its deletion was scheduled, it may be.
        if self.keys[key].may_exist() && aliases.iter().any(from) {
            aliases.insert(Some(key));
        }
    }

    fn reap(&mut self, now: SystemTime) {
        for (index, key) in self.keys.iter_mut().enumerate() {
            let is_due =
                |row: &Option<KeyRow>| row.is_some_and(|row| row.deletion.is_some_and(|due| due.from <= now));
            if key.rows.iter().any(is_due) {
                key.rows.insert(None);
            }
            if key.rows.contains(&None) {
                for alias in self.aliases.iter_mut().filter(|alias| alias.contains(&Some(index))) {
                    alias.insert(None);
                }
            }
        }
    }

    fn size(&self) -> usize {
        let of = |store: &StoreView| {
            store.states.len() + store.settings.len() + store.stored.len() + store.claimed.len()
        };
        self.stores.iter().map(of).sum::<usize>()
            + self.keys.iter().map(|key| key.rows.len()).sum::<usize>()
            + self.aliases.iter().map(BTreeSet::len).sum::<usize>()
    }

    pub(super) fn store_of(&self, id: &StoreId) -> Option<usize> {
        self.stores.iter().position(|store| store.id == *id)
    }

    pub(super) fn key_of(&self, id: &KeyId) -> Option<usize> {
        self.keys.iter().position(|key| key.id == *id)
    }

    /// The keys of a store.
    pub(super) fn keys_of(&self, store: usize) -> impl Iterator<Item = &KeyView> {
        self.keys.iter().filter(move |key| key.store == store)
    }
}

/// What an update leads to, of everything that it may be an update of.
pub(super) fn edited(settings: &BTreeSet<Settings>, edit: Edit) -> BTreeSet<Settings> {
    settings.iter().map(|settings| settings.edited(edit)).collect()
}
