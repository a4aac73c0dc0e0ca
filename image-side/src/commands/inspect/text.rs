//! The facts, for a person.

use std::fmt::Write as _;

use rdlive_media::format::partition::TableKind;
use rdlive_media::printable::printable;

use super::Inspection;
use crate::progress::human;

/// One fact per line, names in the first column.
pub fn text(found: &Inspection) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:12} {}", printable(value));
    };
    line("volume id", found.volume_id.as_deref().unwrap_or("none"));
    line("UUID", found.uuid.as_deref().unwrap_or("none"));
    line("size", &human(found.size));
    if let Some(preparer) = &found.preparer {
        line("made by", preparer);
    }
    if let Some(info) = &found.rdlive {
        line("system", &info.system);
        line("builder", &format!("rdlive-image {}, initramfs {}", info.builder, info.mode));
        line("agent", &info.agent);
        line("kernel", &info.kernel);
    }
    if let Some(container) = &found.container {
        let kind = container.kind.as_deref().unwrap_or("unknown kind");
        let compression = container.compression.as_deref().unwrap_or("uncompressed");
        line("container", &format!("{} {kind} {compression} {}", container.file.path, human(container.file.size)));
    }
    for file in found.kernel.iter().chain(&found.initrds) {
        line("boot file", &format!("{} {}", file.path, human(file.size)));
    }
    for entry in &found.boot_entries {
        line("boot entry", &format!("{}: {}", entry.title, entry.kargs.join(" ")));
    }
    line("loopback", found.loopback.as_deref().unwrap_or("none"));
    for entry in &found.el_torito {
        line("El Torito", &format!("{:?} at byte {}, {} sectors", entry.platform, entry.offset(), entry.sectors));
    }
    if let Some(table) = &found.partition_table {
        line("table", if matches!(table.kind, TableKind::Gpt { .. }) { "gpt" } else { "msdos" });
        for partition in &table.partitions {
            let name = partition.name.as_deref().unwrap_or("-");
            line(
                "partition",
                &format!(
                    "{} {name} type {} at byte {}, {}",
                    partition.number,
                    partition.type_id,
                    partition.start,
                    human(partition.size)
                ),
            );
        }
    }
    line("media sum", found.media_sum.unwrap_or("none"));
    found.problems.iter().for_each(|problem| line("problem", problem));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f12_what_is_on_the_medium_is_shown_and_not_obeyed() {
        let found = Inspection {
            volume_id: Some("LIVE\nproblem none\x1b[8m".to_owned()),
            uuid: None,
            size: 1,
            volume_size: 1,
            preparer: Some("x\u{202e}y".to_owned()),
            partition_table: None,
            el_torito: Vec::new(),
            boot_entries: Vec::new(),
            loopback: None,
            container: None,
            kernel: None,
            initrds: Vec::new(),
            media_sum: None,
            rdlive: None,
            problems: vec!["no file a\rb".to_owned()],
        };
        let text = text(&found);
        for line in [
            "volume id    LIVE\\x0aproblem none\\x1b[8m",
            "made by      x\\xe2\\x80\\xaey",
            "problem      no file a\\x0db",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
