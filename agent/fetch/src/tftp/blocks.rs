//! Which blocks are here, and when that is said (RFC 7440).

use super::error::Error;

/// The last number before a server begins again at 0 or at 1.
const LAST: u64 = u16::MAX as u64;
/// Blocks behind a missing one that make it lost rather than late.
const LATE: u32 = 3;

/// What a server counts on with after 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrap {
    Zero,
    One,
}

impl Wrap {
    fn number(self, block: u64) -> u64 {
        match self {
            Self::Zero => block % (LAST + 1),
            Self::One => (block - 1) % LAST + 1,
        }
    }
}

/// What becomes of a block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Where it belongs, if it is new.
    pub offset: Option<u64>,
    /// Say now what is here.
    pub acknowledge: bool,
    /// It was the last one that was missing.
    pub done: bool,
}

/// Blocks from 1 on, however the server numbers them.
#[derive(Debug, Clone)]
pub struct Blocks {
    size: u64,
    window: u64,
    promised: Option<u64>,
    /// All up to this one were acknowledged.
    base: u64,
    /// Those after it that are here; the lowest bit is the one after it.
    here: u64,
    /// The last one and its length.
    last: Option<(u64, u64)>,
    wrap: Option<Wrap>,
    /// The loss after this block was told; only a timer tells it again.
    told: Option<u64>,
}

impl Blocks {
    /// None is here. A window has at most 32 blocks.
    pub fn new(size: usize, window: u16, promised: Option<u64>) -> Self {
        let window = u64::from(window.clamp(1, 32));
        Self { size: size.max(1) as u64, window, promised, base: 0, here: 0, last: None, wrap: None, told: None }
    }

    /// All up to this one are here.
    fn reached(&self) -> u64 {
        self.base + u64::from(self.here.trailing_ones())
    }

    /// Bytes of a block.
    pub fn size(&self) -> usize {
        // It was one.
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    /// Bytes in one piece from the start.
    pub fn received(&self) -> u64 {
        let reached = self.reached();
        match self.last {
            Some((last, length)) if last == reached => (last - 1) * self.size + length,
            _ => reached * self.size,
        }
    }

    /// The number to acknowledge; blocks after it are sent next.
    pub fn acknowledge(&mut self) -> u16 {
        let reached = self.reached();
        // At most the window, so less than all bits.
        self.here >>= reached - self.base;
        self.base = reached;
        u16::try_from(self.number(reached).unwrap_or(LAST)).unwrap_or(u16::MAX)
    }

    fn number(&self, block: u64) -> Option<u64> {
        if block <= LAST { Some(block) } else { self.wrap.map(|wrap| wrap.number(block)) }
    }

    /// The end of what the server sends without hearing from us. At 65535 we speak up: what it sends behind that in the same window may
    /// be without a meaning yet, and a timer would have to say what is missing.
    fn end(&self) -> u64 {
        let end = self.base + self.window;
        let end = if self.wrap.is_none() && self.base < LAST { end.min(LAST) } else { end };
        self.last.map_or(end, |(last, _)| last.min(end))
    }

    /// Which block this number is; `None` if it is an old one, or it cannot be told.
    fn block(&mut self, number: u16, length: u64) -> Option<u64> {
        let number = u64::from(number);
        let ahead = self.base + 1..=self.base + self.window;
        if self.wrap.is_none() && *ahead.end() > LAST {
            self.wrap = self.wrap_of(number, length);
        }
        ahead.into_iter().find(|block| self.number(*block) == Some(number))
    }

    /// How the server counts on, if this number says so. 0 says it; 1 alone does not, for 0 may have been lost. But one that goes on with 0
    /// sends no number as high as its window before it hears more from us; and the file's size tells the number of its last block.
    fn wrap_of(&self, number: u64, length: u64) -> Option<Wrap> {
        if number == 0 {
            return Some(Wrap::Zero);
        }
        if number == self.window {
            return Some(Wrap::One);
        }
        let last = self.promised.map(|promised| promised / self.size + 1).filter(|_| length < self.size)?;
        [Wrap::Zero, Wrap::One].into_iter().find(|wrap| last > LAST && wrap.number(last) == number)
    }

    /// Takes a block with this number and length.
    pub fn data(&mut self, number: u16, length: usize) -> Result<Taken, Error> {
        let length = length as u64;
        let Some(block) = self.block(number, length) else {
            return Ok(Taken::default());
        };
        let bit = 1 << (block - self.base - 1);
        if self.here & bit != 0 || self.last.is_some_and(|(last, _)| block > last) {
            return Ok(Taken::default());
        }
        if length < self.size {
            if self.here >= bit {
                return Err(Error::Behind);
            }
            self.last = Some((block, length));
        }
        let offset = (block - 1) * self.size;
        self.fits(offset + length, length < self.size)?;
        self.here |= bit;
        let reached = self.reached();
        let done = self.last.is_some_and(|(last, _)| last == reached);
        Ok(Taken { offset: Some(offset), acknowledge: done || self.must_speak(reached), done })
    }

    fn fits(&self, received: u64, is_last: bool) -> Result<(), Error> {
        match self.promised {
            Some(promised) if received > promised || (is_last && received != promised) => {
                Err(Error::Size { promised, received })
            }
            _ => Ok(()),
        }
    }

    /// The window is complete, or one of its blocks is lost. A loss is told once: a server that answers each acknowledgement with blocks,
    /// as the first ones did, would send more and more of them.
    fn must_speak(&mut self, reached: u64) -> bool {
        if reached == self.end() {
            return true;
        }
        let behind = self.here >> (reached - self.base);
        let highest = reached + u64::from(u64::BITS - behind.leading_zeros());
        let is_lost = behind.count_ones() >= LATE || (behind != 0 && highest >= self.end());
        if !is_lost || self.told == Some(reached) {
            return false;
        }
        self.told = Some(reached);
        true
    }
}
