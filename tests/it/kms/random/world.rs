//! What there is: key managers, a catalogue, a clock, and a process that can end and begin again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use custom_key_store::SealingKey;
use custom_key_store::backend::software::{Fault, KeyManager, Method, SoftwareKey};
use custom_key_store::backend::{CloudHsmConfiguration, StoreConfiguration};
use custom_key_store::catalog::{CatalogErrorKind, Ledger, MemoryCatalog, SqliteCatalog};
use custom_key_store::clock::{Clock as _, ManualClock};
use custom_key_store::kms::{BackendMap, ConnectionEvents, Driver, Kms, StoreSecret};

use super::call::{backing_key, cluster, credential, endpoint, password};
use super::catalogue::Moody;
use super::op::{BACKING_KEYS, CLUSTERS, COPIES, ENDPOINTS, MANAGERS, Place};
use super::task::Task;
use super::{CALL_TIMEOUT, CLOSE_TIMEOUT, CONNECT_TIMEOUT, DRAIN_LIMIT};
use crate::support::identity;

/// Which world it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// All stores are of one key manager, or each endpoint and each cluster is one.
    pub(super) one_manager: bool,
    /// The catalogue is a file.
    pub(super) file: bool,
    /// How often everything in the catalogue comes back before it is done; of a file, not at all.
    pub(super) pace: u8,
}

pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) managers: Vec<KeyManager>,
    /// All stores are of the first.
    pub(super) one_manager: bool,
    /// Which secret each accepts.
    pub(super) accepted: Vec<u8>,
    armed: Vec<Armed>,
    sealer: SealingKey,
    pub(super) catalogue: Arc<Moody>,
    file: Option<tempfile::TempDir>,
    pub(super) process: Option<Process>,
}

/// A fault, and which call of its method meets it.
struct Armed {
    manager: usize,
    method: Method,
    fault: Fault,
    call: u64,
}

pub(super) struct Process {
    pub(super) kms: Kms,
    pub(super) driver: Option<Task<()>>,
    pub(super) events: ConnectionEvents,
}

/// How many calls of each method each key manager has seen: [`Method::ALL`] of the first, then of the next.
pub(super) type Calls = Vec<u64>;

/// The faults that were met, and how many calls there were.
pub(super) type Asked = BTreeMap<(usize, u8), (Vec<Fault>, u64)>;

fn place(manager: usize, method: Method) -> usize {
    manager * Method::ALL.len() + method as usize
}

impl World {
    pub(super) fn new(Kind { one_manager, file, pace }: Kind) -> Self {
        let clock = ManualClock::new();
        // The same external keys everywhere: an endpoint may change, what is behind it does not.
        let keys: Vec<_> = (0..BACKING_KEYS).map(|_| SoftwareKey::generate()).collect();
        let manager = |_| {
            let builder = KeyManager::builder().clock(clock.clone());
            let manager = builder.credential(credential(0)).password(password(0)).build();
            for (number, key) in (0..).zip(&keys) {
                manager.insert_key(backing_key(number), key.clone());
            }
            manager
        };
        let managers: Vec<_> = (0..MANAGERS).map(manager).collect();
        let sealer = SealingKey::from_bytes(&[7; 32]);
        let file = file.then(|| tempfile::tempdir().unwrap());
        let catalogue = match &file {
            None => Moody::new(MemoryCatalog::new(), &clock, pace, 0),
            Some(folder) => {
                let creating = SqliteCatalog::create(folder.path().join("catalogue"));
                Moody::new(futures::executor::block_on(creating).unwrap(), &clock, pace, 0)
            }
        };
        let catalogue = Arc::new(catalogue);
        let made = Ledger::create(Arc::clone(&catalogue), &sealer, identity());
        drop(futures::executor::block_on(made).unwrap());
        let mut world = Self {
            clock,
            managers,
            one_manager,
            accepted: vec![0; MANAGERS],
            armed: Vec::new(),
            sealer,
            catalogue,
            file,
            process: None,
        };
        world.begin();
        world
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.wall()
    }

    pub(super) fn is_durable(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn kms(&self) -> Kms {
        self.process.as_ref().unwrap().kms.clone()
    }

    /// Moves time, and polls nobody.
    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// Processes.
impl World {
    /// A process begins.
    pub(super) fn begin(&mut self) {
        assert!(self.process.is_none());
        // A catalogue that fails now would only begin the process once more.
        self.catalogue.compose(true);
        let ledger = Ledger::open(Arc::clone(&self.catalogue), &self.sealer);
        let ledger = futures::executor::block_on(ledger).unwrap();
        let opening = Kms::builder(ledger, self.backends())
            .clock(self.clock.clone())
            .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT))
            .call_timeout(Duration::from_secs(CALL_TIMEOUT))
            .drain_limit(Duration::from_secs(DRAIN_LIMIT))
            .close_timeout(Duration::from_secs(CLOSE_TIMEOUT))
            .without_quota()
            .open();
        let (kms, driver): (Kms, Driver) = futures::executor::block_on(opening).unwrap();
        self.catalogue.compose(false);
        let events = kms.events();
        self.process = Some(Process { kms, driver: Some(Task::new(driver)), events });
    }

    /// The end of a process: what is late is committed after all, or never.
    pub(super) fn end(&mut self, kms_first: bool, late: bool) {
        let Process { kms, driver, events } = self.process.take().unwrap();
        if kms_first {
            drop(kms);
            drop(driver);
        } else {
            drop(driver);
            drop(kms);
        }
        drop(events);
        if late {
            futures::executor::block_on(self.catalogue.catch_up());
        } else {
            self.catalogue.fall_behind();
        }
        self.catalogue.heal();
        let Some(folder) = &self.file else { return };
        // The file is free a moment after the last who had it is gone.
        let path = folder.path().join("catalogue");
        let met = self.catalogue.met();
        self.catalogue = Arc::new(Moody::new(MemoryCatalog::new(), &self.clock, 0, met));
        let opened = loop {
            match futures::executor::block_on(SqliteCatalog::open(&path)) {
                Err(error) if error.kind() == CatalogErrorKind::InUse => std::thread::yield_now(),
                opened => break opened.unwrap(),
            }
        };
        self.catalogue = Arc::new(Moody::new(opened, &self.clock, 0, met));
    }

    fn backends(&self) -> BackendMap {
        if self.one_manager {
            return BackendMap::new().software(self.managers[0].clone());
        }
        let managers = self.managers.clone();
        BackendMap::new().kind(move |configuration, secret| {
            let (credential, password) = match secret {
                StoreSecret::Credential(credential) => (Some(credential.clone()), None),
                StoreSecret::Password(password) => (None, Some(password.clone())),
                _ => return None,
            };
            let manager = managers[manager_of(configuration)?].clone();
            Some(Ok(Arc::new(manager.client(configuration.clone(), credential, password))))
        })
    }

    /// Checks every row of the catalogue.
    pub(super) fn verify(&self) {
        let opening = Ledger::open(Arc::clone(&self.catalogue), &self.sealer);
        let altered =
            futures::executor::block_on(async { opening.await.unwrap().verify().await.unwrap().altered });
        assert_eq!(altered, []);
    }
}

fn manager_of(configuration: &StoreConfiguration) -> Option<usize> {
    match configuration {
        StoreConfiguration::External(proxy) => {
            (0..ENDPOINTS).find(|number| endpoint(*number) == proxy.uri_endpoint).map(usize::from)
        }
        StoreConfiguration::CloudHsm(CloudHsmConfiguration { cluster_id, .. }) => {
            let is_it = |number: &u8| (0..COPIES).any(|copy| cluster(*number, copy) == *cluster_id);
            (0..CLUSTERS).find(is_it).map(|number| usize::from(ENDPOINTS + number))
        }
        _ => None,
    }
}

/// Faults.
impl World {
    pub(super) fn calls(&self) -> Calls {
        let of = |manager| Method::ALL.iter().map(move |method: &Method| KeyManager::calls(manager, *method));
        self.managers.iter().flat_map(of).collect()
    }

    pub(super) fn inject(&mut self, manager: usize, method: Method, fault: Fault) {
        let manager = if self.one_manager { 0 } else { manager };
        let of = |armed: &&Armed| (armed.manager, armed.method) == (manager, method);
        let last = self.armed.iter().filter(of).map(|armed| armed.call).max().unwrap_or(0);
        let call = last.max(self.managers[manager].calls(method)) + 1;
        self.managers[manager].inject(method, fault.clone());
        self.armed.push(Armed { manager, method, fault, call });
    }

    pub(super) fn heal(&mut self, manager: usize) {
        let manager = if self.one_manager { 0 } else { manager };
        self.managers[manager].heal();
        let managers = &self.managers;
        self.armed.retain(|armed| {
            armed.manager != manager || armed.call <= managers[armed.manager].calls(armed.method)
        });
    }

    pub(super) fn accept(&mut self, manager: usize, secret: u8) {
        let manager = if self.one_manager { 0 } else { manager };
        self.accepted[manager] = secret;
        self.managers[manager].set_credential(credential(secret));
        self.managers[manager].set_password(password(secret));
    }

    /// The faults that were met since so many calls, and how many calls there were.
    pub(super) fn asked_since(&self, before: &Calls, manager: usize, method: Method) -> (Vec<Fault>, u64) {
        let (before, now) = (before[place(manager, method)], self.managers[manager].calls(method));
        let met = |armed: &&Armed| {
            (armed.manager, armed.method) == (manager, method) && armed.call > before && armed.call <= now
        };
        (self.armed.iter().filter(met).map(|armed| armed.fault.clone()).collect(), now - before)
    }

    /// The same of all that were called.
    pub(super) fn all_asked_since(&self, before: &Calls) -> Asked {
        let mut all = Asked::new();
        for manager in 0..MANAGERS {
            for method in Method::ALL {
                let asked = self.asked_since(before, manager, *method);
                if asked.1 > 0 {
                    all.insert((manager, *method as u8), asked);
                }
            }
        }
        all
    }

    pub(super) fn open_connections(&self) -> usize {
        self.managers.iter().map(KeyManager::open_connections).sum()
    }
}

impl World {
    /// Which key manager is at this place.
    pub(super) fn manager(&self, place: Place) -> usize {
        if self.one_manager { 0 } else { place.manager() }
    }
}
