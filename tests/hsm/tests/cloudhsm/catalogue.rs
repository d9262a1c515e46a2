//! A catalogue whose futures can be dropped anywhere, and that can go away in the middle of a commit.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;

use async_trait::async_trait;
use custom_key_store::catalog::{
    Catalog, CatalogError, CatalogErrorKind, Edit, MemoryCatalog, Row, Snapshot, Table,
};

/// In memory. Each call comes back once before it takes effect, and once after it.
#[derive(Debug, Clone)]
pub(crate) struct Slow {
    inner: Arc<MemoryCatalog>,
    goes_away: Arc<AtomicBool>,
    is_away: Arc<AtomicBool>,
}

impl Slow {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(MemoryCatalog::new()), goes_away: Arc::default(), is_away: Arc::default() }
    }

    /// The next commit takes place, and neither is that answered nor anything after it.
    pub(crate) fn go_away(&self) {
        self.goes_away.store(true, SeqCst);
    }

    pub(crate) fn come_back(&self) {
        self.is_away.store(false, SeqCst);
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, CatalogError>>) -> Result<T, CatalogError> {
        pause().await;
        let done =
            if self.is_away() { Err(CatalogError::new(CatalogErrorKind::Unavailable)) } else { work.await };
        pause().await;
        // Since.
        if self.is_away() { Err(CatalogError::new(CatalogErrorKind::Unavailable)) } else { done }
    }

    fn is_away(&self) -> bool {
        self.is_away.load(SeqCst)
    }
}

async fn pause() {
    let mut is_over = false;
    poll_fn(|context| {
        if is_over {
            return Poll::Ready(());
        }
        is_over = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl Catalog for Slow {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        self.call(self.inner.read(table, id)).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        self.call(self.inner.find(table, unique)).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.call(self.inner.list(table, owner, after, limit)).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.call(self.inner.due(table, owner, until, limit)).await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        self.call(async {
            let done = self.inner.commit(edits).await;
            self.is_away.fetch_or(self.goes_away.swap(false, SeqCst), SeqCst);
            done
        })
        .await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.call(self.inner.snapshot()).await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.inner.close().await
    }
}
