//! Errors that end a boot: a stable number, what was wanted, what was found, what to type next.
//!
//! Every [`Code`] has a section in `docs/troubleshooting.md`; a test walks the variants.

use std::fmt;
use std::io;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// What the boot does about an error (architecture.md, "Errors and log").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// This candidate is unusable: undo and try the next.
    NotThis,
    /// The boot ends.
    Stop,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $disposition:ident;)*) => {
        /// The reasons a boot can stop for. Numbers never change and are never used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, by number.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The stable number.
            pub fn number(self) -> u16 {
                match self { $(Code::$name => $number,)* }
            }

            /// What the boot does when this happens to one candidate.
            pub fn disposition(self) -> Disposition {
                match self { $(Code::$name => Disposition::$disposition,)* }
            }
        }
    };
}

codes! {
    /// `root=` says live, but its value is none of the accepted forms.
    RootMalformed = 1, Stop;
    /// `root=` asks for a source this version cannot provide.
    SourceNotBuilt = 2, Stop;
    /// No medium matched before the deadline.
    MediumNotFound = 10, NotThis;
    /// No file system held the ISO file before the deadline.
    IsoFileNotFound = 11, NotThis;
    /// The medium was found but cannot be mounted.
    MediumMount = 12, NotThis;
    /// The medium has no container, no image and no root tree.
    ContainerMissing = 13, NotThis;
    /// The container or image is shorter than its superblock says, or not a file system.
    ImageDamaged = 14, NotThis;
    /// The container holds no root file system.
    RootMissing = 15, NotThis;
    /// The kernel lacks a driver or decompressor.
    DriverMissing = 16, NotThis;
    /// A file of the initrd named by `root=` does not exist.
    InitrdFileMissing = 17, Stop;
    /// A loop device cannot be set up.
    LoopSetup = 20, NotThis;
    /// A mount of an image or layer failed.
    ImageMount = 21, NotThis;
    /// The overlay cannot be mounted.
    OverlayMount = 22, Stop;
    /// The RAM write area cannot be made.
    WriteArea = 23, Stop;
    /// Device-mapper refuses a device.
    DeviceMapper = 24, Stop;
    /// `updates/` on the medium cannot be copied over the root.
    Updates = 26, Stop;
    /// The copy of the image in RAM is not what the medium says it should be.
    RamDigest = 27, NotThis;
    /// The image does not fit into RAM, or is none that can be copied.
    RamRefused = 28, NotThis;
    /// Copying the image to RAM failed.
    RamCopy = 29, NotThis;
    /// The new root has no init program.
    InitMissing = 30, NotThis;
    /// The switch to the new root failed.
    SwitchRoot = 31, Stop;
    /// The root cannot be given the SELinux labels that it ought to have.
    Labels = 32, Stop;
    /// A pseudo file system or a file below `/run` cannot be made.
    Environment = 40, Stop;
    /// A fault in rdlive itself.
    Fault = 41, Stop;
    /// A step made no progress: a device does not answer any more.
    Silent = 42, Stop;
    /// There is no place for the persistent area, or it must not be written to.
    AreaUnavailable = 50, Stop;
    /// The persistent area was made for another image.
    AreaOther = 51, Stop;
    /// The persistent area cannot be mounted.
    AreaDamaged = 52, Stop;
    /// The file system of a persistent area cannot be made.
    AreaFormat = 53, Stop;
    /// The partition for changes cannot be added to the table.
    AreaPartition = 54, Stop;
    /// A program that makes or checks file systems is missing.
    ToolMissing = 55, Stop;
    /// The persistent area is encrypted, and nobody gave its passphrase or key.
    AreaLocked = 60, Stop;
    /// An encrypted area cannot be made or opened.
    AreaCrypt = 61, Stop;
    /// No network interface got an address.
    NetworkDown = 70, Stop;
    /// The image cannot be fetched.
    FetchFailed = 71, Stop;
    /// What was fetched is not what it should be.
    FetchDigest = 72, Stop;
    /// The disk for the image holds something else, and nobody gave it away.
    TargetHolds = 73, Stop;
    /// The image cannot be written to the disk.
    TargetUnusable = 74, Stop;
    /// An AoE device does not answer.
    AoeSilent = 75, Stop;
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.to_string()
    }
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let found = Code::ALL.iter().find(|code| code.to_string() == text);
        found.copied().ok_or_else(|| format!("{text} is no code of this version"))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RDL-{:03}", self.number())
    }
}

/// What can be done about every place for changes that cannot be used.
pub const ELSEWHERE: &str = "rd.overlay=<device> names another place";

/// What can be done about a file system whose driver gives up on it: one that is not ours is not repaired by us.
pub const CHECK_IT: &str =
    "check its file system (e2fsck -f, xfs_repair, fsck.fat, fsck.exfat, chkdsk /f in Windows), or use another disk";

/// Whether the driver of a file system gives up on what is there.
#[must_use]
pub fn is_damage(error: &io::Error) -> bool {
    let codes = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::STALE];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

impl Code {
    /// What to do where an error itself does not say; its section in docs/troubleshooting.md says more.
    fn remedy(self) -> &'static str {
        match self {
            Code::RootMalformed => "correct root= in the boot menu",
            Code::SourceNotBuilt => "boot from a local medium, or with the initrd of dracut's livenet or kiwi-live",
            Code::MediumNotFound => "plug the medium in and retry, or correct root=live:… (labels are case-sensitive)",
            Code::IsoFileNotFound => "check iso-scan/filename= (path from the root of its file system)",
            Code::MediumMount => {
                "write the medium again or use another one, or correct root=live:…; dmesg has the driver's words"
            }
            Code::ContainerMissing => "check rd.live.dir and rd.live.squashimg, or write the medium again",
            Code::ImageDamaged => "write the medium again, and compare its sum with the original's",
            Code::RootMissing => "build the image from the top of a root tree",
            Code::DriverMissing => "add the module to the initrd (--add-module NAME, or dracut --add-drivers NAME)",
            Code::InitrdFileMissing => "append the file to the initrd as a cpio archive, or use iso-scan/filename=",
            Code::LoopSetup => "see dmesg; is the medium readable to its end?",
            Code::ImageMount => "see dmesg; write the medium again, or build the image with an older set of features",
            Code::OverlayMount => "remove rootflags=, and see dmesg",
            Code::WriteArea => "remove rd.live.overlay.size= and rd.overlay=tmpfs:…; the default is half of the RAM",
            Code::DeviceMapper => "rd.overlay does without device-mapper",
            Code::Updates => {
                "rd.live.updates=0 leaves updates/ of the medium out; without live.updates= nothing comes from a server"
            }
            Code::RamDigest => "write the medium again; without rd.live.ram nothing is compared",
            Code::RamRefused => "remove rd.live.ram, or lower rd.minmem=",
            Code::RamCopy => "write the medium again or use another one, or remove rd.live.ram",
            Code::AoeSilent => {
                "start the AoE server in the same network segment (AoE is not routed), or correct the shelf and slot in root=live:AOEINTERFACE="
            }
            Code::NetworkDown => "plug the cable in, start the DHCP server, or give an address with ip=",
            Code::FetchFailed => {
                "correct the URL in root=live:, or start the server; rd.live.mirror= names another one"
            }
            Code::FetchDigest => "correct rd.live.sha256=, or put the right file on the server",
            Code::TargetHolds => "name another disk in rd.kiwi.live.system=",
            Code::TargetUnusable => {
                "name another disk in rd.kiwi.live.system=, or leave it out: then the image goes to RAM"
            }
            Code::InitMissing => "correct init=, or build the image with an init system",
            Code::SwitchRoot => "boot with init=/bin/sh to look around in the image",
            Code::Labels => {
                "see dmesg, and install the image's SELinux policy again; enforcing=0 boots without its protection"
            }
            Code::Environment => "see dmesg; the kernel must have CONFIG_NET, CONFIG_TMPFS and room in /run",
            Code::Fault => "boot again; if it happens again, report it with this line and what is plugged in",
            Code::Silent => "unplug the device and plug it in again, or use another port or another medium",
            Code::AreaUnavailable => ELSEWHERE,
            Code::AreaOther => "rd.live.overlay.persistent=accept uses it all the same",
            Code::AreaDamaged => "repair it from another system; rd.live.overlay.reset makes it anew",
            Code::AreaFormat => "boot again, with rd.live.overlay.cowfs=ext4 or another stick",
            Code::AreaPartition => "boot again; the table is valid after each step",
            Code::ToolMissing => "build the initrd from a system that has the program",
            Code::AreaLocked => "boot again to be asked again",
            Code::AreaCrypt => "read what cryptsetup says, and dmesg",
        }
    }
}

/// An error that ends the boot, or one candidate, with all a person needs to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The stable number.
    pub code: Code,
    /// What was attempted and why it failed, lower case, with the object's name and the kernel's words.
    pub cause: String,
    /// What was asked for.
    pub wanted: String,
    /// What was there instead, one entry a line.
    pub found: Vec<String>,
    /// What to do next.
    pub advice: String,
}

impl Stop {
    /// An error with its cause; the other parts are added by [`Stop::wanted`], [`Stop::found`] and [`Stop::advice`].
    pub fn new(code: Code, cause: impl Into<String>) -> Self {
        Self { code, cause: cause.into(), wanted: String::new(), found: Vec::new(), advice: code.remedy().to_owned() }
    }

    /// Says what was asked for.
    #[must_use]
    pub fn wanted(mut self, wanted: impl Into<String>) -> Self {
        self.wanted = wanted.into();
        self
    }

    /// Says what was there instead.
    #[must_use]
    pub fn found(mut self, found: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.found = found.into_iter().map(Into::into).collect();
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// In one line, with what to do.
    pub fn with_advice(&self) -> String {
        if self.advice.is_empty() { self.to_string() } else { format!("{self}; {}", self.advice) }
    }

    /// The lines to show, most important last (the last lines stay on a screen).
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", self.code, self.cause)];
        if !self.wanted.is_empty() {
            lines.push(format!("wanted: {}", self.wanted));
        }
        match self.found.as_slice() {
            [] => {}
            [one] => lines.push(format!("found:  {one}")),
            many => {
                lines.push("found:".to_owned());
                lines.extend(many.iter().map(|line| format!("        {line}")));
            }
        }
        if !self.advice.is_empty() {
            lines.push(format!("try:    {}", self.advice));
        }
        lines
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.cause)
    }
}

impl std::error::Error for Stop {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_printed_with_three_digits() {
        let mut numbers: Vec<_> = Code::ALL.iter().map(|code| code.number()).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), Code::ALL.len());
        assert_eq!(Code::RootMalformed.to_string(), "RDL-001");
        assert_eq!(serde_json::to_string(&Code::MediumNotFound).unwrap(), "\"RDL-010\"");
        assert_eq!(serde_json::from_str::<Code>("\"RDL-010\"").unwrap(), Code::MediumNotFound);
        assert!(serde_json::from_str::<Code>("\"RDL-999\"").is_err());
    }

    /// What ends a boot, and what a boot survives, says what can be done.
    #[test]
    fn every_code_has_a_remedy() {
        for code in Code::ALL {
            let stop = Stop::new(*code, "why");
            assert!(stop.lines().last().is_some_and(|line| line.starts_with("try:    ") && line.len() > 20), "{code}");
            assert!(!stop.advice.ends_with(['.', ';', ' ']), "{code}: {}", stop.advice);
        }
    }

    #[test]
    fn lines_say_wanted_found_and_try() {
        let stop = Stop::new(Code::MediumNotFound, "no medium after 5 s")
            .wanted("LABEL=X")
            .found(["sda1 vfat", "sr0 iso9660"])
            .advice("check the label");
        assert_eq!(
            stop.lines(),
            [
                "RDL-010: no medium after 5 s",
                "wanted: LABEL=X",
                "found:",
                "        sda1 vfat",
                "        sr0 iso9660",
                "try:    check the label"
            ]
        );
    }
}
