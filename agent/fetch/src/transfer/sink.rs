//! Where the bytes go: to the output as they come, to digest and unpacker in their order.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use rdlive_media::format::Superblock;
use sha2::{Digest, Sha256};

use super::engine::Ended;
use super::progress::Board;
use super::{Fault, Offered, Place, Stop, Unpack};
use crate::Output;
use crate::policy::Validator;
use crate::sniff::{self, Content, HEAD, NoImage, Packing};

/// What is known of a file before its first byte.
#[derive(Clone)]
pub(super) struct Known {
    /// What the server tells versions apart by.
    pub validator: Validator,
    /// The digest that was given.
    pub digest: Option<[u8; 32]>,
    /// Whether an archive will do, too.
    pub archives: bool,
}

/// What comes of one file, from its first byte to its digest.
pub(super) struct Sink<'p> {
    place: &'p mut dyn Place,
    board: Arc<Board>,
    url: String,
    length: Option<u64>,
    restart: u32,
    opened: Option<(Box<dyn Output>, Option<Superblock>)>,
    packing: Option<Packing>,
    unpack: Option<Box<dyn Unpack>>,
    /// Unpacked bytes, as long as they are too few to say what they are.
    head: Vec<u8>,
    written: u64,
    /// Bytes that the output has from before: they are not fetched.
    kept: Range<u64>,
    order: Option<Order>,
    known: Known,
}

/// Bytes of what was kept that are read at a time.
const READ: usize = 256 << 10;

/// Puts bytes into their order.
struct Order {
    at: u64,
    held: BTreeMap<u64, Vec<u8>>,
    digest: Option<Sha256>,
}

impl<'p> Sink<'p> {
    /// For a file that begins like this; makes room, unless it has to be unpacked first.
    pub(super) fn begin(
        place: &'p mut dyn Place,
        board: &Arc<Board>,
        (url, length, restart): (String, Option<u64>, u32),
        content: Content,
        known: Known,
    ) -> Result<Self, Stop> {
        let order = |digest| Order { at: 0, held: BTreeMap::new(), digest };
        let mut sink = Self {
            place,
            board: Arc::clone(board),
            url,
            length,
            restart,
            opened: None,
            packing: None,
            unpack: None,
            head: Vec::new(),
            written: 0,
            kept: 0..0,
            order: known.digest.map(|_| order(Some(Sha256::new()))),
            known,
        };
        match content {
            Content::Image(image) => sink.open(Some(*image))?,
            Content::Archive => sink.open(None)?,
            Content::Packed(packing) => {
                let unpack = sink.place.unpack(packing).ok_or(Stop::Packed { url: sink.url.clone(), packing })?;
                sink.order.get_or_insert_with(|| order(None));
                (sink.packing, sink.unpack) = (Some(packing), Some(unpack));
            }
        }
        Ok(sink)
    }

    fn open(&mut self, image: Option<Superblock>) -> Result<(), Stop> {
        let (url, length, packed, restart) = (self.url.clone(), self.length, self.packing, self.restart);
        let board = Arc::clone(&self.board);
        let _writing = board.writes();
        let Known { validator, digest, .. } = self.known.clone();
        let offered = Offered { url, length, packed, image, restart, validator, digest };
        let output = self.place.open(&offered).map_err(Stop::Refused)?;
        if packed.is_none() {
            self.kept = output.kept();
        }
        self.opened = Some((output, offered.image));
        Ok(())
    }

    /// Bytes up to here are complete, where somebody needs them in their order: nothing far behind it should be fetched yet.
    pub(super) fn complete_to(&self) -> Option<u64> {
        self.order.as_ref().map(|order| order.at)
    }

    /// Bytes that are there from before.
    pub(super) fn kept(&self) -> Range<u64> {
        self.kept.clone()
    }

    /// All bytes come, whatever is there.
    pub(super) fn whole(&mut self) {
        self.kept = 0..0;
    }

    /// Takes the bytes of the file that begin at `from`; gives them back where nobody needs them any more.
    pub(super) fn write(&mut self, from: u64, bytes: Vec<u8>) -> Result<Option<Vec<u8>>, Ended> {
        let board = Arc::clone(&self.board);
        let _writing = board.writes();
        if self.packing.is_none()
            && let Some((output, _)) = &mut self.opened
        {
            output.write_at(from, &bytes).map_err(Stop::Output)?;
            self.written += bytes.len() as u64;
        }
        let Some(order) = &mut self.order else { return Ok(Some(bytes)) };
        order.held.insert(from, bytes);
        while let Some(bytes) = self.order.as_mut().and_then(Order::next) {
            self.unpack(Some(&bytes))?;
            self.read_kept()?;
        }
        Ok(None)
    }

    /// Puts what was kept into the digest when it is its turn.
    fn read_kept(&mut self) -> Result<(), Stop> {
        let (Some(Order { at, digest: Some(digest), .. }), Some((output, _))) = (&mut self.order, &self.opened) else {
            return Ok(());
        };
        let mut piece = vec![0; READ];
        while self.kept.contains(at) {
            let length = (READ as u64).min(self.kept.end - *at) as usize;
            output.read_kept(*at, &mut piece[..length]).map_err(Stop::Output)?;
            digest.update(&piece[..length]);
            *at += length as u64;
        }
        Ok(())
    }

    /// Gives bytes, or their end, to the unpacker, if there is one.
    fn unpack(&mut self, packed: Option<&[u8]>) -> Result<(), Ended> {
        let Some(mut unpack) = self.unpack.take() else { return Ok(()) };
        let mut ended = None;
        let mut take = |bytes: &[u8]| {
            self.unpacked(bytes).map_err(|why| {
                ended = Some(why);
                io::ErrorKind::Other.into()
            })
        };
        let result = match packed {
            Some(packed) => unpack.unpack(packed, &mut take),
            None => unpack.finish(&mut take),
        };
        self.unpack = Some(unpack);
        match (result, ended) {
            (_, Some(ended)) => Err(ended),
            (Err(why), None) => Err(Stop::Damaged { url: self.url.clone(), why }.into()),
            (Ok(()), None) => Ok(()),
        }
    }

    fn unpacked(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        match &mut self.opened {
            Some((output, _)) => {
                output.write_at(self.written, bytes).map_err(Stop::Output)?;
                self.written += bytes.len() as u64;
                Ok(())
            }
            None => {
                self.head.extend_from_slice(bytes);
                if self.head.len() < HEAD { Ok(()) } else { self.open_unpacked() }
            }
        }
    }

    /// What is in the compressed file is known now.
    fn open_unpacked(&mut self) -> Result<(), Ended> {
        let head = std::mem::take(&mut self.head);
        let look = if self.known.archives { sniff::sniff_files } else { sniff::sniff };
        match look(&head[..head.len().min(HEAD)], None, None).map_err(Fault::from)? {
            Content::Image(image) => self.open(Some(*image))?,
            Content::Archive => self.open(None)?,
            Content::Packed(_) => return Err(Fault::from(NoImage::Other("compressed twice")).into()),
        }
        self.unpacked(&head)
    }

    /// All `received` bytes of the file have come: compares, and makes sure that they are where they belong. Returns what the image is,
    /// and how many bytes were written.
    pub(super) fn finish(
        mut self,
        received: u64,
        expected: Option<[u8; 32]>,
    ) -> Result<(Option<Superblock>, u64), Ended> {
        let board = Arc::clone(&self.board);
        let _writing = board.writes();
        self.unpack(None)?;
        if self.opened.is_none() {
            self.open_unpacked()?;
        }
        let digest = self.order.take().and_then(|order| order.digest).map(|digest| digest.finalize().into());
        if let (Some(expected), Some(found)) = (expected, digest)
            && expected != found
        {
            return Err(Stop::Digest { url: self.url, expected, found }.into());
        }
        let Some((mut output, image)) = self.opened.take() else { return Err(Fault::from(NoImage::Empty).into()) };
        let length = if self.packing.is_some() { self.written } else { received };
        image.iter().try_for_each(|image| sniff::whole(image, length)).map_err(Fault::from)?;
        output.finish().map_err(Stop::Output)?;
        Ok((image, self.written))
    }
}

impl Order {
    /// The next bytes, if they are there; they are in the digest then.
    fn next(&mut self) -> Option<Vec<u8>> {
        let bytes = self.held.remove(&self.at)?;
        self.at += bytes.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(&bytes);
        }
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }
}
