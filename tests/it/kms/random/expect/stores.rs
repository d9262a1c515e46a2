//! How calls about stores may end.

use std::collections::BTreeSet;

use custom_key_store::ConnectionState;
use custom_key_store::backend::BackendErrorKind as Kind;
use custom_key_store::backend::software::Method;
use custom_key_store::kms::Exception;

use super::super::fault::{self, Met};
use super::super::op::{Edit, Place, Settings};
use super::{Expecting, NO_STORE, NOT_NOW, Outcome, Ways};

impl Expecting<'_> {
    pub(super) fn delete(&self, store: usize) -> BTreeSet<Outcome> {
        let mut ways = Ways::new();
        ways.check(self.transition(store, |state| match state {
            ConnectionState::Disconnected => None,
            _ => NOT_NOW,
        }));
        for key in self.view.keys_of(store) {
            let has_keys = Some(Exception::CustomKeyStoreHasCmks);
            ways.check(key.rows.iter().map(|row| if row.is_some() { has_keys } else { None }));
        }
        if self.view.coming_keys.iter().any(|(of, _)| *of == store) {
            ways.check([None, Some(Exception::CustomKeyStoreHasCmks)]);
        }
        let mut outcomes = ways.succeed();
        if self.view.stores[store].limbo {
            outcomes.insert(NO_STORE);
        }
        outcomes
    }

    pub(super) fn create(&self, settings: Settings) -> BTreeSet<Outcome> {
        let mut ways = Ways::new();
        // The same store in a cluster once more is that store; whether it is, is seen by its answer.
        if !settings.place.is_external() {
            let twins = self.view.stores.iter().filter(|store| {
                store.states.contains(&Some(ConnectionState::Disconnected))
                    && store.settings.contains(&settings)
                    && store
                        .stored
                        .iter()
                        .any(|stored| (stored.name, stored.secret) == (settings.name, settings.secret))
            });
            for twin in twins {
                let sure = twin.states.len() == 1
                    && twin.settings.len() == 1
                    && twin.stored.len() == 1
                    && !twin.limbo
                    && !self.during.trouble;
                if sure {
                    return BTreeSet::from([None]);
                }
                ways.ended.insert(None);
            }
        }
        self.claims(&mut ways, None, settings);
        if matches!(settings.place, Place::External { service: None, .. }) {
            self.probe(&mut ways, settings);
        }
        self.name(&mut ways, None, settings.name);
        ways.succeed()
    }

    /// What no two stores may have, in the order in which it is looked at.
    pub(super) fn claims(&self, ways: &mut Ways, of: Option<usize>, wanted: Settings) {
        let others = || {
            self.view
                .stores
                .iter()
                .enumerate()
                .filter(move |(index, store)| Some(*index) != of && store.is_here())
        };
        let conflicts = |holder: Place| -> [Outcome; 3] {
            match (wanted.place, holder) {
                (Place::Cluster { cluster, .. }, Place::Cluster { cluster: theirs, .. }) => {
                    let in_use = (cluster == theirs).then_some(Exception::CloudHsmClusterInUse);
                    [in_use, None, None]
                }
                (
                    Place::External { endpoint, path, service },
                    Place::External { endpoint: their_endpoint, path: their_path, service: their_service },
                ) => {
                    let same = endpoint == their_endpoint;
                    let public = service.is_none() && their_service.is_none();
                    [
                        (same && path == their_path).then_some(Exception::XksProxyUriInUse),
                        (same && !public).then_some(Exception::XksProxyUriEndpointInUse),
                        (service.is_some() && service == their_service)
                            .then_some(Exception::XksProxyVpcEndpointServiceInUse),
                    ]
                }
                _ => [None; 3],
            }
        };
        for rank in 0..3 {
            for (_, store) in others() {
                // A store that is about to be another has both.
                let taken = store.settings.iter().map(|theirs| conflicts(theirs.place)[rank]);
                ways.check(taken.chain(store.states.contains(&None).then_some(None)));
                let claimed = store.claimed.iter().map(|theirs| conflicts(theirs.place)[rank]);
                ways.check([None].into_iter().chain(claimed));
            }
            for coming in self.view.coming.iter().chain(&self.view.phantoms) {
                ways.check([None, conflicts(coming.place)[rank]]);
            }
        }
    }

    pub(super) fn name(&self, ways: &mut Ways, of: Option<usize>, wanted: u8) {
        let taken = Some(Exception::CustomKeyStoreNameInUse);
        let is_taken = |name: u8| if name == wanted { taken } else { None };
        for (index, store) in self.view.stores.iter().enumerate() {
            if Some(index) == of || !store.is_here() {
                continue;
            }
            let unsure = store.limbo || store.states.contains(&None);
            let names = store.stored.iter().map(|stored| is_taken(stored.name));
            ways.check(names.chain(unsure.then_some(None)));
        }
        if self.view.phantoms.iter().chain(&self.view.coming).any(|other| other.name == wanted) {
            ways.check([None, taken]);
        }
    }

    pub(super) fn accepts(&self, settings: Settings) -> impl Iterator<Item = Outcome> {
        let accepted = &self.during.accepted[self.during.manager(settings.place)];
        let refused = Some(Exception::XksProxyIncorrectAuthenticationCredential);
        accepted.iter().map(move |secret| if *secret == settings.secret { None } else { refused })
    }

    pub(super) fn attempt(&self, ways: &mut Ways, settings: Settings) {
        let external = settings.place.is_external();
        let ended = self.during.ends(settings.place, Method::Connect);
        ways.check(ended.into_iter().map(|met| met.code(external).map(fault::of_code)));
        ways.check(self.accepts(settings).collect::<Vec<_>>());
    }

    pub(super) fn probe(&self, ways: &mut Ways, settings: Settings) {
        self.attempt(ways, settings);
        let ended = self.during.ends(settings.place, Method::Health);
        ways.check(ended.into_iter().map(|met| {
            let failed = |kind: Kind| Met::Fails(kind).code(true).map(fault::of_code);
            match met.kind() {
                Ok(Some(())) => None,
                // Nobody is there who serves.
                Ok(None) => Some(Exception::XksProxyUriUnreachable),
                Err(kind) => failed(kind),
            }
        }));
    }

    pub(super) fn update(&self, store: usize, edit: Edit) -> BTreeSet<Outcome> {
        let of = &self.view.stores[store];
        let mut ways = Ways::new();
        if edit.is_empty() {
            ways.refuse(Some(Exception::Validation));
        }
        ways.check(self.transition(store, |_| None));
        if !edit.fits(of.is_external()) {
            ways.refuse(Some(Exception::Validation));
        }
        let states = || of.states.iter().flatten().copied();
        ways.check(states().map(|state| match state {
            ConnectionState::Disconnected => None,
            ConnectionState::Connected if edit.is_live() => None,
            _ => NOT_NOW,
        }));
        if of.states.len() > 1 {
            // The state changed while it was tried.
            ways.check([None, NOT_NOW]);
        }
        let mut ended = BTreeSet::new();
        for settings in &of.settings {
            let mut ways = Ways { ended: ways.ended.clone(), goes_on: ways.goes_on };
            let after = settings.edited(edit);
            // What does not change is not claimed anew, even where somebody else has it too by now.
            let shows_secret = of.is_external() && after.secret != settings.secret;
            if after.place != settings.place || shows_secret {
                self.claims(&mut ways, Some(store), after);
            }
            if edit.concerns_backend() && of.is_external() {
                let mut tried = BTreeSet::new();
                for state in states() {
                    let mut ways = Ways { ended: BTreeSet::new(), goes_on: ways.goes_on };
                    match state {
                        ConnectionState::Connected => self.attempt(&mut ways, after),
                        _ => self.probe(&mut ways, after),
                    }
                    tried.extend(ways.succeed());
                }
                ways.check(tried);
            }
            if edit.name.is_some_and(|name| name != settings.name || of.stored.len() > 1) {
                self.name(&mut ways, Some(store), after.name);
            }
            ended.extend(ways.succeed());
        }
        if of.states.contains(&None) {
            ended.insert(NO_STORE);
        }
        ended
    }
}
