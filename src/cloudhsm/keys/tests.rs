use super::*;

fn table(id: &BackingKeyId, encryptions: u64) -> KeyTable {
    let table = KeyTable::new(KeyNames::Id);
    table.lock().found.insert(id.clone(), Found { handle: None, encryptions });
    table
}

#[test]
fn a_key_encrypts_two_to_the_thirty_two_times_under_random_vectors() {
    let id = name(&[7; 16]).unwrap();
    let table = table(&id, MAX_ENCRYPTIONS - 1);
    table.count(&id, IvOrigin::Random).unwrap();
    // To find the key anew does not begin the count anew.
    table.forget_handles();
    let refusal = table.count(&id, IvOrigin::Random).unwrap_err();
    assert_eq!(refusal.kind(), BackendErrorKind::InvalidKeyState);
    assert!(refusal.detail().unwrap().contains("2^32"));
}

#[test]
fn vectors_of_the_token_are_the_tokens_to_count() {
    let id = name(&[7; 16]).unwrap();
    let table = table(&id, MAX_ENCRYPTIONS);
    table.count(&id, IvOrigin::Token).unwrap();
}

#[test]
fn the_name_of_a_key_is_its_id_in_digits() {
    let id = name(&[0, 1, 0x2a, 0xff, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]).unwrap();
    assert_eq!(id.as_str(), "00012aff0405060708090a0b0c0d0e0f");
    assert_eq!(bytes(&id).unwrap(), [0, 1, 0x2a, 0xff, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
}
