//! What is sealed comes back whole, for the same purpose and under the same key, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use custom_key_store::{SealErrorKind, Sealer, SealingKey};
use futures::executor::block_on;
use proptest::prelude::*;

fn key() -> SealingKey {
    SealingKey::from_bytes(&[7; 32])
}

fn seal(purpose: &[u8], secret: &[u8]) -> Vec<u8> {
    block_on(key().seal(purpose, secret)).unwrap()
}

fn unseal(key: &SealingKey, purpose: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealErrorKind> {
    let secret = block_on(key.unseal(purpose, sealed)).map_err(|error| error.kind())?;
    Ok(secret.expose().to_vec())
}

proptest! {
    #[test]
    fn what_was_sealed_comes_back(purpose: Vec<u8>, secret: Vec<u8>) {
        let sealed = seal(&purpose, &secret);
        prop_assert_eq!(unseal(&key(), &purpose, &sealed), Ok(secret));
    }

    #[test]
    fn any_bytes_are_a_secret_or_an_error(purpose: Vec<u8>, bytes: Vec<u8>) {
        prop_assert!(unseal(&key(), &purpose, &bytes).is_err());
    }
}

#[test]
fn a_flip_of_any_bit_is_seen() {
    let sealed = seal(b"purpose", b"secret");
    for bit in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let kind = unseal(&key(), b"purpose", &damaged).unwrap_err();
        let expected = match bit / 8 {
            0 => SealErrorKind::UnknownVersion,
            1..=16 => SealErrorKind::WrongKey,
            _ => SealErrorKind::Damaged,
        };
        assert_eq!(kind, expected, "bit {bit}");
    }
}

#[test]
fn nothing_cut_off_or_added_is_accepted() {
    let sealed = seal(b"purpose", b"secret");
    for length in 0..sealed.len() {
        assert_eq!(unseal(&key(), b"purpose", &sealed[..length]), Err(SealErrorKind::Damaged), "{length}");
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(unseal(&key(), b"purpose", &longer), Err(SealErrorKind::Damaged));
}

#[test]
fn another_purpose_and_another_key_are_told_apart() {
    let sealed = seal(b"purpose", b"secret");
    assert_eq!(unseal(&key(), b"purpose2", &sealed), Err(SealErrorKind::Damaged));
    assert_eq!(unseal(&SealingKey::generate(), b"purpose", &sealed), Err(SealErrorKind::WrongKey));
}

#[test]
fn the_same_sealed_twice_differs_in_all_but_the_head() {
    let (one, other) = (seal(b"", b"the same secret"), seal(b"", b"the same secret"));
    assert_eq!(one[..17], other[..17]);
    assert_ne!(one[17..49], other[17..49]);
    assert_ne!(one[49..], other[49..]);
}

#[test]
fn the_format_does_not_change() {
    // Sealed by the first release; must be read by every later one.
    let golden = "014626729536935fb8c7a8ac4e8549b171793e2e9f59533d07f54dd094648b1848f748c742944597b1d85bb525f06bfb3cd8956b98a7ea610ab924aa36b9a5dfabfaff8e123815";
    let bytes: Vec<u8> =
        (0..golden.len()).step_by(2).map(|at| u8::from_str_radix(&golden[at..at + 2], 16).unwrap()).collect();
    assert_eq!(unseal(&key(), b"purpose", &bytes), Ok(b"secret".to_vec()));
}

#[test]
fn a_key_file_holds_the_key_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealing.key");
    assert!(SealingKey::from_file(&path).unwrap_err().is_not_found());

    let made = SealingKey::create_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SealingKey::from_file(&path).unwrap().expose(), made.expose());

    // A second one would overwrite the first.
    let error = SealingKey::create_file(&path).unwrap_err();
    assert_eq!(error.kind(), SealErrorKind::File);
    assert!(!error.is_not_found());
    assert_eq!(SealingKey::from_file(&path).unwrap().expose(), made.expose());
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealing.key");
    SealingKey::create_file(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = SealingKey::from_file(&path).unwrap_err();
        assert_eq!(error.kind(), SealErrorKind::FileIsNotPrivate, "{mode:o}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn a_damaged_key_file_is_refused_and_nothing_else_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealing.key");
    SealingKey::create_file(&path).unwrap();
    let whole = fs::read(&path).unwrap();

    let mut spoilt: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
    spoilt.push([&whole[..], b"\n"].concat());
    spoilt.push([&whole[..], &whole[..]].concat());
    spoilt.extend((0..whole.len()).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        flipped
    }));
    for content in spoilt {
        fs::write(&path, &content).unwrap();
        let error = SealingKey::from_file(&path).unwrap_err();
        assert_eq!(error.kind(), SealErrorKind::NotAKeyFile, "{} bytes", content.len());
    }
}

#[test]
fn a_folder_that_is_not_there_is_named_as_the_cause() {
    let error = SealingKey::create_file("/nonexistent/sealing.key").unwrap_err();
    assert_eq!(error.kind(), SealErrorKind::File);
    assert!(error.is_not_found());
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn debug_hides_the_key() {
    assert_eq!(format!("{:?}", key()), "SealingKey { .. }");
}
