//! AES-256-GCM under initialization vectors of any length, which aws-lc-rs takes only of 12 bytes.
//!
//! For checking what others encrypt, under keys that protect nothing: GHASH here takes a time that depends on
//! its input.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;

/// Encrypts, and gives the ciphertext and its tag.
///
/// # Errors
///
/// When the key has not 32 bytes.
pub(super) fn seal(
    key: &[u8],
    initialization_vector: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<(Vec<u8>, [u8; 16]), Unspecified> {
    let (pad, ciphertext) = crypt(key, initialization_vector, plaintext)?;
    let tag = tag(key, pad, aad, &ciphertext)?;
    Ok((ciphertext, tag))
}

/// Decrypts; `None` when the tag does not fit.
///
/// # Errors
///
/// When the key has not 32 bytes.
pub(super) fn open(
    key: &[u8],
    initialization_vector: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
    expected: [u8; 16],
) -> Result<Option<Vec<u8>>, Unspecified> {
    let (pad, plaintext) = crypt(key, initialization_vector, ciphertext)?;
    Ok((tag(key, pad, aad, ciphertext)? == expected).then_some(plaintext))
}

/// The encrypted first counter block, which masks the tag, and the data under the blocks that follow it.
fn crypt(key: &[u8], initialization_vector: &[u8], data: &[u8]) -> Result<([u8; 16], Vec<u8>), Unspecified> {
    let first = if let Ok(short) = <[u8; 12]>::try_from(initialization_vector) {
        (u128::from_be_bytes(widen(short)) | 1).to_be_bytes()
    } else {
        ghash(hash_key(key)?, &[initialization_vector], &[0, bits(initialization_vector)])
    };
    // The cipher counts on in all 128 bits and GCM in the last 32: the same but once in millions of vectors.
    let mut blocks = vec![0; 16];
    blocks.extend_from_slice(data);
    counter_mode(key, first, &mut blocks)?;
    let data = blocks.split_off(16);
    Ok((blocks.try_into().map_err(|_| Unspecified)?, data))
}

fn tag(key: &[u8], pad: [u8; 16], aad: &[u8], ciphertext: &[u8]) -> Result<[u8; 16], Unspecified> {
    let hash = ghash(hash_key(key)?, &[aad, ciphertext], &[bits(aad), bits(ciphertext)]);
    Ok((u128::from_be_bytes(hash) ^ u128::from_be_bytes(pad)).to_be_bytes())
}

fn hash_key(key: &[u8]) -> Result<u128, Unspecified> {
    let mut block = [0; 16];
    counter_mode(key, [0; 16], &mut block)?;
    Ok(u128::from_be_bytes(block))
}

fn counter_mode(key: &[u8], counter: [u8; 16], data: &mut [u8]) -> Result<(), Unspecified> {
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, key)?)?;
    key.less_safe_encrypt(data, EncryptionContext::Iv128(FixedLength::from(counter)))?;
    Ok(())
}

/// GHASH of the parts, each padded to whole blocks, and of a last block with their lengths in bits.
fn ghash(hash_key: u128, parts: &[&[u8]], lengths: &[u64; 2]) -> [u8; 16] {
    let mut sum = 0;
    for block in parts.iter().flat_map(|part| part.chunks(16)) {
        let mut padded = [0; 16];
        padded.iter_mut().zip(block).for_each(|(place, byte)| *place = *byte);
        sum = multiply(sum ^ u128::from_be_bytes(padded), hash_key);
    }
    let [first, second] = lengths.map(u128::from);
    multiply(sum ^ ((first << 64) | second), hash_key).to_be_bytes()
}

/// In the field of GCM, whose bits are in reverse: the first is the coefficient of x^0.
fn multiply(left: u128, mut right: u128) -> u128 {
    let mut product = 0;
    for bit in (0..128).rev() {
        if left >> bit & 1 == 1 {
            product ^= right;
        }
        let carry = right & 1;
        right >>= 1;
        if carry == 1 {
            right ^= 0xe1 << 120;
        }
    }
    product
}

fn widen(short: [u8; 12]) -> [u8; 16] {
    let mut wide = [0; 16];
    wide.iter_mut().zip(short).for_each(|(place, byte)| *place = byte);
    wide
}

const fn bits(data: &[u8]) -> u64 {
    data.len() as u64 * 8
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    use super::{open, seal};

    #[test]
    fn agrees_with_aws_lc_under_twelve_bytes() {
        let key = [7; 32];
        let reference = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
        for (aad, length) in [(0_usize, 0_usize), (1, 1), (16, 16), (17, 33), (8192, 4300)] {
            let (aad, plaintext) = (vec![3; aad], vec![5; length]);
            let mut expected = plaintext.clone();
            let nonce = Nonce::assume_unique_for_key([9; 12]);
            let expected_tag =
                reference.seal_in_place_separate_tag(nonce, Aad::from(&aad), &mut expected).unwrap();

            let (ciphertext, tag) = seal(&key, &[9; 12], &aad, &plaintext).unwrap();
            assert_eq!((ciphertext.as_slice(), tag.as_slice()), (&*expected, expected_tag.as_ref()));
            assert_eq!(open(&key, &[9; 12], &aad, &ciphertext, tag).unwrap(), Some(plaintext));
            assert_eq!(open(&key, &[9; 12], b"other", &ciphertext, tag).unwrap(), None);
        }
    }

    /// Vector `gcm-aad-and-metadata-iv16` of the facts on XKS.
    #[test]
    fn agrees_with_a_vector_of_sixteen_bytes() {
        let bytes = |range: std::ops::RangeInclusive<u8>| range.collect::<Vec<_>>();
        let aad = crate::backend::authenticated_data(b"tenant=blue,env=test", b"kv=3;alg=1").unwrap();
        let (ciphertext, tag) =
            seal(&bytes(0..=0x1f), &bytes(0x10..=0x1f), &aad, &bytes(0x80..=0x9f)).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&ciphertext), "0adbb8e363f4bd28e38214e23b2d9f8e2014f34ba499935a92992620c46a13c9");
        assert_eq!(hex(&tag), "baaf88599e85e0904f534ec378284e2c");
    }
}
