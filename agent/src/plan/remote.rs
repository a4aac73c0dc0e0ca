//! An image on a server: the network brought up, the image fetched into RAM, the network let go.
//!
//! Sources: network.md 4, kiwi-live spec 2.4.4, dracut-live spec 3.

use std::path::Path;
use std::time::Duration;

use rdlive_fetch::dolly::Options;
use rdlive_fetch::transfer::Job;
use rdlive_fetch::url::{Url, UrlError};
use rdlive_net::grammar::{Wish, Word};

use super::acquire;
use super::act::{Destination, Kept, NetAct, Onto};
use super::slot::Slot;
use super::step::Step;
use super::wanted::Wanted;
use crate::config::explain::without_password;
use crate::config::{Access, Config, Share, TmpfsSize, Transfer, transfer};
use crate::error::{Code, Stop};
use crate::facts::Provider;
use crate::format::Kind;

/// Mount point of the tmpfs that holds what was fetched. Below `/run/initramfs`, because systemd leaves what is there alone at power-off.
pub const FETCHED_DIR: &str = "/run/initramfs/fetched";
/// The name of the file there: `/dev/ram0` is what the originals call it (kiwi-live spec 2.4.4).
pub const FETCHED: &str = "/run/initramfs/fetched/image";
/// Mount point of the tmpfs for what `live.updates=` names, the file itself, and where its files are shown.
pub const UPDATES_DIR: &str = "/run/initramfs/updating";
/// See [`UPDATES_DIR`].
pub const UPDATES: &str = "/run/initramfs/updating/file";
/// See [`UPDATES_DIR`].
pub const UPDATES_TREE: &str = "/run/initramfs/updating/tree";
const MIB: u64 = 1 << 20;

/// Fetches what a URL names into RAM, or to a disk. `follow`: another program brings the network up, and has it afterwards.
///
/// # Errors
/// [`Code::RootMalformed`] for what is no URL, [`Code::SourceNotBuilt`] for a scheme that is not built.
pub fn fetch(config: &Config, text: &str, follow: Option<Provider>, onto: Option<Onto>) -> Result<Vec<Step>, Stop> {
    let mut transfer = config.transfer();
    let text = signed(config, text)?;
    for mirror in &mut transfer.mirrors {
        *mirror = signed(config, mirror)?;
    }
    let mut from = vec![url(&text, "root=live:")?];
    for mirror in &transfer.mirrors {
        from.push(url(mirror, "rd.live.mirror=")?);
    }
    whole(&from, &transfer)?;
    // The first of all: a mirror is another place for the same file.
    transfer.mirrors.insert(0, text);
    let patience = transfer.patience.unwrap_or(config.deadline);
    let (wish, _) = config.network_wish();
    let kept = match follow {
        _ if wish.needed => Kept::ForSystem,
        Some(_) => Kept::ByProvider,
        None => Kept::Nothing,
    };
    let until_an_address = patience_for_an_address(config, &wish);
    let up = NetAct::Up { wish: Box::new(wish), patience: until_an_address, follow };
    let mut steps = vec![Step::Net(up)];
    let to = match onto {
        Some(onto) => Destination::Disk(onto),
        None => {
            steps.push(Step::Tmpfs { size: TmpfsSize::Percent(100), options: Vec::new(), at: FETCHED_DIR.into() });
            Destination::Ram(Path::new(FETCHED).to_owned())
        }
    };
    steps.push(Step::Net(NetAct::Fetch {
        from: from.iter().map(ToString::to_string).collect(),
        how: Box::new(transfer),
        to,
        reserve: config.ram_reserve_mib.saturating_mul(MIB),
        patience,
    }));
    steps.push(Step::Net(NetAct::Down(kept)));
    Ok(steps)
}

/// How long a boot waits at most for a network that nothing in it needs (network-field.md kind 27).
const UNNEEDED: Duration = Duration::from_secs(20);

/// Brings up the network that `rd.neednet=1` asks for, for the live system alone; without an address the boot goes on.
#[must_use]
pub fn unneeded(config: &Config) -> Vec<Step> {
    let (wish, _) = config.network_wish();
    let patience = patience_for_an_address(config, &wish).min(UNNEEDED);
    let up = NetAct::Up { wish: Box::new(wish), patience, follow: None };
    let steps = vec![Step::Net(up), Step::Net(NetAct::Down(Kept::ForSystem))];
    vec![Step::either(steps, Vec::new(), Wanted::Network)]
}

/// `rd.net.timeout.dhcp`, as often as `rd.net.dhcp.retry` says, but no longer than the boot waits for anything.
fn patience_for_an_address(config: &Config, wish: &Wish) -> Duration {
    let limit = wish.timeouts.dhcp.map(|limit| limit.saturating_mul(wish.dhcp_retry.unwrap_or(1).max(1)));
    limit.map_or(config.deadline, |limit| limit.min(config.deadline))
}

/// What is noted on a disk of where its image comes from: without credentials.
///
/// # Errors
/// [`Code::RootMalformed`], as [`fetch`].
pub fn known_as(config: &Config, text: &str) -> Result<String, Stop> {
    Ok(url(&signed(config, text)?, "root=live:")?.to_string())
}

/// A URL with the user that options for curl give.
fn signed(config: &Config, text: &str) -> Result<String, Stop> {
    let curl = config.curl().map_err(|error| wrong(format!("rd.kiwi.live.curl_options: {error}")))?;
    Ok(curl.signed(text))
}

/// Fetches what `live.updates=` names into a tmpfs (dracut-live spec 3.5); [`no_updates`] is for where that fails.
///
/// # Errors
/// As [`fetch`].
pub fn updates(config: &Config, text: &str, follow: Option<Provider>) -> Result<Vec<Step>, Stop> {
    let from = url(text, "live.updates=")?;
    // What belongs to the image is not that of the updates.
    let how = Transfer { mirrors: vec![text.to_owned()], sha256: None, limit: None, ..config.transfer() };
    let (wish, _) = config.network_wish();
    let patience = how.patience.unwrap_or(config.deadline);
    let fetch = NetAct::Fetch {
        from: vec![from.to_string()],
        how: Box::new(how),
        to: Destination::Files(UPDATES.into()),
        // They are in RAM for a moment only.
        reserve: 0,
        patience,
    };
    Ok(vec![
        Step::Net(NetAct::Up { wish: Box::new(wish), patience: config.deadline, follow }),
        Step::Tmpfs { size: TmpfsSize::Percent(100), options: Vec::new(), at: UPDATES_DIR.into() },
        Step::Net(fetch),
        no_updates(follow),
    ])
}

/// Lets the network go that updates came over, or did not: the image brings up its own.
#[must_use]
pub fn no_updates(follow: Option<Provider>) -> Step {
    Step::Net(NetAct::Down(if follow.is_some() { Kept::ByProvider } else { Kept::Nothing }))
}

/// Shows the files that were fetched at [`UPDATES_TREE`]. `kind`: of the file system that they are in; in an archive without one.
#[must_use]
pub fn show_updates(kind: Option<Kind>) -> Vec<Step> {
    let Some(kind) = kind else {
        return vec![Step::Unpack { archive: UPDATES.into(), at: UPDATES_TREE.into() }];
    };
    let looped =
        Step::Loop { file: UPDATES.into(), access: Access::ReadOnly, direct: false, into: Slot::Looked, found: None };
    let mut steps = vec![looped];
    steps.extend(acquire::driver(kind));
    steps.push(acquire::mount_kind(Slot::Looked, kind, Access::ReadOnly, Path::new(UPDATES_TREE)));
    steps
}

/// Gives back what fetched updates have taken. `mounted`: their file system is still shown.
#[must_use]
pub fn forget_updates(mounted: bool) -> Vec<Step> {
    let release = Step::Release { slot: Slot::Looked, at: Some(UPDATES_TREE.into()) };
    mounted.then_some(release).into_iter().chain([Step::Unmount { at: UPDATES_DIR.into() }]).collect()
}

/// Brings an AoE device within reach (network.md 2.3). Without `ip=` no interface gets an address: it needs none.
#[must_use]
pub fn aoe(config: &Config, node: &str, follow: Option<Provider>) -> Vec<Step> {
    let (mut wish, _) = config.network_wish();
    if wish.requests.is_empty() {
        wish.requests = Wish::parse([Word { key: "ip", value: Some("off") }]).0.requests;
    }
    let (wish, patience) = (Box::new(wish), config.deadline);
    vec![
        Step::Driver { module: "aoe".to_owned(), filesystem: None, option: "CONFIG_ATA_OVER_ETH".to_owned() },
        Step::Net(NetAct::Aoe { node: node.to_owned(), wish, patience, follow }),
    ]
}

/// Mounts the directory of an NFS server that holds an image.
#[must_use]
pub fn nfs(config: &Config, share: &Share, at: &Path, follow: Option<Provider>) -> Vec<Step> {
    let (wish, _) = config.network_wish();
    let driver = |module: &str, option: &str| Step::Driver {
        module: module.to_owned(),
        filesystem: None,
        option: option.to_owned(),
    };
    let mut steps = vec![driver("nfsv4", "CONFIG_NFS_V4")];
    if !share.is_v4 {
        steps.push(driver("nfsv3", "CONFIG_NFS_V3"));
    }
    let (patience, share) = (config.deadline, Box::new(share.clone()));
    steps.push(Step::Net(NetAct::Up { wish: Box::new(wish), patience, follow }));
    steps.push(Step::Net(NetAct::Nfs { share, at: at.to_owned(), patience }));
    steps
}

/// Reads the place of an image on an NFS server.
///
/// # Errors
/// [`Code::RootMalformed`].
pub fn share(text: &str) -> Result<Share, Stop> {
    Share::parse(text).map_err(|error| {
        Stop::new(Code::RootMalformed, format!("root=live:{text}: {error}")).wanted("nfs://<server>/<directory>/<file>")
    })
}

fn url(text: &str, karg: &str) -> Result<Url, Stop> {
    transfer::url(text).map_err(|error| match error {
        // A scheme that is known and not built, or not to be: which one says more than a list.
        UrlError::Scheme(_) => not_built(&without_password(text)),
        error => {
            let cause = format!("{karg}{}: {error}", without_password(text));
            Stop::new(Code::RootMalformed, cause).wanted("http://<server>/<path>; https, ftp, ftps, tftp, dolly")
        }
    })
}

fn wrong(cause: String) -> Stop {
    Stop::new(Code::FetchFailed, cause).advice("correct the command line")
}

/// What cannot be known from each word alone.
fn whole(from: &[Url], transfer: &Transfer) -> Result<(), Stop> {
    Job::new(from.to_vec(), None).map_err(|error| wrong(error.to_string()))?;
    let options =
        Options::parse(&transfer.dolly).map_err(|error| wrong(format!("rd.kiwi.live.dolly_options: {error}")));
    options.map(drop)
}

/// A source that this version does not know to fetch from.
#[must_use]
pub fn not_built(source: &str) -> Stop {
    let version = env!("CARGO_PKG_VERSION");
    Stop::new(Code::SourceNotBuilt, format!("{source} is not supported by rdlive {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;

    fn plan(text: &str) -> Result<Vec<String>, String> {
        let (config, _) = interpret_text(text);
        let crate::config::Source::Url(url) = &config.source else { return Err("no URL".into()) };
        let steps = fetch(&config, url, None, None).map_err(|stop| stop.to_string())?;
        Ok(steps.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_image_comes_into_ram_and_the_network_goes() {
        assert_eq!(
            plan("root=live:http://u:secret@h/x.iso rd.retry=30").unwrap(),
            [
                "network (any interface: DHCP or a router), at most 30 s",
                "tmpfs 100% at /run/initramfs/fetched",
                "fetch http://h/x.iso to RAM at /run/initramfs/fetched/image",
                "network: addresses and routes taken away",
            ]
        );
        let all = plan(
            "root=live:https://h/x.iso rd.live.mirror=http://m/y.iso ip=eth0:dhcp rd.neednet=1 \
             rd.live.sha256=0000000000000000000000000000000000000000000000000000000000000001",
        );
        assert_eq!(
            all.unwrap(),
            [
                "network (eth0: DHCPv4), at most 180 s",
                "tmpfs 100% at /run/initramfs/fetched",
                "fetch https://h/x.iso or http://m/y.iso to RAM at /run/initramfs/fetched/image, with its SHA-256",
                "network: left as it is",
            ]
        );
    }

    #[test]
    fn k27_a_network_that_nothing_needs_is_not_waited_for_longer_than_20_s() {
        let steps = |text: &str| {
            let steps = unneeded(&interpret_text(&format!("root=live:CDLABEL=x rd.neednet=1 {text}")).0);
            steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        for (text, expected) in [
            ("", "network (any interface: DHCP or a router), at most 20 s"),
            ("ip=eth0:dhcp rd.retry=5", "network (eth0: DHCPv4), at most 5 s"),
            ("rd.net.timeout.dhcp=60", "network (any interface: DHCP or a router), at most 20 s"),
        ] {
            let found = steps(text);
            assert!(found.contains(expected) && found.contains("network: left as it is"), "{text}: {found}");
        }
    }

    #[test]
    fn e11_a_file_on_an_nfs_server() {
        let steps = |text: &str| {
            let (config, _) = interpret_text(&format!("root=live:{text} rd.retry=30"));
            let steps = nfs(&config, &share(text).unwrap(), Path::new("/host"), None);
            steps.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let network = "network (any interface: DHCP or a router), at most 30 s";
        let (four, three) = ("driver nfsv4 (CONFIG_NFS_V4)", "driver nfsv3 (CONFIG_NFS_V3)");
        let found = steps("nfs://s/d/live.iso");
        assert_eq!(found, [four, three, network, "mount s:/d (nfs, ro) at /host, at most 30 s"]);
        assert_eq!(steps("nfs4:s:/d/live.iso"), [four, network, "mount s:/d (nfs, ro) at /host, at most 30 s"]);
        let stop = share("nfs:s:/").unwrap_err();
        assert_eq!(
            stop.to_string(),
            "RDL-001: root=live:nfs:s:/: it names no file or directory on the server; write nfs://<server>/<directory>/<file>"
        );
    }

    #[test]
    fn t47_an_aoe_device_needs_no_address() {
        let steps = |text: &str| {
            let steps = aoe(&interpret_text(text).0, "e0.1", None);
            steps.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let found = steps("root=live:AOEINTERFACE=e0.1 rd.retry=30");
        assert_eq!(
            found,
            ["driver aoe (CONFIG_ATA_OVER_ETH)", "AoE device e0.1 over any: up without an address, at most 30 s"]
        );
        let found = steps("root=live:AOEINTERFACE=e0.1 ip=eth0:dhcp");
        assert_eq!(found[1], "AoE device e0.1 over eth0: DHCPv4, at most 180 s");
    }

    #[test]
    fn what_cannot_be_fetched_is_named_without_its_password() {
        for (text, expected) in [
            ("root=live:http://u:secret@h:99999/x", "RDL-001: root=live:http://h:99999/x: "),
            ("root=live:torrent://h/x", "RDL-002: torrent://h/x is not supported by rdlive "),
            ("root=live:dolly://h/x rd.live.mirror=http://h/x", "RDL-071: dolly://h/x: a dolly server sends one image"),
            (
                "root=live:http://h/x rd.kiwi.live.curl_options=-o,secret",
                "RDL-071: rd.kiwi.live.curl_options: \"-o\" is nothing that rdlive can do",
            ),
            (
                "root=live:dolly: rd.kiwi.live.dolly_options=-s",
                "RDL-071: rd.kiwi.live.dolly_options: -s is an option for a dolly server",
            ),
            ("root=live:http://h/x rd.live.mirror=nonsense", "RDL-001: rd.live.mirror=nonsense: "),
        ] {
            let found = plan(text).unwrap_err();
            assert!(found.starts_with(expected) && !found.contains("secret"), "{text}: {found}");
        }
    }
}
