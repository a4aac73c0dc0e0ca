//! Which volumes are opened, and whose they are told to be.

use super::*;
use crate::config::interpret_text;

const OTHER: &str = "rdlive:00112233aabbccdd:OTHER";

fn image() -> Identity {
    Identity { volume_id: Some("LIVE".to_owned()), image_uuid: Some("1".to_owned()), agent: "1".to_owned() }
}

/// `closed` with the number, `own file`, or `opened` with what is done about mark and identity.
fn outcome(kargs: &str, site: &Site) -> String {
    let (config, _) = interpret_text(&format!("root=live:CDLABEL=LIVE rd.live.overlay.persistent {kargs}"));
    let (points, image) = (Points::new(config.dialect), image());
    match Planner::of(&config.overlay, &points, &image).unwrap().opening(site) {
        None => "own file".to_owned(),
        Some(Err(stop)) => format!("closed {}", stop.code()),
        Some(Ok(opening)) => {
            let accept = if opening.accept { " accepting" } else { "" };
            let mark = if opening.mark.is_some() { " marking" } else { "" };
            format!("opened{accept}{mark}")
        }
    }
}

fn host(asked: Found, asked_mark: &str, bound: Found, bound_mark: &str) -> Site {
    let mark = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (asked_mark, bound_mark) = (mark(asked_mark), mark(bound_mark));
    let (kind, free, refusal) = (Kind::Vfat, 1 << 40, None);
    Site::Host(HostSite { node: "/dev/sdb1".into(), kind, free, refusal, asked, bound, asked_mark, bound_mark })
}

fn disk(mark: &str) -> Site {
    let subsystem = if mark.is_empty() { String::new() } else { format!(r#","subsystem":"{mark}""#) };
    let text = format!(
        r#"{{"disk":{{"name":"sda","image":1048576,"locked":{{"start":2097152,"device":{{"name":"sda3","node":"/dev/sda3",
        "superblock":{{"kind":"luks","label":"lukscow","dirty":false{subsystem}}}}}}}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

#[test]
fn t38_whose_cow_file_is_opened() {
    let own = image().header_mark();
    let (luks, ext4, none) = (Found::File(Some(Kind::Luks)), Found::File(Some(Kind::Ext4)), Found::Absent);
    for (kargs, asked, asked_mark, bound, bound_mark, expected) in [
        ("", luks, "", none, "", "opened marking"),
        ("", luks, "somebody's", none, "", "opened"),
        ("", luks, &*own, none, "", "opened"),
        ("", luks, OTHER, none, "", "own file"),
        ("rd.live.encrypt", luks, OTHER, none, "", "own file"),
        ("rd.live.overlay.reset", luks, OTHER, none, "", "own file"),
        ("rd.live.overlay.reset", luks, "", none, "", "opened marking"),
        ("rd.live.overlay.persistent=accept", luks, OTHER, none, "", "opened accepting marking"),
        ("rd.live.overlay.persistent=accept rd.live.overlay.readonly", luks, OTHER, none, "", "opened accepting"),
        ("rd.live.overlay.readonly", luks, "", none, "", "opened"),
        // The file that bears the image's name comes first.
        ("", luks, OTHER, luks, &*own, "opened"),
        ("", luks, OTHER, luks, "", "opened marking"),
        ("", luks, &*own, luks, OTHER, "closed RDL-051"),
        ("rd.live.overlay.reset", luks, &*own, luks, OTHER, "closed RDL-051"),
        ("rd.live.overlay.persistent=accept", luks, "", luks, OTHER, "opened accepting marking"),
        ("", luks, &*own, ext4, "", "own file"),
        ("", ext4, "", none, "", "own file"),
    ] {
        let found = outcome(kargs, &host(asked, asked_mark, bound, bound_mark));
        assert_eq!(found, expected, "{kargs}: {asked:?} {asked_mark}, {bound:?} {bound_mark}");
    }
}

#[test]
fn w13_whose_partition_is_opened() {
    let own = image().header_mark();
    for (kargs, mark, expected) in [
        ("", "", "opened marking"),
        ("", &*own, "opened"),
        ("", "somebody's", "opened"),
        ("", OTHER, "closed RDL-051"),
        ("rd.live.encrypt", OTHER, "closed RDL-051"),
        ("rd.live.overlay.readonly", OTHER, "closed RDL-051"),
        ("rd.live.overlay.reset", OTHER, "opened accepting marking"),
        ("rd.live.overlay.persistent=accept", OTHER, "opened accepting marking"),
        ("rd.live.overlay.reset", "", "opened accepting marking"),
    ] {
        assert_eq!(outcome(kargs, &disk(mark)), expected, "{kargs}: {mark}");
    }
}

/// What is inside decides about a new file system, and only when a reset asks for one.
#[test]
fn t33_a_reset_makes_the_inside_anew() {
    let gib = 1 << 30;
    for (kargs, kind, size, expected) in [
        ("", Some(Kind::Ext4), gib, "used"),
        ("", Some(Kind::Swap), gib, "none"),
        ("", None, gib, "none"),
        ("rd.live.overlay.reset", Some(Kind::Ext4), gib, "used, or anew"),
        ("rd.live.overlay.reset", Some(Kind::Swap), gib, "anew"),
        ("rd.live.overlay.reset", None, gib, "anew"),
        ("rd.live.overlay.reset rd.live.overlay.cowfs=xfs", None, 64 << 20, "none"),
        ("rd.live.overlay.reset rd.live.overlay.cowfs=xfs", Some(Kind::Ext4), 64 << 20, "used"),
        ("rd.live.overlay.reset rd.live.overlay.readonly", None, gib, "none"),
        ("rd.live.overlay.reset rd.live.overlay.readonly", Some(Kind::Xfs), gib, "used"),
    ] {
        let (config, _) = interpret_text(&format!("root=live:CDLABEL=LIVE rd.live.overlay.persistent {kargs}"));
        let (points, image) = (Points::new(config.dialect), image());
        let planner = Planner::of(&config.overlay, &points, &image).unwrap();
        let opening = planner.opening(&disk("")).unwrap().unwrap();
        let inside = Inside { node: "/dev/mapper/lukscow".into(), size, kind };
        let area = planner.area_inside(opening, &inside);
        let is_new = |step: &Step| matches!(step, Step::Area(AreaAct::Format { target: Target::Opened { .. }, .. }));
        let found = match &area {
            Err(_) => "none",
            Ok(area) if area.steps.iter().any(is_new) => "anew",
            Ok(area) => {
                // What an ext is repaired with stands in between.
                fn recovers(step: &Step, is_new: &impl Fn(&Step) -> bool) -> bool {
                    let Step::Branch { then: with, .. } = step else { return false };
                    with.iter().any(|step| is_new(step) || recovers(step, is_new))
                }
                if area.steps.iter().any(|step| recovers(step, &is_new)) { "used, or anew" } else { "used" }
            }
        };
        assert_eq!(found, expected, "{kargs}: {kind:?} in {size}: {area:?}");
    }
}

/// Consent to wipe a device needs a name that no other device gets (attacks.md F5); the refusal says one.
#[test]
fn f5_a_name_that_may_move_is_no_consent() {
    let device = Device {
        node: "/dev/sdb1".into(),
        partition: Some(1),
        links: vec!["usb-X_Y-0:0".to_owned()],
        ..Device::default()
    };
    for (name, good) in [
        ("/dev/sdb1", false),
        ("LABEL=x", false),
        ("UUID=x", false),
        ("/dev/disk/by-diskseq/3", false),
        ("PARTUUID=ab-01", true),
        ("/dev/disk/by-id/usb-X_Y-0:0-part1", true),
    ] {
        let (config, _) = interpret_text(&format!("root=live:CDLABEL=LIVE rd.overlay.crypt={name},mkfs=force"));
        match consent(config.overlay.crypt.as_ref().unwrap(), &device) {
            Ok(found) => assert!(good && found == Some(Consent::Anything), "{name}: {found:?}"),
            Err(why) => {
                let typed = "rd.overlay.crypt=/dev/disk/by-id/usb-X_Y-0:0-part1,mkfs=force";
                assert!(!good && why.remedy().contains(typed), "{name}: {why}");
            }
        }
    }
}
