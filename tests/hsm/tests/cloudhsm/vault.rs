//! A vault that outlives the process, and fails when it is told to.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use custom_key_store::SecretBytes;
use custom_key_store::backend::{BackendError, BackendErrorKind, Vault};

/// What becomes of a reading or a writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails.
    Refused,
    /// It takes effect, and fails.
    Lost,
    /// It never ends.
    Hung,
    /// It takes effect, and never ends.
    Silent,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [Self::Refused, Self::Lost, Self::Hung, Self::Silent];
}

/// What is written down, for all who have a clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    record: Option<SecretBytes>,
    calls: usize,
    fault: Option<(usize, Fault)>,
    hung: bool,
    reached: bool,
}

impl Disk {
    /// The call of this number, from now on and from one, goes wrong.
    pub(crate) fn fail(&self, nth: usize, fault: Fault) {
        let mut inner = self.0.lock().unwrap();
        (inner.calls, inner.fault, inner.reached) = (0, Some((nth, fault)), false);
    }

    /// All goes well from now on.
    pub(crate) fn mend(&self) {
        let mut inner = self.0.lock().unwrap();
        (inner.fault, inner.hung) = (None, false);
    }

    /// Whether there was a call of that number.
    pub(crate) fn was_reached(&self) -> bool {
        self.0.lock().unwrap().reached
    }

    /// Whether a call hangs.
    pub(crate) fn is_hung(&self) -> bool {
        self.0.lock().unwrap().hung
    }

    async fn call<T>(&self, work: impl FnOnce(&mut Inner) -> T + Send) -> Result<T, BackendError> {
        let fault = {
            let mut inner = self.0.lock().unwrap();
            inner.calls += 1;
            let calls = inner.calls;
            let fault = inner.fault.filter(|(nth, _)| *nth == calls).map(|(_, fault)| fault);
            inner.reached |= fault.is_some();
            fault
        };
        let broken = || Err(BackendError::new(BackendErrorKind::Internal).with_detail("the disk is broken"));
        match fault {
            None => Ok(work(&mut self.0.lock().unwrap())),
            Some(Fault::Refused) => broken(),
            Some(Fault::Lost) => {
                work(&mut self.0.lock().unwrap());
                broken()
            }
            Some(fault) => {
                {
                    let mut inner = self.0.lock().unwrap();
                    inner.hung = true;
                    if fault == Fault::Silent {
                        work(&mut inner);
                    }
                }
                futures::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Vault for Disk {
    async fn read(&self) -> Result<Option<SecretBytes>, BackendError> {
        self.call(|inner| inner.record.clone()).await
    }

    async fn write(&self, record: SecretBytes) -> Result<(), BackendError> {
        self.call(|inner| inner.record = Some(record)).await
    }

    fn is_durable(&self) -> bool {
        true
    }
}
