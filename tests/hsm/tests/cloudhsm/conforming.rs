//! The suite that every backend passes.

use custom_key_store::SecretBytes;
use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::conformance::{Keys, Suite};
use custom_key_store_hsm::{Hsm, Module, Trait, alone, alone_on};
use futures::executor::block_on;

use crate::setup::cluster;

fn conforms(hsm: &Hsm) {
    let token = hsm.token();
    token.plant_value("usable", &[1; 16], &[7; 32]);
    token.plant_key("another", &[2; 16], 256);
    token.plant_odd_key("encrypts", &[3; 16], 256, &[Trait::CannotDecrypt]);
    token.plant_odd_key("decrypts", &[4; 16], 256, &[Trait::CannotEncrypt]);
    token.plant_odd_key("idle", &[5; 16], 256, &[Trait::CannotEncrypt, Trait::CannotDecrypt]);
    let id = |byte: &str| BackingKeyId::new(byte.repeat(16)).unwrap();
    let keys = Keys::new(id("01"))
        .another(id("02"))
        .encrypt_only(id("03"))
        .decrypt_only(id("04"))
        .neither(id("05"))
        .absent(id("06"));
    let suite = Suite::new(cluster(hsm).build().unwrap(), keys)
        .secret(SecretBytes::from(token.pin().as_bytes()))
        .usable_key_material([7; 32])
        .generates_keys(true)
        .generates_random(true)
        .sixteen_byte_iv(true)
        .cancellation_rounds(4);
    block_on(suite.run()).assert();
}

#[test]
fn a_cluster_passes_the_suite_for_backends() {
    alone(|hsm| {
        conforms(hsm);
    });
}

#[test]
fn a_cluster_of_another_module_passes_it_too() {
    alone_on(Module::Kryoptic, |hsm| {
        conforms(hsm);
    });
}
