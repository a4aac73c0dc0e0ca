//! An image from a server into a file in RAM: room for it judged before the first byte, or as it grows; progress; what went wrong.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rdlive_fetch::Output;
use rdlive_fetch::dolly::Options;
use rdlive_fetch::http::{NoProxy, Proxy, Setup};
use rdlive_fetch::sniff::Packing;
use rdlive_fetch::tls::{Material, Trust};
use rdlive_fetch::transfer::{self, Job, Offered, Place, Refusal, Unpack};
use rdlive_fetch::url::Url;

use super::apply::Executor;
use super::clock_floor;
use super::deploy::{OntoDisk, TooSmall};
use super::telling::teller;
use super::ways::{self, Ways};
use crate::config::{Transfer, transfer as kargs};
use crate::env::Env;
use crate::error::{Code, Stop};
use crate::kmsg;
use crate::plan::act::Destination;
use crate::probe::ram::available;

pub(super) const MIB: u64 = 1 << 20;
/// Bytes that the system needs beside the image and what is to stay free: page tables, buffers of the network.
pub(super) const BESIDE: u64 = 64 * MIB;
/// Bytes of an image of unknown length between two looks at the memory.
const STRIDE: u64 = 8 * MIB;
/// Where systems have the CAs that they trust; the builder copies the first that its tree has.
const BUNDLES: [&str; 5] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "var/lib/ca-certificates/ca-bundle.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

impl Executor<'_> {
    pub(super) fn fetch(
        &mut self,
        how: &Transfer,
        to: &Destination,
        reserve: u64,
        patience: Duration,
    ) -> Result<(), Stop> {
        // Its limits are its own: a transfer that moves is no hang.
        let _waiting = self.watchdog.waiting();
        let mut job = job(how, patience)?;
        job.archives = matches!(to, Destination::Files(_));
        clock_floor::raise(self.env);
        let reach = self.net.as_ref().map(rdlive_net::attach::Attached::reach);
        let mut setup = Setup::new(Arc::new(Ways(reach)));
        setup.trust = trust(self.env, how)?;
        setup.proxy = match &how.proxy {
            Some(proxy) => Some(Proxy::parse(proxy, NoProxy::parse(&how.no_proxy)).map_err(|error| wrong(&error))?),
            None => None,
        };
        if let Some(connect) = how.connect {
            setup.limits.connect = connect;
        }
        let (setup, report) = (Arc::new(setup), teller(self.env.clone(), self.watchdog.clone()));
        let result = match to {
            Destination::Ram(to) | Destination::Files(to) => {
                let mut place = Room { env: self.env, to: self.env.path(to), reserve, limit: how.limit };
                transfer::fetch(&setup, &job, &mut place, report)
            }
            Destination::Disk(onto) => {
                let mut place = OntoDisk::prove(self.env, onto, job.shown())?;
                let result = transfer::fetch(&setup, &job, &mut place, report);
                match &result {
                    Ok(_) => place.done(),
                    Err(transfer::Stop::Digest { .. }) => place.distrust(),
                    Err(_) => {}
                }
                result
            }
        };
        self.net_news();
        let fetched = result.map_err(|stop| {
            let cards = self.net.as_ref().map(rdlive_net::attach::Attached::cards).unwrap_or_default();
            let unreached = matches!(&stop, transfer::Stop::Source(failure) if failure.cause.is_unreached());
            let told = stopped(&stop, to);
            if unreached { told.found(ways::out(&cards)) } else { told }
        })?;
        let sum = if fetched.verified { ", its SHA-256 is right" } else { "" };
        kmsg::tell(self.env, &format!("fetched {fetched}{sum}"));
        Ok(())
    }
}

fn wrong(error: &dyn fmt::Display) -> Stop {
    Stop::new(Code::FetchFailed, error.to_string()).advice("correct the command line")
}

fn job(how: &Transfer, patience: Duration) -> Result<Job, Stop> {
    let urls: Result<Vec<Url>, _> = how.mirrors.iter().map(|text| kargs::url(text)).collect();
    let digest = match &how.sha256 {
        Some(text) => Some(digest(text).ok_or_else(|| {
            let cause = format!("rd.live.sha256={text} is no SHA-256: 64 hexadecimal digits are needed");
            Stop::new(Code::FetchFailed, cause).advice("sha256sum FILE prints it")
        })?),
        None => None,
    };
    let mut job = Job::new(urls.map_err(|error| wrong(&error))?, digest).map_err(|error| wrong(&error))?;
    job.patience = patience;
    job.dolly = Options::parse(&how.dolly).map_err(|error| wrong(&error))?;
    Ok(job)
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// The initrd's CAs, and what the command line adds.
fn trust(env: &Env, how: &Transfer) -> Result<Option<Trust>, Stop> {
    let read = |path: &PathBuf| {
        fs::read(env.path(path)).map_err(|error| {
            Stop::new(Code::FetchFailed, format!("reading {}: {error}", path.display()))
                .advice("append the file to the initrd as a cpio archive, or correct the path")
        })
    };
    let bundle = BUNDLES.iter().find_map(|path| fs::read(env.path(path)).ok()).unwrap_or_default();
    let extra = how.ca.as_ref().map(read).transpose()?;
    let client = match &how.client {
        Some((cert, key)) => Some((read(cert)?, read(key)?)),
        None => None,
    };
    let material = Material {
        bundle: &bundle,
        extra: extra.as_deref(),
        client: client.as_ref().map(|(cert, key)| (cert.as_slice(), key.as_slice())),
        unverified: how.unverified,
    };
    Trust::new(&material).map(Some).map_err(|error| wrong(&error))
}

/// RAM for the image.
struct Room<'a> {
    env: &'a Env,
    to: PathBuf,
    reserve: u64,
    /// `ramdisk_size=`, in bytes.
    limit: Option<u64>,
}

/// Why it has no room.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the image needs {} MiB of RAM, {} MiB are for the system and to stay free (rd.minmem), but {} MiB are available",
    needs.div_ceil(MIB), free / MIB, has / MIB
)]
struct TooLarge {
    needs: u64,
    free: u64,
    has: u64,
}

/// It is larger than was allowed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the image needs {}{} KiB of RAM, ramdisk_size={} allows less", if *.grows { "more than " } else { "" }, needs.div_ceil(1024), limit / 1024)]
struct Beyond {
    needs: u64,
    limit: u64,
    /// Its length is not known yet.
    grows: bool,
}

impl Place for Room<'_> {
    fn unpack(&mut self, packing: Packing) -> Option<Box<dyn Unpack>> {
        rdlive_fetch::unpacker(packing).ok()
    }

    fn open(&mut self, offered: &Offered) -> Result<Box<dyn Output>, Refusal> {
        // What had come of a file that is begun anew goes first: it is not to be counted beside the new one.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o444).open(&self.to)?;
        let (has, free) = (available(self.env).unwrap_or(u64::MAX), self.reserve.saturating_add(BESIDE));
        if let Some(needs) = offered.written()
            && needs.saturating_add(free) > has
        {
            return Err(Box::new(TooLarge { needs, free, has }));
        }
        if let (Some(needs), Some(limit)) = (offered.written(), self.limit)
            && needs > limit
        {
            return Err(Box::new(Beyond { needs, limit, grows: false }));
        }
        let size = match (offered.length, offered.packed) {
            (Some(bytes), None) => format!("{} MiB", bytes.div_ceil(MIB)),
            (Some(bytes), Some(_)) => format!("{} MiB, compressed", bytes.div_ceil(MIB)),
            (None, None) => "unknown length".to_owned(),
            (None, Some(_)) => "compressed, unknown length".to_owned(),
        };
        kmsg::tell(self.env, &format!("fetching {} ({size}) into RAM, {} MiB are free", offered.url, has / MIB));
        // The originals take all of it at once, and run out of memory with it.
        if let Some(limit) = self.limit.filter(|limit| limit.saturating_add(free) > has) {
            let (asked, most) = (limit / 1024, has.saturating_sub(free) / 1024);
            let line =
                format!("ramdisk_size={asked} is more RAM than there is: {most} KiB at most are taken for the image");
            kmsg::tell(self.env, &line);
        }
        let looks = offered.written().is_none().then(|| self.env.clone());
        let limit = self.limit.unwrap_or(u64::MAX);
        Ok(Box::new(RamFile { file, looks, free, limit, end: 0, looked: 0 }))
    }
}

/// A file on a tmpfs. One of unknown length grows until the memory that is to stay free is reached.
struct RamFile {
    file: File,
    looks: Option<Env>,
    free: u64,
    limit: u64,
    end: u64,
    looked: u64,
}

impl Output for RamFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.limit {
            let beyond = Beyond { needs: end, limit: self.limit, grows: true };
            return Err(io::Error::new(io::ErrorKind::StorageFull, beyond));
        }
        self.file.write_all_at(bytes, offset)?;
        self.end = self.end.max(end);
        if let Some(env) = &self.looks
            && self.end >= self.looked.saturating_add(STRIDE)
        {
            self.looked = self.end;
            let has = available(env).unwrap_or(u64::MAX);
            if has < self.free {
                let full = TooLarge { needs: self.end, free: self.free, has: has.saturating_add(self.end) };
                return Err(io::Error::new(io::ErrorKind::StorageFull, full));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why there is no image.
fn stopped(stop: &transfer::Stop, to: &Destination) -> Stop {
    let inner: Option<&(dyn Error + 'static)> = match stop {
        transfer::Stop::Refused(why) => Some(why.as_ref()),
        transfer::Stop::Output(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        _ => None,
    };
    if let Some(why) = inner.and_then(|inner| inner.downcast_ref::<TooLarge>()) {
        let missing = why.needs.saturating_add(why.free).saturating_sub(why.has).div_ceil(MIB);
        return Stop::new(Code::RamRefused, why.to_string())
            .advice(format!("{missing} MiB more RAM, or less to stay free with rd.minmem="));
    }
    if let Some(why) = inner.and_then(|inner| inner.downcast_ref::<Beyond>()) {
        let without = "or leave it out: the image takes what it needs";
        let advice = match why.grows {
            true => format!("give ramdisk_size= more KiB, {without}"),
            false => format!("ramdisk_size={}, {without}", why.needs.div_ceil(1024)),
        };
        return Stop::new(Code::RamRefused, why.to_string()).advice(advice);
    }
    if let Some(why) = inner.and_then(|inner| inner.downcast_ref::<TooSmall>()) {
        let node = match to {
            Destination::Disk(onto) => onto.device.node.display(),
            Destination::Ram(path) | Destination::Files(path) => path.display(),
        };
        return Stop::new(Code::TargetUnusable, format!("{node}: {why}")).advice("name a larger disk");
    }
    let told = Stop::new(Code::FetchFailed, stop.to_string());
    let told = match to {
        Destination::Files(_) => told.advice("correct the URL in live.updates=, start the server, or leave it out"),
        _ => told,
    };
    if let (transfer::Stop::Output(_) | transfer::Stop::Refused(_), Destination::Disk(onto)) = (stop, to) {
        let cause = format!("{}: {stop}", onto.device.node.display());
        return Stop::new(Code::TargetUnusable, cause).advice("see dmesg; name another disk");
    }
    match stop {
        transfer::Stop::Output(_) => told.advice("more RAM may be needed; see dmesg"),
        transfer::Stop::Digest { .. } => Stop::new(Code::FetchDigest, stop.to_string()),
        transfer::Stop::Packed { .. } | transfer::Stop::Damaged { .. } => {
            told.advice("put the image on the server as it is, unpacked")
        }
        transfer::Stop::Source(failure) => match failure.cause.remedy() {
            Some(remedy) => told.advice(remedy),
            None => told,
        },
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use rdlive_fetch::policy::Validator;

    use super::*;
    use crate::format::{Kind, Superblock};

    fn ram() -> Destination {
        Destination::Ram("/image".into())
    }

    #[test]
    fn digests_are_64_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(digest(&text).map(|bytes| (bytes[0], bytes[1], bytes[31])), Some((0, 255, 255)));
        for wrong in ["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(digest(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_image_that_is_too_large_is_refused_with_numbers_and_what_helps() {
        let too_large = TooLarge { needs: 900 * MIB, free: 1088 * MIB, has: 1500 * MIB };
        for stop in [
            transfer::Stop::Refused(Box::new(too_large)),
            transfer::Stop::Output(io::Error::new(io::ErrorKind::StorageFull, too_large)),
        ] {
            let stop = stopped(&stop, &ram());
            assert_eq!(stop.code, Code::RamRefused);
            assert_eq!(
                stop.cause,
                "the image needs 900 MiB of RAM, 1088 MiB are for the system and to stay free (rd.minmem), but 1500 MiB \
                 are available"
            );
            assert!(stop.with_advice().to_string().contains("488 MiB more RAM"), "{}", stop.with_advice());
        }
        let limit = 1000 << 10;
        for (needs, grows, cause, advice) in [
            (
                1_024_001,
                false,
                "the image needs 1001 KiB of RAM, ramdisk_size=1000 allows less",
                "ramdisk_size=1001, or",
            ),
            (1_024_001, true, "the image needs more than 1001 KiB", "give ramdisk_size= more KiB"),
        ] {
            let beyond = Beyond { needs, limit, grows };
            let stop = stopped(&transfer::Stop::Refused(Box::new(beyond)), &ram());
            assert!(stop.cause.starts_with(cause) && stop.advice.starts_with(advice), "{stop:?}");
            assert_eq!(stop.code, Code::RamRefused);
        }
        let other = stopped(&transfer::Stop::Output(io::Error::from_raw_os_error(5)), &ram());
        assert_eq!(other.code, Code::FetchFailed);
    }

    #[test]
    fn what_is_begun_anew_is_not_counted_twice() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(dir.path());
        fs::create_dir_all(dir.path().join("proc")).unwrap();
        fs::write(dir.path().join("proc/meminfo"), "MemTotal: 900000 kB\nMemAvailable: 500000 kB\n").unwrap();
        let to = dir.path().join("image");
        fs::write(&to, "half of it").unwrap();
        let mut room = Room { env: &env, to: to.clone(), reserve: 100 * MIB, limit: None };
        let mut offered = Offered {
            url: "http://h/x".into(),
            length: Some(300 * MIB),
            packed: None,
            image: Some(Superblock::new(Kind::Iso9660)),
            restart: 1,
            validator: Validator::None,
            digest: None,
        };
        assert!(room.open(&offered).is_ok());
        fs::write(&to, "half of it").unwrap();
        offered.length = Some(400 * MIB);
        let refused = room.open(&offered).err().unwrap();
        assert!(refused.downcast_ref::<TooLarge>().is_some_and(|why| why.needs == 400 * MIB), "{refused}");
        assert_eq!(fs::metadata(&to).unwrap().len(), 0);
    }
}
