//! What can be wrong with a medium, in the words of QEMU.

use std::path::Path;
use std::time::Duration;

/// What is wrong with a medium. QEMU only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Bytes per second that it takes, if it is a slow one.
    pub slow: Option<u64>,
    /// When it answers no more.
    pub silent: Option<Silent>,
    /// It answers after all, everything at once, this long after power-on.
    pub answers: Option<Duration>,
    /// Sectors of 512 bytes that cannot be read.
    pub unreadable: Vec<u64>,
    /// A sector of 512 bytes that cannot be written.
    pub unwritable: Option<u64>,
}

/// When a medium stops to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// When this many bytes were read of it.
    Read(u64),
    /// When this many bytes were written to it.
    Written(u64),
}

impl Trouble {
    /// Whether it answers no more once it is silent.
    pub fn is_for_good(&self) -> bool {
        self.silent.is_some() && self.answers.is_none()
    }

    /// Options of `-drive`, each with a comma in front, and all that is said about the file, whose commas are doubled already.
    pub fn options(&self, file: &Path) -> String {
        let slow = self.slow.map_or(String::new(), |bytes| format!(",throttling.bps-write={bytes}"));
        // A byte in a second is an answer in more than an hour.
        let silent =
            |way: &str, bytes: u64| format!(",throttling.bps-{way}=1,throttling.bps-{way}-max={}", bytes.max(1));
        let silent = match self.silent {
            None => String::new(),
            Some(Silent::Read(bytes)) => silent("read", bytes),
            Some(Silent::Written(bytes)) => silent("write", bytes),
        };
        let file = file.display().to_string().replace(',', ",,");
        // Without the locks that QEMU puts on its files: user-mode Linux has locks of its own on a medium that both only read.
        let unreadable = self.unreadable.iter().map(|sector| ("read", *sector));
        let sectors: Vec<_> = unreadable.chain(self.unwritable.map(|sector| ("write", sector))).collect();
        let below = match sectors.as_slice() {
            [] => format!(",file.locking=off,file={file}"),
            sectors => {
                let below = format!(
                    ",file.driver=blkdebug,file.image.driver=file,file.image.locking=off,file.image.filename={file}"
                );
                sectors.iter().enumerate().fold(below, |text, (number, (way, sector))| {
                    let rule = format!(",file.inject-error.{number}");
                    format!("{text}{rule}.event=none{rule}.iotype={way}{rule}.errno=5{rule}.sector={sector}")
                })
            }
        };
        format!("{slow}{silent}{below}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_words() {
        let none = Trouble::default();
        let silent = Trouble { silent: Some(Silent::Read(0)), ..none.clone() };
        let late = Trouble { answers: Some(Duration::from_secs(60)), ..silent.clone() };
        assert!(silent.is_for_good() && !late.is_for_good() && !none.is_for_good());
        let written = Trouble { silent: Some(Silent::Written(9)), ..none.clone() };
        let slow = Trouble { slow: Some(7), ..none.clone() };
        let unreadable = Trouble { unreadable: vec![5], ..none.clone() };
        let unwritable = Trouble { unwritable: Some(6), ..none.clone() };
        for (trouble, expected) in [
            (none, ",file.locking=off,file=/a,,b"),
            (silent, ",throttling.bps-read=1,throttling.bps-read-max=1,file.locking=off,file=/a,,b"),
            (written, ",throttling.bps-write=1,throttling.bps-write-max=9,file.locking=off,file=/a,,b"),
            (slow, ",throttling.bps-write=7,file.locking=off,file=/a,,b"),
            (
                unreadable,
                ",file.driver=blkdebug,file.image.driver=file,file.image.locking=off,file.image.filename=/a,,b\
                 ,file.inject-error.0.event=none,file.inject-error.0.iotype=read,file.inject-error.0.errno=5\
                 ,file.inject-error.0.sector=5",
            ),
            (
                unwritable,
                ",file.driver=blkdebug,file.image.driver=file,file.image.locking=off,file.image.filename=/a,,b\
                 ,file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.errno=5\
                 ,file.inject-error.0.sector=6",
            ),
        ] {
            assert_eq!(trouble.options(Path::new("/a,b")), expected);
        }
    }
}
