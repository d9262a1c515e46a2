//! Initialization vectors, whoever chooses them.

use std::collections::HashSet;

use custom_key_store::backend::BackendErrorKind as Kind;
use custom_key_store::cloudhsm::IvOrigin;
use custom_key_store_hsm::alone;

use crate::calls::{TEXT, decrypt, encrypt, encrypt_verified, on_one_thread};
use crate::setup::{cluster, connect};

#[test]
fn a_token_may_choose_the_vectors() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        hsm.shim().choose_iv();
        on_one_thread(async {
            let cluster = cluster(hsm).initialization_vectors(IvOrigin::Token).build().unwrap();
            let connection = connect(&cluster).await.unwrap();
            let mut seen = HashSet::new();
            for _ in 0..20 {
                let sealed = encrypt_verified(&*connection, 1).await.unwrap();
                assert_eq!(decrypt(&*connection, 1, &sealed).await.unwrap().expose(), TEXT);
                assert_ne!(sealed.initialization_vector.as_bytes(), [0; 12]);
                assert!(seen.insert(sealed.initialization_vector));
            }
            // What is not authentic is told from a token that fails, by the same kind of vectors.
            let mut forged = encrypt(&*connection, 1).await.unwrap();
            forged.authentication_tag[0] ^= 1;
            assert_eq!(decrypt(&*connection, 1, &forged).await.unwrap_err(), Kind::InvalidCiphertext);
        });
    });
}

#[test]
fn a_token_that_insists_on_choosing_is_told_so_by_the_setting_alone() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        hsm.shim().choose_iv();
        on_one_thread(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            assert_eq!(encrypt(&*connection, 1).await, Err(Kind::Internal));
        });
    });
}

#[test]
fn a_token_that_leaves_zeros_is_not_believed() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        hsm.shim().leave_iv();
        on_one_thread(async {
            let cluster = cluster(hsm).initialization_vectors(IvOrigin::Token).build().unwrap();
            let connection = connect(&cluster).await.unwrap();
            for _ in 0..3 {
                assert_eq!(encrypt(&*connection, 1).await, Err(Kind::InvalidResponse));
            }
        });
    });
}

#[test]
fn vectors_of_ours_are_never_twice_the_same() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        on_one_thread(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            let mut seen = HashSet::new();
            for _ in 0..200 {
                let sealed = encrypt(&*connection, 1).await.unwrap();
                assert_eq!(sealed.initialization_vector.as_bytes().len(), 12);
                assert!(seen.insert(sealed.initialization_vector));
            }
        });
    });
}
