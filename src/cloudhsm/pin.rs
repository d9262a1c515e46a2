//! What a user logs in to a token with.

use crate::backend::KeyStorePassword;
use crate::secret::SecretBytes;
use crate::value::secret_newtype;

secret_newtype! {
    /// What a user logs in to a token with: a PIN in the words of PKCS#11, of whatever form the token takes. `Debug` hides
    /// it, memory is wiped, comparison takes constant time.
    ///
    /// ```
    /// use custom_key_store::cloudhsm::Pin;
    ///
    /// let pin = Pin::new("user-pin-1")?;
    /// assert_eq!(format!("{pin:?}"), "Pin(redacted)");
    /// # Ok::<(), custom_key_store::InvalidValue>(())
    /// ```
    Pin,
    field: "Pin",
    expected: "1 to 255 characters, none of them a control character",
    length: 1..=255,
    legal: |c| !c.is_control(),
}

impl From<KeyStorePassword> for Pin {
    fn from(password: KeyStorePassword) -> Self {
        Self(SecretBytes::from(password.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_of_any_form_but_no_control_characters() {
        for text in ["1", "1234", "user-pin-1", "a b:c", "p\u{e4}ssword", &"\u{1f511}".repeat(255)] {
            assert_eq!(Pin::new(text).unwrap().expose(), text.as_bytes());
        }
        for text in ["", "a\nb", "a\0", "a\tb", "a\u{85}", &"a".repeat(256)] {
            let error = Pin::new(text).unwrap_err();
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_password_of_aws_is_a_pin() {
        let password = KeyStorePassword::new("kmsPswd1").unwrap();
        assert_eq!(Pin::from(password), Pin::new("kmsPswd1").unwrap());
    }
}
