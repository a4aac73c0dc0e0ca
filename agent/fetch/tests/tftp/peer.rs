//! A TFTP server without sockets, as good or bad as its fields say. Nothing in it comes from the crate.

pub fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| ((i * 31) ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

#[derive(Clone)]
pub struct Peer {
    pub file: Vec<u8>,
    /// The largest block it grants; `None`: it does not know the option.
    pub block: Option<usize>,
    pub window: Option<u64>,
    pub tells_size: bool,
    /// It counts on at 1 after 65535.
    pub wraps_to_one: bool,
    /// It answers each acknowledgement with the next block, doubled ones too.
    pub apprentice: bool,
    /// It refuses requests with options with this code.
    pub refuses_options: Option<u8>,
    /// It drops them.
    pub drops_options: bool,
    /// These options are granted, whatever was asked for.
    pub lies: Option<&'static [u8]>,
    pub acknowledged: usize,
    pub requests: usize,
    pub session: Option<Session>,
}

#[derive(Clone)]
pub struct Session {
    size: usize,
    window: u64,
    base: u64,
    granted: Option<Vec<u8>>,
    over: bool,
}

impl Peer {
    pub fn new(length: usize) -> Self {
        Self {
            file: payload(length),
            block: Some(65464),
            window: Some(64),
            tells_size: true,
            wraps_to_one: false,
            apprentice: false,
            refuses_options: None,
            drops_options: false,
            lies: None,
            acknowledged: 0,
            requests: 0,
            session: None,
        }
    }

    pub fn is_over(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.over)
    }

    fn number(&self, block: u64) -> u16 {
        if self.wraps_to_one && block > 65535 { ((block - 1) % 65535 + 1) as u16 } else { (block % 65536) as u16 }
    }

    fn last(&self) -> u64 {
        (self.file.len() / self.session.as_ref().unwrap().size) as u64 + 1
    }

    pub fn packet(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        match bytes {
            [0, 1, rest @ ..] => self.request(rest),
            [0, 4, high, low] => self.acknowledgement(u16::from_be_bytes([*high, *low])),
            [0, 5, ..] => {
                self.session = None;
                Vec::new()
            }
            other => panic!("{other:?}"),
        }
    }

    fn request(&mut self, rest: &[u8]) -> Vec<Vec<u8>> {
        self.requests += 1;
        let words: Vec<_> = rest.strip_suffix(&[0]).unwrap().split(|byte| *byte == 0).collect();
        let words: Vec<_> = words.iter().map(|word| std::str::from_utf8(word).unwrap()).collect();
        if words[0] != "image/a b.iso" {
            return vec![b"\0\x05\0\x01no \x1b[2Jfile\0".to_vec()];
        }
        assert_eq!(words[1], "octet");
        let asked = &words[2..];
        if self.drops_options && !asked.is_empty() {
            return Vec::new();
        }
        if let Some(code) = self.refuses_options.filter(|_| !asked.is_empty()) {
            return vec![vec![0, 5, 0, code, b'n', b'o', 0]];
        }
        let (mut size, mut window, mut granted) = (512, 1, vec![0, 6]);
        for pair in asked.chunks(2) {
            let value: u64 = pair[1].parse().unwrap();
            let value = match (pair[0], self.block, self.window) {
                ("blksize", Some(most), _) => {
                    size = most.min(value as usize);
                    size as u64
                }
                ("windowsize", _, Some(most)) => {
                    window = most.min(value);
                    window
                }
                ("tsize", ..) if self.tells_size => self.file.len() as u64,
                _ => continue,
            };
            granted.extend_from_slice(format!("{}\0{value}\0", pair[0]).as_bytes());
        }
        if let Some(lies) = self.lies.filter(|_| !asked.is_empty()) {
            granted = [&[0, 6], lies].concat();
        }
        let granted = Some(granted).filter(|granted| granted.len() > 2);
        self.session = Some(Session { size, window, base: 0, granted: granted.clone(), over: false });
        granted.map_or_else(|| self.blocks(), |granted| vec![granted])
    }

    fn blocks(&self) -> Vec<Vec<u8>> {
        let session = self.session.as_ref().unwrap();
        let blocks = session.base + 1..=(session.base + session.window).min(self.last());
        let block = |block: u64| {
            let at = (block as usize - 1) * session.size;
            let bytes = &self.file[at..(at + session.size).min(self.file.len())];
            [&[0, 3], &self.number(block).to_be_bytes()[..], bytes].concat()
        };
        blocks.map(block).collect()
    }

    fn acknowledgement(&mut self, number: u16) -> Vec<Vec<u8>> {
        self.acknowledged += 1;
        let Some(session) = self.session.clone().filter(|session| !session.over) else {
            return Vec::new();
        };
        let mut blocks = session.base..=(session.base + session.window).min(self.last());
        let Some(block) = blocks.find(|block| self.number(*block) == number || (*block == 0 && number == 0)) else {
            return Vec::new();
        };
        let is_first = session.granted.is_some() && block == 0;
        if block == session.base && session.window == 1 && !is_first && !self.apprentice {
            return Vec::new();
        }
        let last = self.last();
        let session = self.session.as_mut().unwrap();
        session.base = block;
        if block > 0 || number == 0 {
            session.granted = None;
        }
        if block == last {
            session.over = true;
            return Vec::new();
        }
        self.blocks()
    }

    pub fn timeout(&self) -> Vec<Vec<u8>> {
        match &self.session {
            Some(session) if !session.over => {
                session.granted.clone().map_or_else(|| self.blocks(), |granted| vec![granted])
            }
            _ => Vec::new(),
        }
    }
}
