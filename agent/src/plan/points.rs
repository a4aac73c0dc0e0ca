//! Where things are mounted, in both dialects, and the links that make the other dialect's paths resolve.

use std::path::{Path, PathBuf};

use super::slot::Slot;
use super::step::Step;
use crate::config::Dialect;

/// Where the medium is when the root is assembled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Mounted, or itself the container.
    #[default]
    Needed,
    /// A device that nothing is mounted from any more.
    Released,
    /// An ISO file whose loop device has been freed.
    Gone,
}

/// Mount points of one dialect (kiwi-live spec 2.7, dracut-live spec 2.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Points {
    dialect: Dialect,
    /// The file system that holds an ISO file.
    pub host: PathBuf,
    /// Link to the device at `host`.
    pub host_link: PathBuf,
    /// The medium.
    pub live: PathBuf,
    /// The container.
    pub container: PathBuf,
    /// The read-only root.
    pub lower: PathBuf,
    /// The tmpfs of a temporary write area.
    pub area: PathBuf,
    /// Upper directory of the overlay.
    pub upper: PathBuf,
    /// Work directory of the overlay.
    pub work: PathBuf,
    /// What became of the medium; a link that leads nowhere is not made.
    pub medium: Presence,
    /// File system of a persistent area that was found or made automatically.
    pub persistent: PathBuf,
    /// File system of a persistent area that was named.
    pub named: PathBuf,
    /// File system inside an image file on [`Points::named`].
    pub persistent_image: PathBuf,
    /// The file system that holds a key file, while it is read.
    pub key: PathBuf,
    /// A file system that is looked into for a system that sleeps, for that long.
    pub look: PathBuf,
    /// The image, where it lies in a file, while programs of it are run.
    pub programs: PathBuf,
    /// Link to the kept changes when they are only shown.
    pub upper_readonly: PathBuf,
}

impl Points {
    /// The mount points of a dialect.
    pub fn new(dialect: Dialect) -> Self {
        let (live, container, lower, area, upper, work) = match dialect {
            Dialect::Kiwi => (
                "/run/overlay/live",
                "/run/overlay/squashfs_container",
                "/run/overlay/rootfsbase",
                "/run/overlay",
                "/run/overlay/overlayfs/rw",
                "/run/overlay/overlayfs/work",
            ),
            // The container is not at /run/initramfs/squashfs: case B5 wants no mount there in the booted system.
            Dialect::Dmsquash => (
                "/run/initramfs/live",
                "/run/rdlive/container",
                "/run/rootfsbase",
                "/run/initramfs/overlay",
                "/run/initramfs/overlay/overlayfs",
                "/run/initramfs/overlay/ovlwork",
            ),
        };
        Self {
            dialect,
            host: "/run/initramfs/isoscan".into(),
            host_link: "/run/initramfs/isoscandev".into(),
            live: live.into(),
            container: container.into(),
            lower: lower.into(),
            area: area.into(),
            upper: upper.into(),
            work: work.into(),
            medium: Presence::default(),
            persistent: match dialect {
                Dialect::Kiwi => "/run/overlay/overlayfs".into(),
                Dialect::Dmsquash => "/run/initramfs/overlayfs".into(),
            },
            named: "/run/initramfs/overlayfs".into(),
            persistent_image: "/run/initramfs/overlayfs-image".into(),
            key: "/run/rdlive/key".into(),
            look: "/run/rdlive/look".into(),
            programs: "/run/rdlive/programs".into(),
            upper_readonly: "/run/overlayfs-r".into(),
        }
    }

    /// The mount points over a root that is no live image (dracut-live spec 1.5, 2.8).
    pub fn ordinary() -> Self {
        Self { named: "/run/overlayfs-backing".into(), medium: Presence::Gone, ..Self::new(Dialect::Dmsquash) }
    }

    /// The links of dracut's overlayfs module to upper and work.
    pub fn overlay_links(&self) -> Vec<Step> {
        let link = |at: &str, to: &Path| Step::Symlink { at: at.into(), to: to.to_owned() };
        vec![link("/run/overlayfs", &self.upper), link("/run/ovlwork", &self.work)]
    }

    /// Links by which every path that either original leaves in `/run` resolves. `live` and `container` say whether
    /// a medium and a container are mounted.
    pub fn compatibility(&self, live: bool, container: bool) -> Vec<Step> {
        let mut steps = self.medium_links(live, container);
        steps.extend(self.layer_links());
        steps
    }

    /// Links to medium and container. A root without an overlay has no others: programs tell by `/run/rootfsbase` which
    /// of the two it is.
    pub fn medium_links(&self, live: bool, container: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.medium != Presence::Gone {
            let links = ["/run/initramfs/livedev", "/run/overlay/isodev"];
            steps.extend(links.map(|at| Step::LinkDevice { at: at.into(), slot: Slot::Medium }));
        }
        let mut link = |at: &str, to: &Path| {
            if Path::new(at) != to {
                steps.push(Step::Symlink { at: at.into(), to: to.to_owned() });
            }
        };
        if live && self.medium == Presence::Needed {
            link("/run/initramfs/live", &self.live);
            link("/run/overlay/live", &self.live);
        }
        if container {
            link("/run/overlay/squashfs_container", &self.container);
        }
        steps
    }

    /// Links that were made while the medium was there, and lead nowhere now that it is not.
    pub fn stale_links(&self) -> Vec<PathBuf> {
        let links = |points: &Self| -> Vec<PathBuf> {
            let at = |step: &Step| match step {
                Step::Symlink { at, .. } | Step::LinkDevice { at, .. } => Some(at.clone()),
                _ => None,
            };
            points.medium_links(true, false).iter().filter_map(at).collect()
        };
        let now = links(self);
        let before = links(&Self { medium: Presence::Needed, ..self.clone() });
        before.into_iter().filter(|link| !now.contains(link)).collect()
    }

    /// Links to the layers of an overlay by all their names.
    pub fn layer_links(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut link = |at: &str, to: &Path| {
            if Path::new(at) != to {
                steps.push(Step::Symlink { at: at.into(), to: to.to_owned() });
            }
        };
        link("/run/rootfsbase", &self.lower);
        link("/run/overlay/rootfsbase", &self.lower);
        link("/run/overlayfs", &self.upper);
        link("/run/ovlwork", &self.work);
        if self.dialect == Dialect::Dmsquash {
            link("/run/overlay/overlayfs/rw", &self.upper);
            link("/run/overlay/overlayfs/work", &self.work);
        } else {
            link("/run/initramfs/overlay/overlayfs", &self.upper);
            link("/run/initramfs/overlay/ovlwork", &self.work);
        }
        steps
    }
}
