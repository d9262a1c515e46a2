//! Copies of a whole catalogue, and the way back.
//!
//! A backup is a sequence of pieces, each behind its length, a big-endian `u32`. The first is the catalogue's root row,
//! as JSON, whose root key the sealer unseals, the second is 32 random bytes; the rest are sealed under a key derived
//! from the root key and the first two, each for its place: rows as a JSON array, and an empty array at the end.

use futures_util::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use serde::{Deserialize, Serialize};

use super::base64_text;
use super::contract::Catalog;
use super::edit::Edit;
use super::error::{CatalogError, CatalogErrorKind};
use super::ledger::{Keys, Ledger};
use super::root::Root;
use super::row::{Row, Table};
use crate::crypto::{RootKey, Sealer, random, seal, unseal};

/// How many rows are in a piece at most.
const ROWS: usize = 500;
/// The longest piece that is read, in bytes: rows are at most this long, and most are a thousandth of it.
const MAX_PIECE: usize = 64 << 20;
/// How much of a piece's content is gathered before it is written.
const PIECE: usize = 1 << 20;

const LABEL: &str = "custom-key-store backup v1";

/// A row as it is in a backup.
#[derive(Serialize, Deserialize)]
struct Copy {
    table: String,
    id: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    unique: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    due: Option<i64>,
    #[serde(with = "base64_text")]
    body: Vec<u8>,
    #[serde(with = "base64_text")]
    mac: Vec<u8>,
}

impl Ledger {
    /// Writes a copy of everything as it is now, whatever is changed meanwhile. Nothing in it is in the clear, but for
    /// whose catalogue it is. Whoever has it and the sealer has the keys.
    ///
    /// The writer is flushed; making what it wrote durable is yours. It is one of `futures`: `AllowStdIo` turns one of
    /// `std` into it, and `tokio_util::compat` one of tokio.
    ///
    /// ```
    /// # use custom_key_store::backend::AccountId;
    /// # use custom_key_store::catalog::{Ledger, MemoryCatalog};
    /// # use custom_key_store::{Identity, Partition, Region, SealingKey};
    /// use futures::io::AllowStdIo;
    ///
    /// # futures::executor::block_on(async {
    /// # let identity =
    /// #     Identity::new(Partition::new("aws")?, Region::new("eu-central-1")?, AccountId::new("111122223333")?);
    /// # let sealer = SealingKey::generate();
    /// # let ledger = Ledger::create(MemoryCatalog::new(), &sealer, identity).await?;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("stores.backup");
    /// let mut file = AllowStdIo::new(std::fs::File::create(&path)?);
    /// ledger.backup(&mut file).await?;
    /// file.into_inner().sync_all()?;
    ///
    /// let mut file = AllowStdIo::new(std::fs::File::open(&path)?);
    /// let restored = Ledger::restore(MemoryCatalog::new(), &sealer, &mut file).await?;
    /// assert!(restored.verify().await?.altered.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unavailable`](CatalogErrorKind::Unavailable) when the writer fails, and what the catalogue answers. What was
    /// written until then is refused by [`restore`](Self::restore).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, what was written is refused by `restore`.
    pub async fn backup(&self, writer: &mut (impl AsyncWrite + Unpin + Send)) -> Result<(), CatalogError> {
        let root = self.root_row().await?;
        let salt = random();
        let mut pieces = Pieces::new(&self.keys().root, &root.body, &salt);
        write(writer, &root.body).await?;
        write(writer, &salt).await?;

        let mut snapshot = self.catalog().snapshot().await?;
        let (mut rows, mut size) = (Vec::new(), 0);
        while let Some(some) = snapshot.next().await? {
            for row in some.into_iter().filter(|row| row.table != Table::Catalog) {
                self.keys().check(&row)?;
                size += row.body.len();
                rows.push(Copy::from(row));
                if rows.len() == ROWS || size >= PIECE {
                    write(writer, &pieces.seal(&rows)?).await?;
                    rows.clear();
                    size = 0;
                }
            }
        }
        if !rows.is_empty() {
            write(writer, &pieces.seal(&rows)?).await?;
        }
        write(writer, &pieces.seal(&[])?).await?;
        writer.flush().await.map_err(unavailable)
    }

    /// Makes a catalogue of an empty one and a [backup](Self::backup), under the sealer that the catalogue had then.
    ///
    /// Stores that were connected then will be connected again when they are opened, and keys that were deleted since
    /// are back: what happened after the backup is unknown to it.
    ///
    /// <div class="warning">
    ///
    /// Never use a restored catalogue beside the one that the backup is of. Neither learns of what changes in the other:
    /// a key that is disabled or deleted in one can be used in the other, and a disconnect of one store leaves the other
    /// connected.
    ///
    /// </div>
    ///
    /// # Errors
    ///
    /// [`Corrupt`](CatalogErrorKind::Corrupt) when the backup is cut short, damaged, or none;
    /// [`Sealer`](CatalogErrorKind::Sealer), [`Unavailable`](CatalogErrorKind::Unavailable) when the reader fails,
    /// [`AlreadyExists`](CatalogErrorKind::AlreadyExists) when the catalogue is not empty, and what it answers. The
    /// catalogue is dropped, and is none: after `Sealer` it is empty still, and may be opened and tried again; after any
    /// other error start with a new one.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the catalogue is none, and no more empty.
    pub async fn restore(
        catalog: impl Catalog,
        sealer: &dyn Sealer,
        reader: &mut (impl AsyncRead + Unpin + Send),
    ) -> Result<Self, CatalogError> {
        if catalog.snapshot().await?.next().await?.is_some() {
            return Err(CatalogError::new(CatalogErrorKind::AlreadyExists));
        }
        let mut root_row = Row::new(Table::Catalog, Root::ID);
        root_row.body = read(reader).await?;
        let root = Root::from_row(&root_row)?;
        let keys = Keys::new(root.unseal(sealer).await?);
        let salt: [u8; 32] = read(reader).await?.try_into().map_err(|_| corrupt())?;

        let mut pieces = Pieces::new(&keys.root, &root_row.body, &salt);
        loop {
            let rows = pieces.unseal(&read(reader).await?)?;
            if rows.is_empty() {
                break;
            }
            let mut edits = Vec::with_capacity(rows.len());
            for copy in rows {
                let row = Row::try_from(copy)?;
                keys.check(&row)?;
                edits.push(Edit::Insert(row));
            }
            catalog.commit(edits).await?;
        }
        // The last, so that until then it is no catalogue.
        catalog.commit(vec![Edit::Insert(root.row(&keys, 1)?)]).await?;
        Ok(Self::assemble(Box::new(catalog), root.identity, keys))
    }
}

/// Seals the pieces of one backup, or unseals them, in their order.
struct Pieces {
    root: RootKey,
    place: u64,
}

impl Pieces {
    fn new(root: &RootKey, first: &[u8], salt: &[u8; 32]) -> Self {
        let first = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, first);
        Self { root: RootKey::new(&root.derive(LABEL, &[salt, first.as_ref()])), place: 0 }
    }

    /// Each piece is for one place, so that none can be left out, added or moved.
    fn purpose(&mut self) -> [u8; 8] {
        let place = self.place;
        self.place += 1;
        place.to_be_bytes()
    }

    fn seal(&mut self, rows: &[Copy]) -> Result<Vec<u8>, CatalogError> {
        let json = serde_json::to_vec(rows)
            .map_err(|error| CatalogError::caused_by(CatalogErrorKind::InvalidRow, error))?;
        let purpose = self.purpose();
        Ok(seal(&self.root, &purpose, &json))
    }

    fn unseal(&mut self, piece: &[u8]) -> Result<Vec<Copy>, CatalogError> {
        let purpose = self.purpose();
        let json = unseal(&self.root, &purpose, piece).map_err(|_| corrupt())?;
        serde_json::from_slice(json.expose()).map_err(|_| corrupt())
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> Result<(), CatalogError> {
    let length = u32::try_from(piece.len()).map_err(unavailable)?;
    writer.write_all(&length.to_be_bytes()).await.map_err(unavailable)?;
    writer.write_all(piece).await.map_err(unavailable)
}

async fn read(reader: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, CatalogError> {
    let mut length = [0; 4];
    reader.read_exact(&mut length).await.map_err(cut_short)?;
    let length = u64::from(u32::from_be_bytes(length));
    if length > MAX_PIECE as u64 {
        return Err(corrupt());
    }
    // Grows as bytes come: a length alone takes no memory.
    let mut piece = Vec::new();
    let read = reader.take(length).read_to_end(&mut piece).await.map_err(cut_short)?;
    if read as u64 == length { Ok(piece) } else { Err(corrupt()) }
}

fn cut_short(error: std::io::Error) -> CatalogError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => corrupt(),
        _ => unavailable(error),
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> CatalogError {
    CatalogError::caused_by(CatalogErrorKind::Unavailable, error)
}

fn corrupt() -> CatalogError {
    CatalogError::new(CatalogErrorKind::Corrupt)
}

impl From<Row> for Copy {
    fn from(row: Row) -> Self {
        let Row { table, id, version, owner, unique, due, body, mac } = row;
        Self { table: table.as_str().to_owned(), id, version, owner, unique, due, body, mac: mac.to_vec() }
    }
}

impl TryFrom<Copy> for Row {
    type Error = CatalogError;

    fn try_from(copy: Copy) -> Result<Self, CatalogError> {
        let Copy { table, id, version, owner, unique, due, body, mac } = copy;
        let table = Table::from_name(&table).ok_or_else(corrupt)?;
        let mac = mac.try_into().map_err(|_| corrupt())?;
        Ok(Self { table, id, version, owner, unique, due, body, mac })
    }
}
