//! Attempts to log in of which nobody waits for the end, or of which the token does not say how they ended.

use std::sync::Arc;

use custom_key_store::backend::{
    Backend as _, BackingKeyId, ConnectReason, Connection as _, EncryptRequest, MemoryVault, Operation,
    RequestId, RequestMetadata,
};
use custom_key_store::cloudhsm::PasswordRotation;
use custom_key_store_hsm::{Failure, alone, cryptoki_sys};
use futures::executor::block_on;

use crate::setup::{await_no_sessions, cluster, connect, log_out, request};
use crate::vault::Disk;

#[test]
fn attempts_that_are_given_up_do_not_use_up_the_password() {
    alone(|hsm| {
        let cluster = cluster(hsm).build().unwrap();
        let vault = Arc::new(MemoryVault::new());
        let request = || request(ConnectReason::Connect).with_vault(Arc::clone(&vault));
        block_on(async {
            // More than may end nobody knows how.
            for _ in 0..6 {
                hsm.shim().hang("C_Login");
                let request = request();
                let mut connecting = cluster.connect(&request);
                while hsm.shim().hanging("C_Login") == 0 {
                    assert!(futures::poll!(&mut connecting).is_pending());
                    std::thread::yield_now();
                }
                // The token takes the password when nobody waits any more.
                drop(connecting);
                hsm.shim().release("C_Login");
                await_no_sessions(hsm);
            }
            cluster.connect(&request()).await.unwrap();
        });
    });
}

#[test]
fn a_login_that_ends_nobody_knows_how_is_not_repeated_without_end() {
    alone(|hsm| {
        hsm.token().plant_key("good", &[1; 16], 256);
        let shim = hsm.shim();
        block_on(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            shim.lose_sessions();
            // A library that has no word of its own for a wrong password.
            shim.fail("C_Login", Failure::new(cryptoki_sys::CKR_FUNCTION_FAILED));
            shim.forget_calls();
            let (id, key) = (RequestId::generate(), BackingKeyId::new("01".repeat(16)).unwrap());
            let metadata = RequestMetadata::new("test", &Operation::ENCRYPT, &id);
            for _ in 0..5 {
                connection.encrypt(&EncryptRequest::new(metadata, &key, b"plaintext")).await.unwrap_err();
            }
            assert!(shim.calls("C_Login") <= 3, "{}", shim.calls("C_Login"));
        });
    });
}

#[test]
fn a_login_with_the_old_password_is_no_proof_of_the_new_one() {
    alone(|hsm| {
        let cluster = cluster(hsm).rotate_password(true).build().unwrap();
        let disk = Disk::default();
        let request = |reason| request(reason).with_vault(disk.clone());
        block_on(async {
            // The token does not change the password, and does not say so.
            hsm.shim().fail("C_SetPIN", Failure::new(cryptoki_sys::CKR_DEVICE_ERROR).times(1));
            let connection = cluster.connect(&request(ConnectReason::Connect)).await.unwrap();
            assert_eq!(cluster.password_rotation(), PasswordRotation::Failed);
            // The login is lost, and who comes next knows both passwords.
            log_out(hsm);
            let probe = cluster.connect(&request(ConnectReason::Probe)).await.unwrap();
            probe.close().await.unwrap();
            connection.close().await.unwrap();
            drop((probe, connection));
            let again = cluster.connect(&request(ConnectReason::Connect)).await.unwrap();
            assert_eq!(cluster.password_rotation(), PasswordRotation::Changed);
            again.close().await.unwrap();
        });
    });
}
