//! Where changes would be kept: the plan for a place that is assumed, because none is looked at here.

use std::path::PathBuf;

use crate::area::{DiskSite, Found, HostSite, Identity, NamedSite, NoGap, Obstacle, Site};
use crate::boot::required;
use crate::config::{Config, Method, OverlayCrypt, Persistence, Selector};
use crate::error::Stop;
use crate::facts::{Device, MediumFacts, Seen};
use crate::format::Kind;
use crate::plan::persist::{self, Area, Planner};
use crate::plan::{GivenUp, Points, Step, Wanted, acquire, crypt, named, ordinary};
use crate::table::Gap;

const GIB: u64 = 1 << 30;

/// An area that is assumed.
#[derive(Debug, Default)]
pub(super) struct Assumed {
    /// What is assumed, or why nothing can be kept; a line for a person.
    pub remark: Option<String>,
    /// Steps that bring it into reach before the root is assembled.
    pub acquire: Vec<Step>,
    /// The area.
    pub area: Option<Area>,
    /// Why the boot stops instead: an area is required.
    pub stops: Option<Stop>,
}

/// The area for a configuration; without a medium the root is an ordinary one.
pub(super) fn assumed(config: &Config, points: &Points, medium: Option<&MediumFacts>) -> Assumed {
    let overlay = &config.overlay;
    let none = |why| (None, Vec::new(), Err(why));
    let answer = match (&overlay.crypt, &overlay.persistence, medium) {
        (None, None, _) if !overlay.required => return Assumed::default(),
        _ if overlay.method == Method::Direct && !overlay.required => return Assumed::default(),
        _ if overlay.method == Method::Direct => none(Obstacle::NoPlace),
        (None, None, _) => none(Obstacle::NoPlace),
        (Some(crypt), ..) => encrypted_device(config, points, crypt),
        (_, Some(Persistence::Automatic(_)), Some(medium)) => automatic(config, points, medium),
        (_, Some(Persistence::Automatic(_)), None) => none(Obstacle::NoMedium),
        (_, Some(_), _) if overlay.unlock.encrypt => none(Obstacle::NamedPlain),
        (_, Some(Persistence::Named { device, path }), _) => on_device(config, points, medium, device, path.clone()),
        (_, Some(Persistence::OnMedium { path }), Some(medium)) => on_medium(config, points, medium, path.clone()),
        (_, Some(_), None) => none(Obstacle::NoMedium),
    };
    answered(config, answer)
}

fn answered(config: &Config, (remark, acquire, area): Answer) -> Assumed {
    match area {
        Ok(area) => Assumed { remark, acquire, area: Some(area), stops: None },
        Err(why) if config.overlay.required => Assumed { stops: Some(required(why.into())), ..Assumed::default() },
        Err(why) => Assumed {
            remark: Some(GivenUp { what: Wanted::Changes, why: why.into() }.to_string()),
            ..Assumed::default()
        },
    }
}

type Answer = (Option<String>, Vec<Step>, Result<Area, Obstacle>);

/// An empty device for `rd.overlay.crypt`.
fn encrypted_device(config: &Config, points: &Points, wish: &OverlayCrypt) -> Answer {
    let device = Device { node: "/dev/…".into(), size: 8 * GIB, ..Device::default() };
    let (steps, area) = match crypt::device(wish, &config.overlay, &device) {
        Ok(opening) => (opening.steps.clone(), crypt::device_area(&config.overlay, points, opening, Some(wish.fstype))),
        Err(why) => (Vec::new(), Err(why)),
    };
    (Some("assuming that the device of rd.overlay.crypt is empty:".to_owned()), steps, area)
}

/// The first boot from a stick, or beside an ISO file.
fn automatic(config: &Config, points: &Points, medium: &MediumFacts) -> Answer {
    let image = Identity::of(medium);
    let Some(planner) = Planner::of(&config.overlay, points, &image) else {
        return (None, Vec::new(), Err(Obstacle::NoPlace));
    };
    let (remark, site) = match config.iso_scan {
        Some(_) => ("assuming an ISO file on an ext4 with 100 GiB free, and the first boot:", beside_the_iso_file()),
        None => ("assuming a stick with 8 GiB behind the image, and the first boot:", stick()),
    };
    (Some(remark.to_owned()), Vec::new(), planner.automatic(&site))
}

fn stick() -> Site {
    let name = "sda".to_owned();
    let gap = Some(Gap { number: 3, start: GIB, size: 8 * GIB });
    let (area, locked, unused, no_gap, foreign) = (None, None, None, NoGap::default(), Vec::new());
    Site::Disk(Box::new(DiskSite {
        seen: Seen::default(),
        name,
        read_only: false,
        whole: false,
        image: GIB,
        area,
        locked,
        unused,
        unused_doubt: None,
        gap,
        no_gap,
        foreign,
    }))
}

fn beside_the_iso_file() -> Site {
    let (node, refusal) = ("/dev/…".into(), None);
    let (asked, bound, asked_mark, bound_mark) = (Found::Absent, Found::Absent, None, None);
    Site::Host(HostSite { node, kind: Kind::Ext4, free: 100 * GIB, refusal, asked, bound, asked_mark, bound_mark })
}

fn on_device(
    config: &Config,
    points: &Points,
    medium: Option<&MediumFacts>,
    selector: &Selector,
    path: Option<PathBuf>,
) -> Answer {
    let overlay = &config.overlay;
    let node = match selector {
        Selector::Path(path) => path.clone(),
        other => PathBuf::from(other.to_string()),
    };
    let (found, what) = match overlay.readonly || overlay.reset {
        true => (Found::Directory, "with earlier changes"),
        false => (Found::Absent, "with nothing"),
    };
    let remark = format!("assuming an ext4 {what} at {}:", node.display());
    let device = Device { node: node.clone(), ..Device::default() };
    let site = site(config, points, medium, node, path, found);
    (Some(remark), acquire::named(points, &device, Kind::Ext4, overlay.readonly), named::area(overlay, points, &site))
}

fn on_medium(config: &Config, points: &Points, medium: &MediumFacts, path: Option<PathBuf>) -> Answer {
    let (kind, from, what) = match config.iso_scan {
        Some(_) => (Kind::Ext4, &points.host, Some("assuming an ISO file on an ext4:")),
        None => (medium.kind, &points.live, None),
    };
    if !kind.is_writable() {
        let why = Obstacle::NotWritable { place: "the medium".to_owned(), kind: Some(kind) };
        return (None, Vec::new(), Err(why));
    }
    let found = if config.overlay.readonly { Found::Directory } else { Found::Absent };
    let site = site(config, points, Some(medium), "the medium".into(), path, found);
    let site = NamedSite { kind, shared: Some(from.clone()), ..site };
    (what.map(str::to_owned), Vec::new(), named::area(&config.overlay, points, &site))
}

fn site(
    config: &Config,
    points: &Points,
    medium: Option<&MediumFacts>,
    node: PathBuf,
    path: Option<PathBuf>,
    found: Found,
) -> NamedSite {
    let path = match (path, medium) {
        (Some(path), _) => path,
        (None, Some(medium)) => persist::named_path(&config.live_dir, &Identity::of(medium)),
        (None, None) => ordinary::path(None),
    };
    let image = medium.map(Identity::of);
    NamedSite { node, kind: Kind::Ext4, at: points.named.clone(), path, found, stranger: false, shared: None, image }
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use crate::config::interpret_text;

    #[test]
    fn plans_show_where_changes_are_kept() {
        for (cmdline, expected) in [
            ("root=live:LABEL=x rd.live.overlay.persistent", &["partition /dev/sda number 3", "label cow"][..]),
            ("root=live:LABEL=x rd.live.overlay.persistent iso-scan/filename=/a.iso", &["live_system.cow"]),
            (
                "root=live:LABEL=x rd.overlay=LABEL=P",
                &["assuming an ext4 with nothing at LABEL=P", "device LABEL=P as cow"],
            ),
            (
                "root=live:LABEL=x rd.overlay=LABEL=P:/d rd.overlay.readonly",
                &["/run/overlayfs-r to /run/initramfs/overlayfs/d"],
            ),
            ("root=live:LABEL=x rd.overlay=:auto", &["iso9660, which cannot be written to", "tmpfs"]),
            ("root=live:LABEL=x rd.overlay=:auto iso-scan/filename=/a.iso", &["remount /run/initramfs/isoscan"]),
            ("root=LABEL=x rd.overlay", &["move /sysroot to /run/rootfsbase", "overlay lower /run/rootfsbase"]),
            ("root=LABEL=x rd.overlay=LABEL=P", &["mount cow ext4 (rw) at /run/overlayfs-backing"]),
        ] {
            let text = plan(&interpret_text(cmdline).0, None).unwrap().join("\n");
            for words in expected {
                assert!(text.contains(words), "{cmdline}: {words} is not in\n{text}");
            }
        }
    }
}
