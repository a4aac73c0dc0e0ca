//! `rdlive explain`: what a command line means and what would be done, on any machine, touching nothing.

mod assumed;
mod medium;
mod readers;

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;

use crate::boot::{Boot, Told};
use crate::cmdline::Cmdline;
use crate::config::{self, Conf, Config, Source};
use crate::handover::{Facts, Report};
use crate::json;
use crate::terminal;

use assumed::Assumed;
use medium::{Medium, look};
use readers::{IpPnp, also_read, ip_pnp};

/// How `rdlive explain` was called.
#[derive(Debug, Default)]
struct Question {
    cmdline: Option<String>,
    media: Vec<PathBuf>,
    facts: Option<PathBuf>,
    json: bool,
}

impl Question {
    /// Which device stands for which medium, where there are several.
    fn standing(&self) -> Vec<String> {
        let several = self.media.iter().zip(assumed::DISKS).filter(|_| self.media.len() > 1);
        several
            .map(|(path, name)| format!("{} is /dev/{name}:", terminal::printable(&path.display().to_string())))
            .collect()
    }
}

/// Explains; the exit code is 1 when the command line has an error in it.
///
/// # Errors
/// Unreadable command line, medium or facts.
pub fn run(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let call = parse(arguments)?;
    let cmdline = match &call.cmdline {
        Some(text) => Cmdline::parse(text),
        None => Cmdline::load(Path::new("/"))?,
    };
    let facts = call.facts.as_deref().map(read_facts).transpose()?;
    let conf = match &facts {
        Some(facts) => Conf::parse(&facts.conf),
        None => Conf::load(Path::new("/"))?,
    };
    let (config, warnings) = config::interpret(&cmdline, &conf);
    let warnings = warnings.for_a_person();
    let plan = match facts {
        Some(facts) => happened(&config, facts),
        None => {
            let media = call.media.iter().map(|path| look(&config, path)).collect::<Result<_, _>>()?;
            call.standing().into_iter().chain(plan(&config, media)).collect()
        }
    };
    // A line that is given may be for another machine.
    let kernel = if call.cmdline.is_some() { IpPnp::Unknown } else { ip_pnp(Path::new("/")) };
    let read_too = also_read(&cmdline, kernel);
    if call.json {
        let mut whole = config::explain::explain_json(&config, &warnings, &plan);
        whole["read_too"] = readers::list(&read_too);
        terminal::print_json(&whole)?;
    } else {
        let meaning = config::explain::explain_lines(&config, &warnings, &[]);
        terminal::print(meaning.into_iter().chain(readers::lines(&read_too)).chain(plan).collect::<Vec<_>>());
    }
    let broken = warnings.iter().any(|warning| warning.level == config::Level::Error);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn parse(arguments: &[String]) -> Result<Question, lexopt::Error> {
    let mut call = Question::default();
    let mut parser = lexopt::Parser::from_args(arguments.iter().map(OsString::from));
    while let Some(argument) = parser.next()? {
        match argument {
            Long("cmdline") => call.cmdline = Some(parser.value()?.string()?),
            Long("medium") => call.media.push(PathBuf::from(parser.value()?)),
            Long("facts") => call.facts = Some(PathBuf::from(parser.value()?)),
            Long("json") => call.json = true,
            other => return Err(other.unexpected()),
        }
    }
    if !call.media.is_empty() && call.facts.is_some() {
        return Err("--facts says all of the medium, so --medium has no place beside it".into());
    }
    if call.media.len() > assumed::DISKS.len() {
        return Err(format!("--medium may be given {} times", assumed::DISKS.len()).into());
    }
    Ok(call)
}

/// What is assumed, and what a boot does then.
fn plan(config: &Config, media: Vec<Medium>) -> Vec<String> {
    // Nothing is asked of us.
    if !config.concerns_us() {
        return Vec::new();
    }
    let ends_at_once = config.source.is_not_built() || matches!(config.source, Source::Malformed { .. });
    let Assumed { facts, remarks } = if ends_at_once { Assumed::default() } else { assumed::assumed(config, media) };
    remarks.into_iter().chain(course(config, Told::assumed(facts))).collect()
}

/// What a boot has done, decided once more from what it was told.
fn happened(config: &Config, facts: Facts) -> Vec<String> {
    if config.concerns_us() { course(config, Told::happened(facts)) } else { Vec::new() }
}

/// What a boot does and says, and why it stops if it does.
fn course(config: &Config, mut world: Told) -> Vec<String> {
    let (report, hangs) = (Report::new("explain", config, &[]), world.area_hangs());
    let result = Boot::new(&mut world, config, Path::new("/sysroot"), report).avoiding_area(hangs).run();
    let mut lines = world.lines();
    if let Err(stop) = result {
        lines.push("then the boot stops:".to_owned());
        lines.extend(stop.lines());
    }
    lines
}

/// The facts of a report, or facts alone.
fn read_facts(path: &Path) -> Result<Facts, Box<dyn Error>> {
    let say = |error: &dyn std::fmt::Display| Box::<dyn Error>::from(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| say(&error))?;
    let mut value: serde_json::Value = json::read(text.as_bytes()).map_err(|error| say(&error))?;
    let is_report = value.get("schema").is_some();
    if is_report {
        let facts = value.get_mut("facts").map(serde_json::Value::take);
        value = facts.ok_or_else(|| say(&"it is the report of an rdlive that kept no facts"))?;
    }
    serde_json::from_value(value).map_err(|error| say(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;
    use crate::error::{Code, Stop};
    use crate::facts::{Content, Device, ImageFile};
    use crate::format::{Kind, Superblock};
    use crate::terminal::tests::with_each_text;

    fn planned(cmdline: &str) -> String {
        plan(&interpret_text(cmdline).0, Vec::new()).join("\n")
    }

    #[test]
    fn a_medium_that_would_not_be_chosen_is_named() {
        let found = || {
            let names = (Some("LIVE".to_owned()), Some("2026-aB".to_owned()));
            Superblock { label: names.0, uuid: names.1, ..Superblock::new(Kind::Iso9660) }
        };
        for (cmdline, chosen) in [
            ("root=live:CDLABEL=LIVE", true),
            ("root=live:CDLABEL=live", false),
            ("root=live:UUID=2026-Ab", true),
            ("root=live:UUID=2026-cc", false),
            ("root=live:/dev/sr0", true),
        ] {
            let (config, _) = interpret_text(cmdline);
            let text = plan(&config, vec![(found(), Some(assumed::usual_content(&config)))]).join("\n");
            let stops = text.contains("RDL-010") && text.contains("found:  /dev/sda1 iso9660 LABEL=\"LIVE\"");
            assert_eq!((stops, text.contains("overlay lower")), (!chosen, chosen), "{cmdline}:\n{text}");
        }
    }

    /// Two media of one label: which one is used, with what is on that one, and why.
    #[test]
    fn of_several_media_one_is_chosen_and_it_is_said_why() {
        let medium = |uuid: &str, file: &str| {
            let names = (Some("LIVE".to_owned()), Some(uuid.to_owned()));
            let image = ImageFile { path: file.into(), kind: Kind::Erofs, compressor: None, dirty: false };
            (
                Superblock { label: names.0, uuid: names.1, ..Superblock::new(Kind::Iso9660) },
                Some(Content::Container(image)),
            )
        };
        for (kargs, chosen, file, why) in [
            (
                "",
                "sda1",
                "first.img",
                "/dev/sdb1 matches too; using /dev/sda1, the first by name; rd.live.medium=UUID=A",
            ),
            ("rd.live.medium=UUID=B", "sdb1", "second.img", "using /dev/sdb1, which the boot loader came from"),
        ] {
            let (config, _) = interpret_text(&format!("root=live:CDLABEL=LIVE {kargs}"));
            let text = plan(&config, vec![medium("A", "first.img"), medium("B", "second.img")]).join("\n");
            for words in [&format!("device /dev/{chosen} as medium"), file, why] {
                assert!(text.contains(words), "{kargs}: {words} is not in\n{text}");
            }
        }
    }

    #[test]
    fn f12_no_text_of_a_command_line_or_medium_makes_lines_of_its_own() {
        let read = |value| serde_json::from_value::<Config>(value).ok();
        for (cmdline, texts) in [
            (
                "root=live:CDLABEL=LIVE rd.overlay=LABEL=P:/d rootflags=a,b iso-scan/filename=/a.iso init=/x rd.liv.image",
                10,
            ),
            (
                "root=live:LABEL=x rd.live.ram rd.live.dir=d rd.live.squashimg=s rd.driver.pre=m rd.live.report=/dev/ttyS1",
                6,
            ),
            ("root=live:http://u:p@h/x.iso ip=dhcp proxy=p rd.live.overlay.persistent rd.live.cowfile.path=c", 6),
            ("root=LABEL=x rd.overlay.crypt=LABEL=c rd.live.encrypt.keyfile=/k:LABEL=y", 6),
        ] {
            let (config, warnings) = interpret_text(cmdline);
            let shown = |config: &Config| config::explain::explain_lines(config, &warnings, &plan(config, Vec::new()));
            let checked = with_each_text(&serde_json::to_value(&config).unwrap(), read, shown);
            assert!(checked >= texts, "{cmdline}: {checked}");
        }
        let (config, _) = interpret_text("root=live:/dev/sr0 rd.live.ram");
        let sample = serde_json::json!({
            "devices": [
                { "name": "sr0", "node": "/dev/sr0", "size": 9, "superblock": { "kind": "iso9660", "label": "x", "uuid": "y", "dirty": false } },
                { "name": "sda", "node": "/dev/sda", "size": 9, "unreadable": "EIO" },
            ],
            "silent": ["sdz"], "silent_drivers": ["stuck"],
            "looks": [
                { "content": { "container": { "path": "LiveOS/squashfs.img", "kind": "squashfs" } } },
                { "failed": ["ram", null, "no memory"] },
            ],
            "failed": [[1, { "code": "RDL-012", "cause": "why", "wanted": "this", "found": ["that"], "advice": "do" }]],
        });
        let shown = |facts: &Facts| happened(&config, facts.clone());
        assert!(with_each_text(&sample, |value| serde_json::from_value(value).ok(), shown) > 10);
    }

    /// What the boot does, and nothing else (redesign.md §1).
    #[test]
    fn the_plan_ends_where_the_boot_does_and_begins_where_it_does() {
        let network = planned("root=live:http://h/x.iso rd.live.overlay.persistent");
        let fetched = "fetch http://h/x.iso to RAM at /run/initramfs/fetched/image";
        assert!(network.contains(fetched) && !network.contains("partition"), "{network}");
        assert!(network.contains("overlay lower"), "{network}");
        let other = planned("root=live:torrent://h/x.iso rd.live.overlay.persistent");
        let end = "then the boot stops:\nRDL-002: torrent://h/x.iso is not supported";
        assert!(other.contains(end) && !other.contains("partition"), "{other}");
        let file = planned("root=live:CDLABEL=x rd.live.overlay.persistent iso-scan/filename=/a.iso");
        let at = |words: &str| file.find(words).unwrap_or_else(|| panic!("{words} is not in\n{file}"));
        let mounted = at("mount host ext4 (ro) [noload] at /run/initramfs/isoscan");
        assert!(mounted < at("loop /run/initramfs/isoscan/a.iso (ro, direct) as medium"), "{file}");
        assert!(mounted < at("remount /run/initramfs/isoscan"), "{file}");
        let beside = planned("root=live:CDLABEL=x rd.overlay=:auto iso-scan/filename=/a.iso");
        assert!(beside.contains("either unmount /run/initramfs/isoscan"), "{beside}");
        for (kargs, code) in [
            (
                "root=live:CDLABEL=x rd.live.overlay.persistent=required rd.overlay=none",
                "RDL-050: the command line leaves",
            ),
            ("root=live:CDLABEL=x rd.live.overlay.persistent=required rd.live.overlay.cowfs=vfat", "RDL-050: rd.live"),
            ("root=LABEL=x rd.overlay rd.live.overlay.persistent=required", "RDL-050: the root is no live medium"),
        ] {
            let text = planned(kargs);
            assert!(text.contains(&format!("then the boot stops:\n{code}")), "{kargs}:\n{text}");
            assert!(!text.contains("assemble"), "{kargs}:\n{text}");
        }
    }

    #[test]
    fn without_a_medium_the_plan_is_for_the_usual_one() {
        let text = planned("root=live:CDLABEL=LIVE");
        assert!(text.starts_with("assuming") && text.contains("mount container squashfs"), "{text}");
        assert!(text.contains("a nested image would become a device-mapper root"), "{text}");
        assert!(!planned("root=live:CDLABEL=LIVE rd.overlay").contains("device-mapper"));
        assert_eq!(planned("root=/dev/sda1"), "");
        // Whatever names the medium, one is assumed that has this name.
        for source in ["UUID=ab", "PARTUUID=ab", "PARTLABEL=ab", "/dev/disk/by-id/ab", "/dev/sr0", "/live.iso"] {
            for kargs in ["", " iso-scan/filename=/a.iso", " rd.live.medium=UUID=cd"] {
                let text = planned(&format!("root=live:{source} rd.overlay{kargs}"));
                assert!(text.contains("overlay lower"), "{source}{kargs}:\n{text}");
            }
        }
    }

    #[test]
    fn plans_show_where_changes_are_kept() {
        for (cmdline, expected) in [
            ("root=live:LABEL=x rd.live.overlay.persistent", &["partition /dev/sda number 3", "label cow"][..]),
            ("root=live:LABEL=x rd.live.overlay.persistent iso-scan/filename=/a.iso", &["live_system.cow"]),
            (
                "root=live:LABEL=x rd.overlay=LABEL=P",
                &["assuming an ext4 with nothing at LABEL=P", "device /dev/sdc1 as cow"],
            ),
            (
                "root=live:LABEL=x rd.overlay=LABEL=P:/d rd.overlay.readonly",
                &["/run/overlayfs-r to /run/initramfs/overlayfs/d"],
            ),
            ("root=live:LABEL=x rd.overlay=:auto", &["iso9660, which cannot be written to", "tmpfs"]),
            ("root=live:LABEL=x rd.overlay=:auto iso-scan/filename=/a.iso", &["remount /run/initramfs/isoscan"]),
            ("root=live:LABEL=x rd.overlay.crypt=/dev/sdx", &["is empty", "encrypt device /dev/sdx"]),
            ("root=live:LABEL=x rd.overlay.crypt=LABEL=c", &["is a LUKS volume", "unlock cow"]),
            (
                "root=live:LABEL=x rd.live.overlay.persistent rd.live.encrypt rd.live.encrypt.keyfile=LABEL=K:/k",
                &["device /dev/sdd1 as looked", "key LABEL=K:/k", "LUKS2 label lukscow"],
            ),
            // The medium itself, or what holds its ISO file, is no second device of that name.
            ("root=live:LABEL=x rd.overlay=LABEL=x", &["the medium /dev/sda1 is iso9660", "tmpfs"]),
            (
                "root=live:LABEL=x iso-scan/filename=LABEL=d:/a.iso rd.overlay=LABEL=d:/dir",
                &["remount /run/initramfs/isoscan", "changes are kept on dir on /dev/sda1"],
            ),
            ("root=LABEL=x rd.overlay", &["move /sysroot to /run/rootfsbase", "overlay lower /run/rootfsbase"]),
            ("root=LABEL=x rd.overlay=LABEL=P", &["mount cow ext4 (rw) at /run/overlayfs-backing"]),
        ] {
            let text = planned(cmdline);
            for words in expected {
                assert!(text.contains(words), "{cmdline}: {words} is not in\n{text}");
            }
        }
    }

    /// A boot that has happened is told as it did, with what failed in it.
    #[test]
    fn what_has_happened_is_told_with_what_failed() {
        let (config, _) = interpret_text("root=live:CDLABEL=LIVE rd.overlay");
        let Assumed { mut facts, .. } = assumed::assumed(&config, Vec::new());
        let second = Device { name: "sdb".into(), node: "/dev/sdb".into(), ..facts.devices[0].clone() };
        facts.devices.push(second);
        facts.failed.push((2, Stop::new(Code::MediumMount, "the driver gives up")));
        let facts: Facts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
        let text = happened(&config, facts).join("\n");
        for words in [
            "acquire   mount medium iso9660 (ro) at /run/initramfs/live failed: RDL-012: the driver gives up",
            "warns     sda1: RDL-012: the driver gives up, trying the next",
            "acquire   device /dev/sdb as medium",
            "assemble  overlay lower /run/rootfsbase",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
    }

    /// All that a boot was told counts, and nothing of this machine.
    #[test]
    fn what_has_happened_is_told_from_all_of_its_facts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts.json");
        let (config, _) = interpret_text("root=live:CDLABEL=LIVE rd.live.overlay.persistent");
        let Assumed { mut facts, .. } = assumed::assumed(&config, Vec::new());
        facts.conf = "dialect = kiwi\n".to_owned();
        facts.silent = vec!["sdz".to_owned()];
        facts.area_hangs = Some("writing to /dev/sda has hung".to_owned());
        std::fs::write(&path, serde_json::to_vec(&facts).unwrap()).unwrap();
        let facts = read_facts(&path).unwrap();
        let (config, _) =
            config::interpret(&Cmdline::parse("root=live:CDLABEL=LIVE rd.overlay"), &Conf::parse(&facts.conf));
        assert_eq!(config.dialect, config::Dialect::Kiwi);
        let (config, _) = interpret_text("root=live:CDLABEL=LIVE rd.live.overlay.persistent");
        let text = happened(&config, facts).join("\n");
        for words in [
            "warns     /dev/sdz does not answer",
            "falling back to RAM: RDL-042: writing to /dev/sda has hung",
            "tmpfs",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        assert!(!text.contains("partition /dev/sda"), "{text}");
        std::fs::write(&path, "{\"schema\": 1}").unwrap();
        assert!(read_facts(&path).unwrap_err().to_string().contains("kept no facts"));
    }

    /// docs/explain.md promises that no URL has a user or password.
    #[test]
    fn no_url_tells_a_password() {
        for cmdline in
            ["root=live:cifs://u:secret@h/x.iso", "root=nfs://u:secret@h/x", "root=live:http://u:secret@h/x.iso"]
        {
            let (config, warnings) = interpret_text(cmdline);
            let plan = plan(&config, Vec::new());
            let lines = config::explain::explain_lines(&config, &warnings, &plan).join("\n");
            let whole = config::explain::explain_json(&config, &warnings, &plan).to_string();
            assert!(!lines.contains("secret") && !whole.contains("secret"), "{cmdline}:\n{lines}\n{whole}");
        }
    }
}
