//! Many clients at once, each with connections of its own.

use std::time::{Duration, Instant};

use aws_sdk_kms::primitives::Blob;

use crate::support::*;

const CLIENTS: usize = 32;
const CALLS: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_get_each_its_own_answers() {
    let endpoint = Endpoint::start_with(|backends| backends, |kms| kms.without_quota()).await;
    let (_, external) = endpoint.store_with_key(&endpoint.client(), "payroll").await;
    let (_, hardware) = endpoint.cluster_with_key(&endpoint.client(), "hardware").await;
    let keys = [external.key_id, hardware.key_id];
    let until = Instant::now() + Duration::from_secs(2);
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (client, key) = (endpoint.client(), keys[number % keys.len()].clone());
            tokio::spawn(async move {
                let mut calls = 0;
                // Two calls a turn; at least one, however busy the machine is.
                while calls == 0 || (Instant::now() < until && calls < CALLS / CLIENTS) {
                    let (plaintext, tenant) = (format!("{number} {calls}"), number.to_string());
                    let sealed = client.encrypt().key_id(&key).plaintext(Blob::new(plaintext.clone()));
                    let sealed = sealed.encryption_context("tenant", &tenant).send().await.unwrap();
                    let opened = client.decrypt().ciphertext_blob(sealed.ciphertext_blob.unwrap());
                    let opened = opened.encryption_context("tenant", &tenant).send().await.unwrap();
                    assert_eq!(opened.plaintext.unwrap().as_ref(), plaintext.as_bytes());
                    calls += 2;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    endpoint.stop().await;
}
