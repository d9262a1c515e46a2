//! Mocks of the two traits, for the tests of downstream crates.
//!
//! The mock of [`Connection`] is written out, since `automock` would have every implementer of the trait name a
//! lifetime.

use async_trait::async_trait;

use super::{
    BackendError, Ciphertext, Closed, Connection, DecryptRequest, Decrypted, DeleteKeyRequest,
    DescribeKeyRequest, EncryptRequest, GenerateKeyRequest, GenerateRandomRequest, GeneratedKey, Health,
    HealthRequest, KeyDescription,
};
use crate::secret::SecretBytes;

pub use super::connection::MockBackend;

mockall::mock! {
    /// A mock of [`Connection`]; feature `mock`.
    ///
    /// Set expectations with `expect_encrypt()` and its siblings, as with any mock of mockall; an expectation that
    /// was not met fails the test when the connection is dropped, after the disconnect. (On the mock itself the
    /// methods of the trait are hidden behind synchronous ones of the same names: call them through the trait.)
    ///
    /// ```
    /// use custom_key_store::backend::{BackendErrorKind, Closed, MockConnection};
    ///
    /// let mut connection = MockConnection::new();
    /// connection
    ///     .expect_encrypt()
    ///     .withf(|request| request.key.as_str() == "payroll")
    ///     .returning(|_| Err(BackendErrorKind::TimedOut.into()));
    /// connection.expect_close().times(0..=1).returning(|| Ok(Closed::new()));
    /// ```
    #[derive(Debug)]
    pub Connection {
        #[doc(hidden)]
        pub fn describe_key<'a>(&self, request: &DescribeKeyRequest<'a>) -> Result<KeyDescription, BackendError>;
        #[doc(hidden)]
        pub fn generate_key<'a>(&self, request: &GenerateKeyRequest<'a>) -> Result<GeneratedKey, BackendError>;
        #[doc(hidden)]
        pub fn delete_key<'a>(&self, request: &DeleteKeyRequest<'a>) -> Result<(), BackendError>;
        #[doc(hidden)]
        pub fn generate_random<'a>(&self, request: &GenerateRandomRequest<'a>) -> Result<SecretBytes, BackendError>;
        #[doc(hidden)]
        pub fn encrypt<'a>(&self, request: &EncryptRequest<'a>) -> Result<Ciphertext, BackendError>;
        #[doc(hidden)]
        pub fn decrypt<'a>(&self, request: &DecryptRequest<'a>) -> Result<Decrypted, BackendError>;
        #[doc(hidden)]
        pub fn health<'a>(&self, request: &HealthRequest<'a>) -> Result<Health, BackendError>;
        #[doc(hidden)]
        pub fn close(&self) -> Result<Closed, BackendError>;
    }
}

// `Self::encrypt` is the inherent method, with its expectations.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Connection for MockConnection {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        Self::describe_key(self, request)
    }

    async fn generate_key(&self, request: &GenerateKeyRequest<'_>) -> Result<GeneratedKey, BackendError> {
        Self::generate_key(self, request)
    }

    async fn delete_key(&self, request: &DeleteKeyRequest<'_>) -> Result<(), BackendError> {
        Self::delete_key(self, request)
    }

    async fn generate_random(
        &self,
        request: &GenerateRandomRequest<'_>,
    ) -> Result<SecretBytes, BackendError> {
        Self::generate_random(self, request)
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        Self::encrypt(self, request)
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        Self::decrypt(self, request)
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        Self::health(self, request)
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        Self::close(self)
    }
}
