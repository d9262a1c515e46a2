//! Looks at everything after each step: what is seen must be what is known, or what may have come of it.

use std::collections::BTreeSet;

use custom_key_store::backend::XksProxyConnectivity;
use custom_key_store::kms::{Exception, Kms};
use custom_key_store::{
    ConnectionState, Description, KeyId, KeyMetadata, Marker, PageRequest, TagKey, TagValue,
};

use super::call::{alias, backing_key, cluster, credential, endpoint, name, path, service};
use super::harness::Harness;
use super::model::{Kept, KeyRow, KeyView, StoreView, View};
use super::moves::Moves;
use super::op::{ALIASES, BACKING_KEYS, Call, NAMES, Place, Settings, TAGS};

type Tags = [Option<u8>; TAGS as usize];

/// What a `Kms` shows of itself.
struct Seen {
    stores: Vec<Description>,
    keys: Vec<(KeyMetadata, Tags)>,
    aliases: Vec<(u8, KeyId)>,
}

async fn look(kms: Kms) -> Seen {
    let page = |next: Option<Marker>, limit| match next {
        None => PageRequest::first(limit).unwrap(),
        Some(marker) => PageRequest::first(limit).unwrap().after(marker),
    };
    let mut seen = Seen { stores: Vec::new(), keys: Vec::new(), aliases: Vec::new() };
    let mut next = None;
    loop {
        let found = kms.describe_custom_key_stores(&page(next, 3)).await.unwrap();
        seen.stores.extend(found.items);
        next = found.next;
        if next.is_none() {
            break;
        }
    }
    loop {
        let found = kms.list_keys(&page(next, 5)).await.unwrap();
        for arn in found.items {
            let described = kms.describe_key(&arn.key_id().into()).await.unwrap();
            let tags = kms.list_resource_tags(&arn.key_id()).await.unwrap();
            seen.keys.push((described, in_numbers(&tags)));
        }
        next = found.next;
        if next.is_none() {
            break;
        }
    }
    let found = kms.list_aliases(None, &page(None, 100)).await.unwrap();
    for entry in found.items {
        let number = (0..ALIASES).find(|number| alias(*number) == entry.name).unwrap();
        seen.aliases.push((number, entry.key));
    }
    seen
}

fn in_numbers(tags: &[(TagKey, TagValue)]) -> Tags {
    let mut numbers = [None; TAGS as usize];
    for (key, value) in tags {
        let number: usize = key.as_str().strip_prefix("tag-").unwrap().parse().unwrap();
        numbers[number] = Some(value.as_str().parse().unwrap());
    }
    numbers
}

impl Harness {
    pub(super) fn check(&mut self) {
        self.known.note(&mut self.world);
        let running = self.world.process.as_ref().is_some_and(|process| process.driver.is_some());
        if running {
            let kms = self.world.kms();
            let before = self.known.view.clone();
            let seen = self.world.look(look(kms));
            self.known.note(&mut self.world);
            let mut may_be = self.known.haunted(&self.world);
            if self.world.is_durable() {
                // The driver was polled meanwhile.
                may_be.merge(&before);
                for (store, state) in &self.known.passed {
                    may_be.stores[*store].states.insert(Some(*state));
                }
            }
            self.check_stores(&seen.stores, &may_be);
            self.check_keys(&seen.keys, &may_be);
            self.check_aliases(&seen.aliases, &may_be);
            self.check_names();
        }
        let may_be = self.known.haunted(&self.world);
        for window in self.pending.iter_mut().filter_map(|pending| pending.window.as_mut()) {
            window.view.merge(&may_be);
            for (store, state) in &self.known.passed {
                window.view.stores[*store].states.insert(Some(*state));
            }
        }
        self.known.passed.clear();
        for ghost in &self.known.ghosts {
            if let Call::Update(store, _) = ghost.call {
                self.known.moves[store].lingers |= !self.pending.is_empty();
            }
        }
        for call in self.spent.drain(..) {
            if let Some(place) = self.known.ghosts.iter().position(|ghost| ghost.call == call) {
                self.known.ghosts.swap_remove(place);
            }
        }
    }

    fn check_stores(&mut self, seen: &[Description], may_be: &View) {
        for described in seen {
            let failed = described.connection_state == ConnectionState::Failed;
            assert_eq!(described.connection_error_code.is_some(), failed, "{described:?}");
            match self.known.view.store_of(&described.custom_key_store_id) {
                Some(index) => self.check_store(index, described, &may_be.stores[index]),
                None => self.appeared(described),
            }
        }
        for (index, store) in self.known.view.stores.iter_mut().enumerate() {
            let is_there = seen.iter().any(|described| described.custom_key_store_id == store.id);
            if !is_there && store.is_here() {
                assert!(may_be.stores[index].states.contains(&None), "a store is lost: {store:?}");
                store.states = BTreeSet::from([None]);
            }
        }
        self.check_claims();
    }

    fn check_store(&mut self, index: usize, described: &Description, may_be: &StoreView) {
        let store = &mut self.known.view.stores[index];
        // A move is told before it can be seen; only what a restart finds is news.
        let state = Some(described.connection_state);
        if self.known.is_new {
            store.states.retain(|known| *known == state);
        }
        let is_known = store.states.contains(&state);
        assert!(
            is_known || (self.world.is_durable() && may_be.states.contains(&state)),
            "{described:?}, expected {store:?}"
        );
        let seen: BTreeSet<Settings> =
            may_be.settings.iter().filter(|settings| shows(described, **settings)).copied().collect();
        assert!(!seen.is_empty(), "{described:?}, expected one of {:?}", may_be.settings);
        store.settings = seen;
        store.stored.clone_from(&may_be.stored);
    }

    /// A store that is seen for the first time: somebody must have begun to create it.
    fn appeared(&mut self, described: &Description) {
        let ghosts = self.known.ghosts.iter().filter_map(|ghost| match ghost.call {
            Call::Create(settings) => Some(settings),
            _ => None,
        });
        let candidates: BTreeSet<Settings> = ghosts
            .chain(self.known.view.phantoms.iter().copied())
            .filter(|settings| shows(described, *settings))
            .collect();
        assert!(!candidates.is_empty(), "a store that nobody created: {described:?}");
        assert_eq!(described.connection_state, ConnectionState::Disconnected);
        self.known.saw("a store was created although nobody waited");
        let kept = BTreeSet::from([Kept::Disconnected]);
        self.known.moves.push(Moves { kept, ..Moves::default() });
        self.known.view.stores.push(StoreView {
            id: described.custom_key_store_id.clone(),
            states: BTreeSet::from([Some(ConnectionState::Disconnected)]),
            settings: candidates.clone(),
            stored: candidates,
            claimed: BTreeSet::new(),
            busy: false,
            limbo: false,
        });
    }

    /// What no two stores may have, they do not have; unless a store came back that was thought not to be there.
    fn check_claims(&self) {
        if self.known.is_uncertain(&self.world) {
            return;
        }
        let stores: Vec<Settings> = self
            .known
            .view
            .stores
            .iter()
            .filter(|store| store.is_here())
            .map(|store| *store.settings.first().unwrap())
            .collect();
        for (index, one) in stores.iter().enumerate() {
            for other in &stores[..index] {
                assert_ne!(one.name, other.name, "two stores of one name");
                let same = match (one.place, other.place) {
                    (Place::Cluster { cluster, .. }, Place::Cluster { cluster: other, .. }) => {
                        cluster == other
                    }
                    (
                        Place::External { endpoint, path, service },
                        Place::External {
                            endpoint: other_endpoint,
                            path: other_path,
                            service: other_service,
                        },
                    ) => {
                        let public = service.is_none() && other_service.is_none();
                        (endpoint == other_endpoint && (path == other_path || !public))
                            || (service.is_some() && service == other_service)
                    }
                    _ => false,
                };
                assert!(!same || self.known.returned, "{one:?} and {other:?} are in one place");
            }
        }
    }

    fn check_keys(&mut self, seen: &[(KeyMetadata, Tags)], may_be: &View) {
        for (described, tags) in seen {
            let Some(index) = self.known.view.key_of(&described.key_id) else {
                self.key_appeared(described);
                continue;
            };
            let key = &mut self.known.view.keys[index];
            let store = &self.known.view.stores[key.store];
            assert_eq!(described.custom_key_store_id, store.id);
            let external = key.backing.map(backing_key);
            assert_eq!(described.xks_key_id, external);
            let mut states = vec![store.state()];
            if self.world.is_durable() {
                states.extend(&may_be.stores[key.store].states);
            }
            let rows = || may_be.keys[index].rows.iter().flatten();
            let seen = states.iter().flat_map(|state| {
                let connected = *state == Some(ConnectionState::Connected);
                rows().filter_map(move |row| row.seen(connected, described, *tags)).map(Some)
            });
            let seen: BTreeSet<_> = seen.collect();
            assert!(
                !seen.is_empty(),
                "{described:?} {tags:?}, expected one of {:?}",
                may_be.keys[index].rows
            );
            key.rows = seen;
        }
        for (index, key) in self.known.view.keys.iter_mut().enumerate() {
            let is_there = seen.iter().any(|(described, _)| described.key_id == key.id);
            if !is_there && key.may_exist() {
                let rows = &may_be.keys[index].rows;
                assert!(rows.contains(&None), "a key is lost: {key:?}");
                key.rows = BTreeSet::from([None]);
                self.known.seen.insert("a key was deleted");
            }
        }
    }

    fn key_appeared(&mut self, described: &KeyMetadata) {
        let store = self.known.view.store_of(&described.custom_key_store_id).unwrap();
        let number = |key| (0..BACKING_KEYS).find(|number| backing_key(*number) == key).unwrap();
        let backing = described.xks_key_id.clone().map(number);
        let by_ghost = self.known.ghosts.iter().any(|ghost| ghost.call == Call::CreateKey(store, backing));
        assert!(by_ghost, "a key that nobody made: {described:?}");
        self.known.saw("a key was made although nobody waited");
        self.known.view.keys.push(KeyView {
            id: described.key_id,
            store,
            backing,
            // If the cluster lied, nobody was told.
            broken: false,
            rows: BTreeSet::from([Some(KeyRow::new())]),
        });
    }

    fn check_aliases(&mut self, seen: &[(u8, KeyId)], may_be: &View) {
        for number in 0..ALIASES {
            let key = seen.iter().find(|(seen, _)| *seen == number).map(|(_, key)| key);
            let key = key.map(|key| self.known.view.key_of(key).unwrap());
            let may_be = &may_be.aliases[usize::from(number)];
            assert!(may_be.contains(&key), "alias {number} of {key:?}, expected one of {may_be:?}");
            self.known.view.aliases[usize::from(number)] = BTreeSet::from([key]);
        }
    }

    /// Every store is found by its name, and nothing else is.
    fn check_names(&mut self) {
        if self.known.is_uncertain(&self.world) || !self.known.ghosts.is_empty() {
            return;
        }
        let kms = self.world.kms();
        let found = self.world.look(async move {
            let mut found = Vec::new();
            for number in 0..NAMES {
                found.push(kms.describe_custom_key_store_named(&name(number)).await);
            }
            found
        });
        for (number, found) in (0..).zip(found) {
            let here = self.known.view.stores.iter().filter(|store| store.is_here());
            let mut named = here.filter(|store| store.settings.first().unwrap().name == number);
            match (found, named.next()) {
                (Ok(found), Some(store)) => assert_eq!(found.custom_key_store_id, store.id),
                (Err(error), None) => assert_eq!(error.exception(), Exception::CustomKeyStoreNotFound),
                (found, store) => panic!("store {number} is {store:?}, and found is {found:?}"),
            }
        }
    }
}

/// Whether a store of these settings looks like this. A password is not to be seen.
fn shows(described: &Description, settings: Settings) -> bool {
    if described.custom_key_store_name != name(settings.name) {
        return false;
    }
    match (&described.xks_proxy_configuration, settings.place) {
        (Some(proxy), Place::External { endpoint: e, path: p, service: s }) => {
            let connectivity = match s {
                None => XksProxyConnectivity::PublicEndpoint,
                Some(_) => XksProxyConnectivity::VpcEndpointService,
            };
            proxy.uri_endpoint == endpoint(e)
                && proxy.uri_path == path(p)
                && proxy.access_key_id == credential(settings.secret).access_key_id
                && proxy.vpc_endpoint_service_name == s.map(service)
                && proxy.connectivity == connectivity
        }
        (None, Place::Cluster { cluster: number, copy }) => {
            described.cloud_hsm_cluster_id == Some(cluster(number, copy))
        }
        _ => false,
    }
}
