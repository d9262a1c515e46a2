//! Every value that PKCS#11 has for a failure, and those it leaves to vendors, is answered as what it is, whichever
//! function gives it, and leaves the connection as good as before.

use cryptoki::error::{Rv, RvError};
use custom_key_store::backend::{BackendErrorKind as Kind, Ciphertext, Connection};
use custom_key_store_hsm::cryptoki_sys::*;
use custom_key_store_hsm::{Failure, Hsm, alone};

use crate::calls::{Told, decrypt, delete, describe, encrypt, encrypt_verified, generate, on_one_thread};
use crate::setup::{cluster, connect};

/// No try is repeated more often.
const TRIES: u64 = 3;

/// Gone is the session, or what it leads to.
const UNREACHABLE: [CK_RV; 11] = [
    CKR_CANCEL,
    CKR_SLOT_ID_INVALID,
    CKR_DEVICE_ERROR,
    CKR_DEVICE_REMOVED,
    CKR_FUNCTION_CANCELED,
    CKR_SESSION_CLOSED,
    CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_READ_ONLY,
    CKR_TOKEN_NOT_PRESENT,
    CKR_TOKEN_NOT_RECOGNIZED,
    CKR_CRYPTOKI_NOT_INITIALIZED,
];
const AUTHENTICATION_FAILED: [CK_RV; 14] = [
    CKR_USER_NOT_LOGGED_IN,
    CKR_PIN_INCORRECT,
    CKR_PIN_INVALID,
    CKR_PIN_LEN_RANGE,
    CKR_PIN_EXPIRED,
    CKR_PIN_LOCKED,
    CKR_PIN_TOO_WEAK,
    CKR_USER_PIN_NOT_INITIALIZED,
    CKR_USER_TYPE_INVALID,
    CKR_USER_ALREADY_LOGGED_IN,
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR_USER_TOO_MANY_TYPES,
    CKR_NEW_PIN_MODE,
    CKR_NEXT_OTP,
];
const INVALID_KEY_USAGE: [CK_RV; 3] =
    [CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_SIZE_RANGE];
const UNSUPPORTED: [CK_RV; 8] = [
    CKR_DATA_LEN_RANGE,
    CKR_DATA_INVALID,
    CKR_MECHANISM_INVALID,
    CKR_FUNCTION_NOT_SUPPORTED,
    CKR_RANDOM_NO_RNG,
    CKR_RANDOM_SEED_NOT_SUPPORTED,
    CKR_CURVE_NOT_SUPPORTED,
    CKR_SESSION_PARALLEL_NOT_SUPPORTED,
];
const ACCESS_DENIED: [CK_RV; 7] = [
    CKR_ACTION_PROHIBITED,
    CKR_TOKEN_WRITE_PROTECTED,
    CKR_ATTRIBUTE_SENSITIVE,
    CKR_INFORMATION_SENSITIVE,
    CKR_KEY_UNEXTRACTABLE,
    CKR_KEY_NOT_WRAPPABLE,
    CKR_FUNCTION_REJECTED,
];
/// Of `C_Decrypt` alone. Nothing else has a ciphertext.
const INVALID_CIPHERTEXT: [CK_RV; 5] = [
    CKR_ENCRYPTED_DATA_INVALID,
    CKR_ENCRYPTED_DATA_LEN_RANGE,
    CKR_SIGNATURE_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
    CKR_ARGUMENTS_BAD,
];

/// Whatever is in no list is the key manager's fault.
fn expected(function: &str, rv: CK_RV) -> Kind {
    match rv {
        _ if function == "C_Decrypt" && INVALID_CIPHERTEXT.contains(&rv) => Kind::InvalidCiphertext,
        _ if UNREACHABLE.contains(&rv) => Kind::Unreachable,
        _ if AUTHENTICATION_FAILED.contains(&rv) => Kind::AuthenticationFailed,
        _ if INVALID_KEY_USAGE.contains(&rv) => Kind::InvalidKeyUsage,
        _ if UNSUPPORTED.contains(&rv) => Kind::Unsupported,
        _ if ACCESS_DENIED.contains(&rv) => Kind::AccessDenied,
        _ => Kind::Internal,
    }
}

/// All that cryptoki has a name for, some of vendors, and one that nobody knows.
fn values() -> Vec<CK_RV> {
    let is_named = |rv: &CK_RV| !matches!(Rv::from(*rv), Rv::Ok | Rv::Error(RvError::UnknownErrorCode(_)));
    let named: Vec<CK_RV> = (0..0x1000).filter(is_named).collect();
    assert!(named.len() > 90, "{} values have names", named.len());
    named.into_iter().chain([0x7777, CKR_VENDOR_DEFINED, CKR_VENDOR_DEFINED + 42, CK_RV::MAX]).collect()
}

/// Has the function fail with each value, always and then once.
fn each_value(hsm: &Hsm, function: &str, call: impl AsyncFn(&dyn Connection, &Ciphertext) -> Told<()>) {
    hsm.token().plant_key("key", &[1; 16], 256);
    let shim = hsm.shim();
    on_one_thread(async {
        let connection = connect(&cluster(hsm).max_sessions(1).build().unwrap()).await.unwrap();
        let sealed = encrypt(&*connection, 1).await.unwrap();
        for rv in values() {
            shim.forget_calls();
            shim.fail(function, Failure::new(rv));
            let told = call(&*connection, &sealed).await;
            assert_eq!(told, Err(expected(function, rv)), "{function}: {rv:#x}");
            let tries = shim.calls(function);
            assert!((1..=TRIES).contains(&tries), "{function}: {rv:#x}: {tries} tries");
            shim.mend(function);
            assert_eq!(call(&*connection, &sealed).await, Ok(()), "{function}: after {rv:#x}");
        }
        connection.close().await.unwrap();
        assert_eq!(shim.sessions(), 0);
    });
    assert_eq!(hsm.token().keys().len(), 1);
}

#[test]
fn each_value_of_an_encryption() {
    alone(|hsm| {
        each_value(hsm, "C_Encrypt", async |connection, _| encrypt(connection, 1).await.map(drop));
    });
}

#[test]
fn each_value_of_a_decryption() {
    alone(|hsm| {
        each_value(hsm, "C_Decrypt", async |connection, sealed| {
            decrypt(connection, 1, sealed).await.map(drop)
        });
    });
}

#[test]
fn each_value_of_a_search() {
    alone(|hsm| {
        // A key that is missing is looked for each time.
        each_value(hsm, "C_FindObjectsInit", async |connection, _| match describe(connection, 9).await {
            Err(Kind::KeyNotFound) => Ok(()),
            other => other.map(drop),
        });
    });
}

#[test]
fn each_value_of_making_a_key() {
    alone(|hsm| {
        each_value(hsm, "C_GenerateKey", async |connection, _| {
            let made = generate(connection).await?;
            delete(connection, &made).await
        });
    });
}

#[test]
fn an_encryption_that_cannot_be_verified_is_no_invalid_ciphertext() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        on_one_thread(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            for rv in INVALID_CIPHERTEXT {
                hsm.shim().fail("C_Decrypt", Failure::new(rv));
                let told = encrypt_verified(&*connection, 1).await;
                assert_eq!(told, Err(Kind::IntegrityCheckFailed), "{rv:#x}");
            }
            hsm.shim().mend("C_Decrypt");
            encrypt_verified(&*connection, 1).await.unwrap();
        });
    });
}

#[test]
fn a_forged_ciphertext_is_told_from_a_token_that_fails() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        on_one_thread(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            let sealed = encrypt(&*connection, 1).await.unwrap();
            let mut forged = sealed.clone();
            forged.authentication_tag[0] ^= 1;
            for rv in [CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_VENDOR_DEFINED + 7] {
                // As SoftHSM answers it, and a vendor with a value of its own: when it is done, and the key still works.
                hsm.shim().fail("C_Decrypt", Failure::new(rv).times(1).late());
                assert_eq!(decrypt(&*connection, 1, &forged).await.unwrap_err(), Kind::InvalidCiphertext);
                // A token that answers the same to whatever it is asked is the one that fails.
                hsm.shim().fail("C_Decrypt", Failure::new(rv).late());
                assert_eq!(decrypt(&*connection, 1, &sealed).await.unwrap_err(), Kind::Internal);
                hsm.shim().mend("C_Decrypt");
                assert!(decrypt(&*connection, 1, &sealed).await.is_ok());
            }
        });
    });
}
