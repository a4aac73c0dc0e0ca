//! Where the bytes go: to the output as they come, to digest and unpacker in their order.

use std::collections::BTreeMap;
use std::io;

use rdlive_media::format::Superblock;
use sha2::{Digest, Sha256};

use super::engine::Ended;
use super::{Fault, Offered, Place, Stop, Unpack};
use crate::Output;
use crate::sniff::{self, Content, HEAD, NoImage, Packing};

/// What comes of one file, from its first byte to its digest.
pub(super) struct Sink<'p> {
    place: &'p mut dyn Place,
    url: String,
    length: Option<u64>,
    restart: u32,
    opened: Option<(Box<dyn Output>, Superblock)>,
    packing: Option<Packing>,
    unpack: Option<Box<dyn Unpack>>,
    /// Unpacked bytes, as long as they are too few to say what they are.
    head: Vec<u8>,
    written: u64,
    order: Option<Order>,
}

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
        (url, length, restart): (String, Option<u64>, u32),
        content: Content,
        digest: bool,
    ) -> Result<Self, Stop> {
        let order = |digest| Order { at: 0, held: BTreeMap::new(), digest };
        let mut sink = Self {
            place,
            url,
            length,
            restart,
            opened: None,
            packing: None,
            unpack: None,
            head: Vec::new(),
            written: 0,
            order: digest.then(|| order(Some(Sha256::new()))),
        };
        match content {
            Content::Image(image) => sink.open(*image)?,
            Content::Packed(packing) => {
                let unpack = sink.place.unpack(packing).ok_or(Stop::Packed { url: sink.url.clone(), packing })?;
                sink.order.get_or_insert_with(|| order(None));
                (sink.packing, sink.unpack) = (Some(packing), Some(unpack));
            }
        }
        Ok(sink)
    }

    fn open(&mut self, image: Superblock) -> Result<(), Stop> {
        let (url, length, packed, restart) = (self.url.clone(), self.length, self.packing, self.restart);
        let offered = Offered { url, length, packed, image, restart };
        let output = self.place.open(&offered).map_err(Stop::Refused)?;
        self.opened = Some((output, offered.image));
        Ok(())
    }

    /// Bytes up to here are complete, where somebody needs them in their order: nothing far behind it should be fetched yet.
    pub(super) fn complete_to(&self) -> Option<u64> {
        self.order.as_ref().map(|order| order.at)
    }

    /// Takes the bytes of the file that begin at `from`; gives them back where nobody needs them any more.
    pub(super) fn write(&mut self, from: u64, bytes: Vec<u8>) -> Result<Option<Vec<u8>>, Ended> {
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
        }
        Ok(None)
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
        match sniff::sniff(&head[..head.len().min(HEAD)], None, None).map_err(Fault::from)? {
            Content::Image(image) => self.open(*image)?,
            Content::Packed(_) => return Err(Fault::from(NoImage::Other("compressed twice")).into()),
        }
        self.unpacked(&head)
    }

    /// All `received` bytes of the file have come: compares, and makes sure that they are where they belong. Returns what the image is,
    /// and how many bytes were written.
    pub(super) fn finish(mut self, received: u64, expected: Option<[u8; 32]>) -> Result<(Superblock, u64), Ended> {
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
        sniff::whole(&image, length).map_err(Fault::from)?;
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
