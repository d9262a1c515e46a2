//! The kills.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use custom_key_store::SealingKey;
use custom_key_store::audit::{AuditLog, AuditSink as _};
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::catalog::{Ledger, SqliteCatalog};
use futures::executor::block_on;
use serde_json::{Value, json};

use super::caller::Answer;
use super::server::{Place, Proxied, Server, spawn};

/// So many kills of each kind, each at another moment.
const KILLS: u64 = 5;
const ATTACK: &str = "YXR0YWNrIGF0IGRhd24=";

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A server, what it was told, and what it said.
struct Told {
    proxied: Proxied,
    place: Place,
    server: Server,
    random: Random,
    kills: u64,
    /// The requests that changed something, and were answered well.
    acknowledged: Vec<String>,
}

impl Told {
    fn start(seed: u64) -> Self {
        let proxied = Proxied::start();
        let place = Place::new(&proxied);
        let server = Server::start(&place);
        Self { proxied, place, server, random: Random(seed), kills: 0, acknowledged: Vec::new() }
    }

    fn call(&self, operation: &str, body: &Value) -> Answer {
        self.server
            .caller
            .call(self.server.address, operation, body)
            .unwrap_or_else(|| panic!("{operation} is not answered"))
    }

    /// It has to succeed.
    fn done(&mut self, operation: &str, body: &Value) -> Value {
        let answer = self.call(operation, body);
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        if !matches!(operation, "Encrypt" | "Decrypt") {
            self.acknowledged.push(answer.request_id);
        }
        answer.body
    }

    fn restart(&mut self) {
        self.server.kill();
        self.server = Server::start(&self.place);
    }

    /// Kills the server while it carries this out, or in the moment in which it has answered, and starts it again. What it
    /// answered, if it did.
    fn killed_while(&mut self, operation: &str, body: &Value) -> Option<Value> {
        self.kills += 1;
        let moment = Duration::from_micros(self.random.below(25_000));
        let waits_for_answer = self.kills / 2 % 2 == 1;
        let (caller, address) = (self.server.caller.clone(), self.server.address);
        let calling = {
            let (operation, body) = (operation.to_owned(), body.clone());
            thread::spawn(move || caller.call(address, &operation, &body))
        };
        let answer = if waits_for_answer {
            let answer = calling.join().unwrap();
            self.server.kill();
            answer
        } else {
            thread::sleep(moment);
            self.server.kill();
            calling.join().unwrap()
        };
        self.server = Server::start(&self.place);
        let answer = answer?;
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        self.acknowledged.push(answer.request_id);
        Some(answer.body)
    }

    fn create(&mut self, number: usize, name: &str) -> String {
        let made = self.done("CreateCustomKeyStore", &self.proxied.store(number, name));
        text(&made["CustomKeyStoreId"])
    }

    /// What is said of the store of this name, if there is one.
    fn find(&self, name: &str) -> Option<Value> {
        let answer = self.call("DescribeCustomKeyStores", &json!({ "CustomKeyStoreName": name }));
        match (answer.status, answer.exception()) {
            (200, _) => Some(answer.body["CustomKeyStores"][0].clone()),
            (400, "CustomKeyStoreNotFoundException") => None,
            _ => panic!("{answer:?}"),
        }
    }

    fn state(&self, store: &str) -> String {
        let answer = self.call("DescribeCustomKeyStores", &json!({ "CustomKeyStoreId": store }));
        text(&answer.body["CustomKeyStores"][0]["ConnectionState"])
    }

    fn becomes(&self, store: &str, wanted: &str) {
        let start = Instant::now();
        loop {
            let state = self.state(store);
            if state == wanted {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the store stays {state} and is never {wanted}"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn connect(&mut self, store: &str) {
        self.done("ConnectCustomKeyStore", &of(store));
        self.becomes(store, "CONNECTED");
    }

    fn disconnect(&mut self, store: &str) {
        self.done("DisconnectCustomKeyStore", &of(store));
        self.becomes(store, "DISCONNECTED");
    }

    fn create_key(&mut self, store: &str, external: usize) -> String {
        text(&self.done("CreateKey", &new_key(store, external))["KeyMetadata"]["KeyId"])
    }

    fn encrypt(&mut self, key: &str) -> String {
        text(&self.done("Encrypt", &json!({ "KeyId": key, "Plaintext": ATTACK }))["CiphertextBlob"])
    }

    fn decrypt(&mut self, blob: &str) {
        assert_eq!(self.done("Decrypt", &json!({ "CiphertextBlob": blob }))["Plaintext"], ATTACK);
    }

    fn keys(&mut self) -> usize {
        self.done("ListKeys", &json!({}))["Keys"].as_array().unwrap().len()
    }

    /// Ends it, and looks at what it leaves: every row and line is as it was written, and of everything that it said is done
    /// there is a line.
    fn end(mut self) {
        self.server.kill();
        block_on(async {
            let sealer = SealingKey::from_file(self.place.file("data/sealing.key")).unwrap();
            let catalog = SqliteCatalog::open(self.place.file("data/catalog.sqlite")).await.unwrap();
            let ledger = Ledger::open(catalog, &sealer).await.unwrap();
            assert!(ledger.verify().await.unwrap().altered.is_empty());
            let log = AuditLog::open(&ledger, self.place.file("data/audit.jsonl")).await.unwrap();
            let report = log.verify().await.unwrap();
            assert!(report.is_intact(), "{report}");
            log.close().await.unwrap();
            ledger.close().await.unwrap();
        });
        let lines = fs::read_to_string(self.place.file("data/audit.jsonl")).unwrap();
        assert!(!self.acknowledged.is_empty());
        for id in &self.acknowledged {
            assert!(lines.contains(id.as_str()), "no line of {id}, which was answered");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn of(store: &str) -> Value {
    json!({ "CustomKeyStoreId": store })
}

fn new_key(store: &str, external: usize) -> Value {
    json!({ "CustomKeyStoreId": store, "Origin": "EXTERNAL_KEY_STORE", "XksKeyId": format!("key-{external}") })
}

#[test]
fn a_server_that_is_killed_while_it_starts_for_the_first_time_starts_the_next_time() {
    let proxied = Proxied::start();
    let mut random = Random(1);
    let mut place = Place::new(&proxied);
    for kill in 0..2 * KILLS {
        let (mut child, _) = spawn(&place);
        thread::sleep(Duration::from_millis(random.below(60)));
        child.kill().unwrap();
        child.wait().unwrap();
        // Some leave what they left to the next one that is killed.
        if kill % 2 == 0 {
            drop(Server::start(&place));
            place = Place::new(&proxied);
        }
    }
}

#[test]
fn a_store_is_created_and_deleted_wholly_or_not_at_all() {
    let mut told = Told::start(2);
    let new = told.proxied.store(0, "root keys");
    for kill in 0..KILLS {
        let created = told.killed_while("CreateCustomKeyStore", &new);
        let found = told.find("root keys");
        let id = match (created, found) {
            (Some(created), None) => panic!("kill {kill}: {created} is lost"),
            (None, None) => told.create(0, "root keys"),
            (created, Some(found)) => {
                assert_eq!(found["ConnectionState"], "DISCONNECTED", "kill {kill}");
                assert!(created.is_none_or(|made| made["CustomKeyStoreId"] == found["CustomKeyStoreId"]));
                text(&found["CustomKeyStoreId"])
            }
        };
        // All of it is there: it can be connected.
        told.connect(&id);
        told.disconnect(&id);

        let deleted = told.killed_while("DeleteCustomKeyStore", &of(&id));
        match (deleted, told.find("root keys")) {
            (Some(_), Some(found)) => panic!("kill {kill}: {found} was deleted"),
            (None, Some(_)) => drop(told.done("DeleteCustomKeyStore", &of(&id))),
            (_, None) => {}
        }
    }
    told.end();
}

#[test]
fn a_store_is_connected_again_if_that_was_said_and_never_after_a_disconnect() {
    let mut told = Told::start(3);
    let id = told.create(0, "root keys");
    told.connect(&id);
    let key = told.create_key(&id, 0);
    let blob = told.encrypt(&key);
    for kill in 0..2 * KILLS {
        // While it is connected.
        told.restart();
        assert!(matches!(&*told.state(&id), "CONNECTING" | "CONNECTED"), "kill {kill}");
        told.becomes(&id, "CONNECTED");
        told.decrypt(&blob);

        // While it disconnects, with a call in flight for which it waits.
        told.proxied.manager.inject(Method::Decrypt, Fault::Delay(Duration::from_millis(10)));
        let (caller, address) = (told.server.caller.clone(), told.server.address);
        let slow = json!({ "CiphertextBlob": blob });
        let calling = thread::spawn(move || caller.call(address, "Decrypt", &slow));
        let disconnected = told.killed_while("DisconnectCustomKeyStore", &of(&id));
        drop(calling.join().unwrap());
        match (disconnected, &*told.state(&id)) {
            (_, "DISCONNECTED") => {}
            (None, "CONNECTING" | "CONNECTED") => {
                told.becomes(&id, "CONNECTED");
                told.disconnect(&id);
            }
            (answer, state) => panic!("kill {kill}: {state} after {answer:?}"),
        }
        told.proxied.manager.heal();

        // While it connects.
        let connected = told.killed_while("ConnectCustomKeyStore", &of(&id));
        match (connected, &*told.state(&id)) {
            (_, "CONNECTING" | "CONNECTED") => told.becomes(&id, "CONNECTED"),
            (None, "DISCONNECTED") => told.connect(&id),
            (answer, state) => panic!("kill {kill}: {state} after {answer:?}"),
        }
        told.decrypt(&blob);
    }
    told.end();
}

#[test]
fn an_update_is_there_wholly_or_not_at_all_whether_the_store_is_connected_or_not() {
    let mut told = Told::start(4);
    let id = told.create(0, "name 0");
    for kill in 0..KILLS {
        let (before, after) = (format!("name {kill}"), format!("name {}", kill + 1));
        let connected = kill % 2 == 0;
        if connected {
            told.connect(&id);
        }
        let update = json!({ "CustomKeyStoreId": id, "NewCustomKeyStoreName": after });
        let updated = told.killed_while("UpdateCustomKeyStore", &update);
        match (told.find(&before), told.find(&after), updated) {
            (None, Some(_), _) => {}
            (Some(_), None, None) => drop(told.done("UpdateCustomKeyStore", &update)),
            found => panic!("kill {kill}: {found:?}"),
        }
        if connected {
            told.becomes(&id, "CONNECTED");
            told.disconnect(&id);
        } else {
            assert_eq!(told.state(&id), "DISCONNECTED", "kill {kill}");
        }
    }
    told.end();
}

#[test]
fn a_key_is_created_changed_and_scheduled_for_deletion_wholly_or_not_at_all() {
    let mut told = Told::start(5);
    let id = told.create(0, "root keys");
    told.connect(&id);
    for kill in 0..KILLS {
        // As many as there are keys.
        let external = usize::try_from(kill).unwrap();
        let created = told.killed_while("CreateKey", &new_key(&id, external));
        told.becomes(&id, "CONNECTED");
        // What was not answered is there, or is not, and then nothing is in the way of it.
        let there = told.keys() == external + 1;
        let key = match (created, there) {
            (Some(made), true) => text(&made["KeyMetadata"]["KeyId"]),
            (None, false) => told.create_key(&id, external),
            (None, true) => {
                let again = told.call("CreateKey", &new_key(&id, external));
                assert_eq!(again.exception(), "XksKeyAlreadyInUseException", "kill {kill}: {again:?}");
                let listed = told.done("ListKeys", &json!({}))["Keys"].clone();
                let ids = listed.as_array().unwrap().iter().map(|key| text(&key["KeyId"]));
                let is_new = |told: &mut Told, key: &str| {
                    let described = told.done("DescribeKey", &json!({ "KeyId": key }));
                    described["KeyMetadata"]["XksKeyConfiguration"]["Id"] == format!("key-{external}")
                };
                ids.collect::<Vec<_>>().into_iter().find(|key| is_new(&mut told, key)).unwrap()
            }
            (Some(made), false) => panic!("kill {kill}: {made} is lost"),
        };
        let blob = told.encrypt(&key);
        told.restart();
        told.becomes(&id, "CONNECTED");
        told.decrypt(&blob);

        let state = |told: &mut Told| {
            let described = told.done("DescribeKey", &json!({ "KeyId": key }));
            text(&described["KeyMetadata"]["KeyState"])
        };
        for (operation, body, from, to) in [
            ("DisableKey", json!({ "KeyId": key }), "Enabled", "Disabled"),
            ("ScheduleKeyDeletion", json!({ "KeyId": key }), "Disabled", "PendingDeletion"),
        ] {
            let answered = told.killed_while(operation, &body);
            told.becomes(&id, "CONNECTED");
            match (answered, state(&mut told)) {
                (_, state) if state == to => {}
                (None, state) if state == from => drop(told.done(operation, &body)),
                (answer, state) => panic!("kill {kill}: {state} after {operation}: {answer:?}"),
            }
        }
    }
    told.end();
}
