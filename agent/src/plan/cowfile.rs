//! A persistent area in a file beside the ISO file: used, made, or made anew where a reset was asked for.

use std::path::Path;

use super::acquire::driver;
use super::act::{Replace, Target};
use super::common::{checked, or_anew, remounted};
use super::persist::{Planner, bound_path, is_area};
use super::points::Points;
use super::slot::Slot;
use super::step::Step;
use super::wanted::{Finding, When};
use crate::area::{Found, HostSite, Nothing, Obstacle};
use crate::config::Access;
use crate::format::Kind;

impl Planner<'_> {
    pub(super) fn in_file(&self, host: &HostSite) -> Result<(Vec<Step>, String), Obstacle> {
        if let Some(why) = host.refusal.as_ref().filter(|_| !self.overlay.readonly) {
            return Err(why.clone());
        }
        let asked = self.points.host.join(&self.wish.cowfile_path);
        let bound = self.points.host.join(bound_path(&self.wish.cowfile_path, self.image));
        // The file that bears this image's name was made for it; the usual name may be another image's.
        let (mut use_it, place) = match (host.bound, host.asked) {
            (found, _) if found.is_content() => (self.use_or_replace(host, (&bound, found))?, &bound),
            // Another image's encrypted file is not even opened, and not reset either.
            _ if self.other_images(host).is_some() => (self.beside_locked(host, &bound)?, &bound),
            (_, Found::Absent) => (self.make_file(host, &asked)?, &asked),
            // Under a name that anything may have, what is not known may be anything, and stays.
            (_, Found::File(None)) if self.overlay.reset => (self.make_file(host, &bound)?, &bound),
            (_, found) => {
                let first = self.use_or_replace(host, (&asked, found))?;
                (self.with_own_file(host, first, &bound), &asked)
            }
        };
        let mut steps = remounted(self.overlay, &self.points.host);
        steps.append(&mut use_it);
        Ok((steps, format!("{} on {}", below(self.points, place).display(), host.node.display())))
    }

    /// A file that is there. When a reset was asked for, a new one takes its place if it holds nothing that is known, or an area
    /// that turns out to be damaged.
    fn use_or_replace(&self, host: &HostSite, (file, found): (&Path, Found)) -> Result<Vec<Step>, Obstacle> {
        let own = self.points.host.join(bound_path(&self.wish.cowfile_path, self.image));
        if self.overlay.reset && found.is_replaceable(file == own) {
            return self.make_file(host, file);
        }
        let used = self.use_file(file, found)?;
        if !self.overlay.reset {
            return Ok(used);
        }
        // A damaged file does not say whose it is. The name does, or the operator.
        let may_be_anothers = !(self.wish.accept || file == own);
        let new = if may_be_anothers { own.as_path() } else { file };
        let Ok(anew) = self.make_file(host, new) else { return Ok(used) };
        Ok(match may_be_anothers {
            true => {
                vec![Step::Branch { first: used, when: When::Found(Finding::OthersFileDamaged), then: anew }]
            }
            false => or_anew(used, None, anew, Finding::FileDamaged),
        })
    }

    /// The file under the usual name, or, when it turns out to be another image's, a new one that bears this image's name.
    fn with_own_file(&self, host: &HostSite, first: Vec<Step>, bound: &Path) -> Vec<Step> {
        let Ok(own) = self.make_file(host, bound) else { return first };
        vec![Step::Branch { first, when: When::Found(Finding::OthersFile), then: own }]
    }

    /// An own file beside the encrypted one of another image.
    fn beside_locked(&self, host: &HostSite, bound: &Path) -> Result<Vec<Step>, Obstacle> {
        self.make_file(host, bound).map_err(|why| {
            let owner = self.other_images(host).unwrap_or_default();
            Obstacle::OtherImage { owner, image: self.image.clone(), no_own: Some(Box::new(why)) }
        })
    }

    fn use_file(&self, file: &Path, found: Found) -> Result<Vec<Step>, Obstacle> {
        let place = below(self.points, file).display().to_string();
        let kind = match found {
            Found::File(Some(kind)) if is_area(kind) => {
                self.refuse_plain(place)?;
                kind
            }
            found => return Err(Obstacle::NoCowFile { place, found }),
        };
        let mut steps = driver(kind);
        steps.push(loop_file(file, self.overlay.access(), Some(found)));
        steps.extend(checked(self.overlay, kind));
        steps.extend(self.mounted(kind));
        Ok(steps)
    }

    fn make_file(&self, host: &HostSite, file: &Path) -> Result<Vec<Step>, Obstacle> {
        let name = below(self.points, file).display().to_string();
        if self.overlay.readonly {
            return Err(Obstacle::NothingToShow { place: name, nothing: Nothing::File });
        }
        let kind = self.kind()?;
        let (size, needs) = (self.wish.cowfile_mib.saturating_mul(1 << 20), self.least(kind));
        if size < needs {
            let place = "a cow file of this rd.live.cowfile.mbsize".to_owned();
            return Err(Obstacle::TooSmall { place, has: size, what: kind.name().to_owned(), needs });
        }
        if host.kind == Kind::Vfat && size > FAT_LIMIT {
            return Err(Obstacle::LargeForFat { node: host.node.clone(), file: name, size });
        }
        if size > host.free {
            return Err(Obstacle::HostFull { node: host.node.clone(), free: host.free, file: name, size });
        }
        let mut steps = driver(kind);
        let (there, unknown) = match file == self.points.host.join(&self.wish.cowfile_path) {
            true => (host.asked, Replace::Area),
            false => (host.bound, Replace::Own),
        };
        let replace = if matches!(there, Found::File(_)) { unknown } else { Replace::Nothing };
        let target = Target::File { path: file.to_owned(), size, replace };
        // kiwi-live gives the file no label, so that it is never found by one.
        steps.extend(self.made(target, kind, None));
        steps.push(loop_file(file, Access::ReadWrite, None));
        steps.extend(self.unlocked(&name));
        steps.extend(self.mounted(kind));
        Ok(steps)
    }
}

pub(super) fn below<'a>(points: &Points, path: &'a Path) -> &'a Path {
    path.strip_prefix(&points.host).unwrap_or(path)
}

pub(super) fn loop_file(file: &Path, access: Access, found: Option<Found>) -> Step {
    Step::Loop { file: file.to_owned(), access, direct: false, into: Slot::Cow, found }
}

/// FAT stores the length of a file in 32 bits.
pub(super) const FAT_LIMIT: u64 = (4 << 30) - 1;
