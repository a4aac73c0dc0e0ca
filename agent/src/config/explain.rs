//! What `rdlive explain` says: the configuration, the warnings and the plan, for a person and for a machine.

use serde_json::{Value, json};

use super::registry::{KIWI_CURL_OPTIONS, KIWI_DOLLY_OPTIONS, KIWI_INSTALL_DOLLY};
use super::*;

/// Version of the JSON of [`explain_json`]; it grows when a key changes its meaning or goes away, not when one is added.
pub const VERSION: u32 = 1;

/// Every [`Warning::id`], with what it means. Documented in `docs/explain.md`.
pub const WARNING_IDS: [(&str, &str); 14] = [
    ("after-dashes", "a karg of ours stands after `--` and goes to init"),
    ("conf", "a line of `/etc/rdlive.conf` says nothing we know"),
    ("contradiction", "two kargs exclude each other; the message says which one wins"),
    ("cut", "the line, or the URL in `root=`, looks as if its end had been cut off"),
    ("deprecated", "an old name, or a karg that has a successor"),
    ("foreign", "a karg of another live system; the message names ours"),
    (
        "grub",
        "a name is looked for in another reading too: GRUB 2 writes it with backslashes, or with a device before a path; \
         a path below a place or medium is taken without the backslashes",
    ),
    ("ignored", "accepted without effect; the message says why"),
    ("not-built", "understood, but that part of rdlive does not exist yet; the message says what happens instead"),
    ("quotes", "a quote inside a value"),
    ("root", "error: `root=` asks for a live system in a form that cannot be used"),
    ("unit", "a bare number that the other original reads in another unit"),
    ("unknown", "a karg nobody knows, perhaps with a suggestion"),
    ("value", "a value that cannot be read; the message says what is used"),
];

/// The lines of the explanation for a person, the plan's at the end.
pub fn explain_lines(config: &Config, warnings: &[Warning], plan: &[String]) -> Vec<String> {
    let lines = lines(config).into_iter().map(|(name, value)| format!("{name:<10} {value}"));
    lines.chain(warnings.iter().map(warning_line)).chain(plan.iter().cloned()).collect()
}

/// The explanation for a machine; `docs/explain.md` documents the keys.
pub fn explain_json(config: &Config, warnings: &[Warning], plan: &[String]) -> Value {
    json!({
        "version": VERSION,
        "dialect": config.dialect,
        "dialect_reason": config.dialect_reason,
        "config": without_secrets(config),
        "warnings": warnings,
        "plan": plan,
    })
}

/// The configuration without the passwords in its URLs.
fn without_secrets(config: &Config) -> Config {
    let mut config = config.clone();
    match &mut config.source {
        Source::Url(text) | Source::NotLive(Some(text)) | Source::Malformed { value: text, .. } => {
            *text = without_password(text);
        }
        Source::NotLive(None) | Source::Device(_) | Source::IsoVolume | Source::InitrdFile(_) | Source::Aoe(_) => {}
    }
    for Setting { name, value } in &mut config.network {
        if let Some(value) = value {
            *value = if has_options(name) { without_option_secrets(value) } else { without_password(value) };
        }
    }
    config
}

/// A karg as it was written, without a password in it: in a URL, or behind an option that has one.
pub fn without_secret(karg: &str) -> String {
    match karg.split_once('=') {
        Some((name, value)) if has_options(name) => format!("{name}={}", without_option_secrets(value)),
        _ => without_password(karg),
    }
}

fn has_options(karg: &str) -> bool {
    [&KIWI_DOLLY_OPTIONS, &KIWI_CURL_OPTIONS, &KIWI_INSTALL_DOLLY].iter().any(|known| known.name == karg)
}

/// Options of dolly or curl with dots for their passwords.
fn without_option_secrets(value: &str) -> String {
    let is_one = |word: &str| SECRET_OPTIONS.contains(&word);
    let mut follows = false;
    let words = value.split_inclusive([',', ' ']).map(|piece| {
        let word = piece.trim_end_matches([',', ' ']);
        let end = &piece[word.len()..];
        if std::mem::replace(&mut follows, !word.is_empty() && is_one(word)) && !word.is_empty() {
            return format!("…{end}");
        }
        // The value may stand behind the letter, which may have others in front.
        let attached = word.starts_with('-') && !word.starts_with("--");
        let at = word.find(['P', 'u', 'U']).filter(|at| attached && at + 1 < word.len());
        match at {
            Some(at) => format!("{}…{end}", &word[..=at]),
            None => without_password(word) + end,
        }
    });
    words.collect()
}

/// What follows them opens something.
const SECRET_OPTIONS: [&str; 8] =
    ["-P", "-u", "--user", "-U", "--proxy-user", "--pass", "--oauth2-bearer", "--key-pass"];

/// One warning as a line of text: level, id, argument, message.
pub fn warning_line(warning: &Warning) -> String {
    let level = match warning.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
    };
    format!("{level:<10} {}: {} [{}]", warning.karg, warning.message, warning.id)
}

/// The configuration as name and value, leaving out what is default and of no interest.
fn lines(config: &Config) -> Vec<(&'static str, String)> {
    let dialect = match config.dialect {
        Dialect::Kiwi => "kiwi",
        Dialect::Dmsquash => "dmsquash",
    };
    let mut lines = vec![
        ("dialect", format!("{dialect}, because {}", config.dialect_reason)),
        ("source", config.source.to_string()),
    ];
    let mut add = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    add("target", config.system.as_ref().filter(|_| config.source.is_fetched()).map(target));
    let mark = config.medium_id.as_ref().map(|id| format!("what holds /{}/{id}", crate::layout::MARKS));
    let preferred: Vec<_> = config.medium.iter().map(ToString::to_string).chain(mark).collect();
    add("medium", (!preferred.is_empty()).then(|| format!("{} is preferred", preferred.join(" or "))));
    add("iso file", config.iso_scan.as_ref().map(iso_scan));
    add("image", Some(format!("/{}/{}", config.live_dir, config.squashimg).replace("//", "/")));
    add("access", (config.medium_access == Access::ReadWrite).then(|| "the medium is mounted read-write".to_owned()));
    add("overlay", Some(method(&config.overlay)));
    add("changes", Some(changes(&config.overlay)));
    add("rootflags", (!config.rootflags.is_empty()).then(|| config.rootflags.join(",")));
    add("before use", before_use(config));
    add("wait", Some(format!("{} s for the medium", config.deadline.as_secs())));
    add("failure", Some(failure(&config.failure)));
    add("init", config.init.path.as_ref().map(|path| path.display().to_string()));
    add("modules", modules(&config.modules));
    add("report", config.report.as_ref().map(|path| path.display().to_string()));
    lines
}

/// A URL without user and password.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

fn target(system: &System) -> String {
    let reset = if system.reset { ", fetched again, and what was kept there is gone" } else { "" };
    let wipe = system.wipe.as_ref().map(|wipe| format!(", wiped if it is {wipe}")).unwrap_or_default();
    format!("{}{reset}{wipe}", system.device)
}

fn iso_scan(scan: &IsoScan) -> String {
    let path = scan.path.display();
    match &scan.device {
        Some(device) => format!("/{path} on {device}"),
        None => format!("/{path} on any file system"),
    }
}

fn method(overlay: &Overlay) -> String {
    match overlay.method {
        Method::Overlayfs => "overlayfs".to_owned(),
        Method::Snapshot { thin: false } => "device-mapper snapshot, where the image allows it".to_owned(),
        Method::Snapshot { thin: true } => "thin device-mapper snapshot, where the image allows it".to_owned(),
        Method::Direct if overlay.fsimg => "none, a copy of the image in RAM is written".to_owned(),
        Method::Direct => "none, the image itself is written".to_owned(),
    }
}

fn changes(overlay: &Overlay) -> String {
    if let Some(crypt) = &overlay.crypt {
        return format!("on {}, encrypted (opened as {})", crypt.device, crypt.mapname);
    }
    let kept = match &overlay.persistence {
        None => return format!("in RAM, up to {}", size(overlay.size)),
        Some(Persistence::Automatic(wish)) => {
            let required = if wish.required { ", required" } else { "" };
            let encrypted = if wish.encrypt { ", encrypted" } else { "" };
            let cowfs = String::from(wish.cowfs.clone());
            format!("kept on the boot disk or beside the ISO file ({cowfs}{encrypted}{required})")
        }
        Some(_) if overlay.unlock.encrypt => return format!("in RAM, up to {}", size(overlay.size)),
        Some(Persistence::Named { device, path }) => {
            let file = if overlay.cow_file_mib.is_some() { " in the cow file" } else { "" };
            format!("kept on {device}{file}{}", on_path(path.as_deref()))
        }
        Some(Persistence::OnMedium { path }) => format!("kept on the medium{}", on_path(path.as_deref())),
    };
    let readonly = if overlay.readonly { ", new ones in RAM only" } else { "" };
    let reset = if overlay.reset { ", emptied first" } else { "" };
    format!("{kept}{readonly}{reset}")
}

fn on_path(path: Option<&std::path::Path>) -> String {
    path.map(|path| format!(" at /{}", path.display())).unwrap_or_default()
}

fn size(size: TmpfsSize) -> String {
    match size {
        TmpfsSize::Percent(percent) => format!("{percent}% of RAM"),
        TmpfsSize::Bytes(bytes) if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        TmpfsSize::Bytes(bytes) => format!("{bytes} bytes"),
    }
}

fn before_use(config: &Config) -> Option<String> {
    let ram = if config.ram_required { "copy the image to RAM or stop" } else { "copy the image to RAM" };
    let updates = !config.updates && config.dialect == Dialect::Dmsquash;
    let steps = [(config.check, "check the medium"), (config.ram, ram), (updates, "leave updates/ of the medium out")];
    let steps: Vec<_> = steps.iter().filter(|(wanted, _)| *wanted).map(|(_, step)| *step).collect();
    (!steps.is_empty()).then(|| steps.join(", "))
}

fn failure(failure: &Failure) -> String {
    let prompt = if failure.shell { "prompt" } else { "no prompt" };
    let then = match failure.emergency {
        Some(Emergency::Reboot) => ", then reboot",
        Some(Emergency::Poweroff) => ", then power off",
        Some(Emergency::Halt) => ", then halt",
        None => "",
    };
    let panic = match failure.panic {
        Some(seconds) if seconds > 0 => format!(", restart after {seconds} s"),
        Some(seconds) if seconds < 0 => ", restart at once".to_owned(),
        _ => String::new(),
    };
    format!("{prompt}{then}{panic}")
}

fn modules(modules: &Modules) -> Option<String> {
    let lists = [("never", &modules.blacklist), ("first", &modules.pre), ("last", &modules.post)];
    let mut parts: Vec<_> = lists
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name} {}", list.join(" ")))
        .collect();
    parts.extend(modules.parameters.iter().map(|(module, text)| format!("{module} with {text}")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_user_and_password() {
        let rows = [
            ("http://u:p@h/x@y", "http://h/x@y"),
            ("http://h/x@y", "http://h/x@y"),
            ("http://h?a=@b", "http://h?a=@b"),
            ("root=live:ftp://u@h:21/x", "root=live:ftp://h:21/x"),
            ("nfs4:server:/p@q", "nfs4:server:/p@q"),
        ];
        for (url, expected) in rows {
            assert_eq!(without_password(url), expected, "{url}");
        }
        for (karg, expected) in [
            ("rd.kiwi.live.dolly_options=-v,-P,secret,-a,5", "rd.kiwi.live.dolly_options=-v,-P,…,-a,5"),
            ("rd.kiwi.live.dolly_options=-Psecret", "rd.kiwi.live.dolly_options=-P…"),
            ("rd.kiwi.live.dolly_options=-vnPsecret", "rd.kiwi.live.dolly_options=-vnP…"),
            ("rd.kiwi.live.curl_options=-u,me:secret,--retry,3", "rd.kiwi.live.curl_options=-u,…,--retry,3"),
            ("rd.kiwi.live.curl_options=--user me:secret", "rd.kiwi.live.curl_options=--user …"),
            ("rd.kiwi.live.curl_options=-x,http://u:secret@p", "rd.kiwi.live.curl_options=-x,http://p"),
            ("proxy=http://u:secret@p", "proxy=http://p"),
        ] {
            assert_eq!(without_secret(karg), expected, "{karg}");
        }
        let (config, warnings) = interpret_text(
            "root=live:http://user:secret@h/x.iso proxy=http://user:secret@p ip=dhcp \
             rd.kiwi.live.dolly_options=-P,secret rd.kiwi.live.curl_options=-u,a:secret",
        );
        let text = explain_lines(&config, &warnings, &[]).join("\n");
        let json = explain_json(&config, &warnings, &[]).to_string();
        assert!(text.contains("http://h/x.iso") && !text.contains("secret"), "{text}");
        assert!(json.contains("http://h/x.iso") && !json.contains("secret"), "{json}");
    }

    #[test]
    fn the_text_of_a_typical_boot() {
        let (config, warnings) = interpret_text("root=live:CDLABEL=CDROM rd.live.image rd.overlay rd.live.ram toram");
        let expected = "\
dialect    dmsquash, because no kiwi-only karg is present
source     device LABEL=CDROM
image      /LiveOS/squashfs.img
overlay    overlayfs
changes    in RAM, up to 50% of RAM
before use copy the image to RAM
wait       180 s for the medium
failure    prompt
warning    toram: belongs to live-boot, casper and KIWI before 8, ignoring; here it is rd.live.ram [foreign]
acquire    mount medium";
        let plan = ["acquire    mount medium".to_owned()];
        assert_eq!(explain_lines(&config, &warnings, &plan).join("\n"), expected);
    }
}
