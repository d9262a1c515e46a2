//! What a call that succeeded has changed, and whether what it gave is right.

use std::collections::BTreeSet;

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::kms::{Decrypt, Exception};
use custom_key_store::{ConnectionState, KeyArn, StoreId};

use super::call::{Answer, Blob, PLAINTEXT};
use super::expect::While;
use super::harness::{Harness, Window};
use super::model::{Due, Kept, KeyRow, KeyView, StoreView, edited};
use super::moves::Moves;
use super::op::{Call, KeyEdit, Named, Settings};

impl Harness {
    /// `alone` if nobody else can have changed anything between its first poll and its last.
    pub(super) fn succeeded(
        &mut self,
        call: Call,
        answer: Answer,
        window: &Window,
        during: &While,
        alone: bool,
    ) {
        match (call, answer) {
            (Call::Create(settings), Answer::Store(id)) => {
                self.created(settings, &id, window, during.trouble)
            }
            (Call::Connect(store), Answer::Done) => self.recorded(store, Kept::Connected, alone),
            (Call::Disconnect(store), Answer::Done) => {
                let state = self.known.view.stores[store].state();
                let moved =
                    matches!(state, Some(ConnectionState::Disconnecting | ConnectionState::Disconnected));
                // Unless somebody has connected it again meanwhile.
                assert!(moved || !alone, "disconnected, and {state:?}");
                self.recorded(store, Kept::Disconnected, alone);
            }
            (Call::Update(store, edit), Answer::Done) => {
                self.known.saw("a store was changed");
                self.known.moves[store].lingers |= !self.pending.is_empty();
                if window.view.stores[store].states.contains(&Some(ConnectionState::Connected)) {
                    self.known.saw("a store was changed while it was used");
                }
                // What the ghosts have done, they may have done before.
                let before = self.known.haunted(&self.world);
                let StoreView { settings, stored, .. } = &before.stores[store];
                let of = &mut self.known.view.stores[store];
                (of.settings, of.stored) = (edited(settings, edit), edited(stored, edit));
                if !alone {
                    of.settings.extend(settings);
                    of.stored.extend(stored);
                }
            }
            (Call::Delete(store), Answer::Done) => {
                self.known.saw("a store was deleted");
                self.known.view.stores[store].states = BTreeSet::from([None]);
            }
            (Call::CreateKey(store, backing), Answer::Key(key)) => {
                assert_eq!(key.custom_key_store_id, self.known.view.stores[store].id);
                let place = self.known.view.stores[store].place();
                let damaged = during.met(place, Method::GenerateKey, &Fault::Corrupt);
                self.known.saw("a key was made");
                match self.known.view.key_of(&key.key_id) {
                    // It was seen before anybody was told.
                    Some(index) => assert_eq!(self.known.view.keys[index].store, store),
                    None => self.known.view.keys.push(KeyView {
                        id: key.key_id,
                        store,
                        backing,
                        broken: damaged && backing.is_none(),
                        rows: BTreeSet::from([Some(KeyRow::new())]),
                    }),
                }
            }
            (Call::Key(key, edit), answer) => self.edited(key, edit, &answer, window, alone),
            (Call::CreateAlias(alias, key) | Call::UpdateAlias(alias, key), Answer::Done) => {
                self.known.saw("an alias was given");
                let aliases = &mut self.known.view.aliases[usize::from(alias)];
                if alone {
                    aliases.clear();
                }
                aliases.insert(Some(key));
            }
            (Call::DeleteAlias(alias), Answer::Done) => {
                let aliases = &mut self.known.view.aliases[usize::from(alias)];
                if alone {
                    aliases.clear();
                }
                aliases.insert(None);
            }
            (call, answer) => self.used(call, answer, window, during),
        }
    }

    fn created(&mut self, settings: Settings, id: &StoreId, window: &Window, trouble: bool) {
        self.known.saw("a store was created");
        if let Some(index) = self.known.view.store_of(id) {
            // One that was there already, or that was seen before anybody was told.
            assert!(window.view.stores[index].settings.contains(&settings));
            return;
        }
        let moves = Moves { kept: BTreeSet::from([Kept::Disconnected]), murky: trouble, ..Moves::default() };
        self.known.moves.push(moves);
        self.known.view.stores.push(StoreView {
            id: id.clone(),
            states: BTreeSet::from([Some(ConnectionState::Disconnected)]),
            settings: BTreeSet::from([settings]),
            stored: BTreeSet::from([settings]),
            claimed: BTreeSet::new(),
            busy: false,
            limbo: false,
        });
    }

    /// A move was written down before it was acknowledged.
    fn recorded(&mut self, store: usize, kept: Kept, alone: bool) {
        let state = self.known.view.stores[store].state();
        let moves = &mut self.known.moves[store];
        let is_latest = match kept {
            Kept::Connected => {
                matches!(state, Some(ConnectionState::Connecting | ConnectionState::Connected))
            }
            _ => matches!(state, Some(ConnectionState::Disconnecting | ConnectionState::Disconnected)),
        };
        if alone && is_latest {
            moves.kept = BTreeSet::from([kept]);
        }
    }

    fn edited(&mut self, key: usize, edit: KeyEdit, answer: &Answer, window: &Window, alone: bool) {
        self.known.saw("a key was changed");
        let now = self.world.now();
        // What the ghosts have done, they may have done before.
        let before = self.known.haunted(&self.world);
        let rows = &mut self.known.view.keys[key].rows;
        rows.clone_from(&before.keys[key].rows);
        let changed = rows.iter().flatten().filter_map(|row| row.edited(edit, window.since, now).ok());
        let mut changed: BTreeSet<_> = changed.map(Some).collect();
        if let Answer::Scheduled(date) = answer {
            changed = changed
                .into_iter()
                .flatten()
                .map(|mut row: KeyRow| {
                    let due = row.deletion.unwrap();
                    assert!(due.from <= *date && *date <= due.to, "{due:?}: {date:?}");
                    row.deletion = Some(Due { from: *date, to: *date });
                    Some(row)
                })
                .collect();
        }
        if alone {
            rows.clear();
        }
        rows.extend(changed);
    }

    fn used(&mut self, call: Call, answer: Answer, window: &Window, during: &While) {
        self.known.saw("a key was used");
        match (call, answer) {
            (Call::Encrypt { key, context, .. }, Answer::Blob(arn, bytes)) => {
                let key = self.is_named(key, &arn, window);
                let plaintext = Some(PLAINTEXT.to_vec());
                self.known.blobs.push(Blob { key, context, plaintext, bytes });
            }
            (Call::DataKey { key, plaintext: false }, Answer::Blob(arn, bytes)) => {
                let key = self.is_named(key, &arn, window);
                self.known.blobs.push(Blob { key, context: 0, plaintext: None, bytes });
            }
            (Call::DataKey { key, plaintext: true }, Answer::DataKey(arn, plaintext, bytes)) => {
                let key = self.is_named(key, &arn, window);
                self.known.blobs.push(Blob { key, context: 0, plaintext: Some(plaintext), bytes });
            }
            (Call::Decrypt { blob, wrong, .. }, Answer::Plaintext(arn, plaintext)) => {
                assert_eq!(wrong, None, "what was not encrypted was decrypted");
                let key = self.known.blobs[blob].key;
                self.is_key(key, &arn);
                let of = &self.known.view.stores[self.known.view.keys[key].store];
                let damaged = during.met(of.place(), Method::Decrypt, &Fault::Corrupt);
                if damaged && !of.is_external() {
                    self.known.saw("a cluster was believed");
                    return;
                }
                let blob = &mut self.known.blobs[blob];
                assert_eq!(*blob.plaintext.get_or_insert_with(|| plaintext.clone()), plaintext);
                self.known.saw("a blob was decrypted");
            }
            (Call::ReEncrypt { blob, to }, Answer::Moved(from, arn, bytes)) => {
                let Blob { key: source, plaintext, .. } = self.known.blobs[blob].clone();
                self.is_key(source, &from);
                let key = self.is_named(to, &arn, window);
                if self.known.view.keys[key].store != self.known.view.keys[source].store {
                    self.known.saw("a blob went from one store to another");
                }
                let of = &self.known.view.stores[self.known.view.keys[source].store];
                let damaged = during.met(of.place(), Method::Decrypt, &Fault::Corrupt);
                if !damaged || of.is_external() {
                    self.known.blobs.push(Blob { key, context: 1, plaintext, bytes });
                }
            }
            (Call::Random(_), Answer::Random(bytes)) => assert_eq!(bytes.len(), 16),
            (call, answer) => panic!("{call:?} gave {answer:?}"),
        }
    }

    /// The key that a call says it used must be one that it was told to.
    fn is_named(&self, named: Named, arn: &KeyArn, window: &Window) -> usize {
        let key = self.known.view.key_of(&arn.key_id()).unwrap();
        let is_it = match named {
            Named::Id(wanted) | Named::Arn(wanted) => wanted == key,
            Named::Alias(alias) | Named::AliasArn(alias) => {
                window.view.aliases[usize::from(alias)].contains(&Some(key))
            }
        };
        assert!(is_it, "{named:?} was asked for, and {arn} used");
        key
    }

    fn is_key(&self, key: usize, arn: &KeyArn) {
        assert_eq!(self.known.view.keys[key].id, arn.key_id());
    }

    /// Whatever is done to a blob or to its context, it is not decrypted.
    pub(super) fn refuses_strangers(&mut self) {
        let kms = self.world.kms();
        let refused = self.world.look(async move {
            kms.decrypt(&Decrypt::new(b"no blob of ours")).await.unwrap_err().exception()
        });
        assert_eq!(refused, Exception::InvalidCiphertext);
    }
}
