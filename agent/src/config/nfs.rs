//! Images and roots on an NFS server: the forms in which dracut and Anaconda write them (dracut-live spec 3.3).

use std::fmt;

use rdlive_fetch::url::Host;

use super::explain::without_password;

/// The port of NFS (RFC 7530 3.1).
const PORT: u16 = 2049;
/// Version 3 without a lock manager, for which programs would have to run: the file is only read (nfs(5)). Options that are written come
/// later and count.
const V3: &str = "vers=3,nolock,proto=tcp,mountproto=tcp,";

/// A file, or a directory with a root, that an NFS server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The server: a name, or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The directory that has it, which is mounted; absolute.
    pub directory: String,
    /// The name of the file or directory in it.
    pub file: String,
    /// Options of the mount, as they were written.
    pub options: Vec<String>,
    /// Only version 4.
    pub is_v4: bool,
}

/// Why a text names no such file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Neither `//server/path` nor `server:/path`.
    #[error("it names no server; write nfs://<server>/<path> or nfs4:<server>:/<path>")]
    NoServer,
    /// The top of the server, or nothing.
    #[error("it names no file or directory on the server; write nfs://<server>/<directory>/<file>")]
    NoFile,
    /// Not a name, nor an address.
    #[error("\"{0}\" is no name or address of a server")]
    Host(String),
}

impl Share {
    /// Whether a text begins as such a file does.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let scheme = text.split(':').next().unwrap_or_default();
        ["nfs", "nfs4"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    }

    /// Reads `nfs://server[:port]/path`, `nfs:server:/path[:options]` and Anaconda's `nfs:options:server:/path`; `nfs4` likewise.
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn parse(text: &str) -> Result<Self, ShareError> {
        let (scheme, rest) = text.split_once(':').ok_or(ShareError::NoServer)?;
        let is_v4 = scheme.eq_ignore_ascii_case("nfs4");
        let (host, port, path, options) = match rest.strip_prefix("//") {
            Some(rest) => {
                let at = rest.find('/').ok_or(ShareError::NoFile)?;
                let (authority, path) = rest.split_at(at);
                let (host, port) = port(authority);
                (host.to_owned(), port, path.to_owned(), "")
            }
            None => {
                let fields = fields(rest);
                let at = fields.iter().position(|field| field.starts_with('/')).ok_or(ShareError::NoFile)?;
                let server = at.checked_sub(1).and_then(|before| fields.get(before)).ok_or(ShareError::NoServer)?;
                let before = at.checked_sub(2).and_then(|before| fields.get(before));
                let options = fields.get(at + 1).or(before).copied().unwrap_or_default();
                ((*server).to_owned(), PORT, fields[at].to_owned(), options)
            }
        };
        if host.is_empty() {
            return Err(ShareError::NoServer);
        }
        // The same names as in a URL.
        let url = format!("http://{host}/");
        let known = url.parse::<rdlive_fetch::url::Url>().map_err(|_| ShareError::Host(host.clone()))?;
        let host = match known.host() {
            Host::V6(address, _) => address.to_string(),
            other => other.to_string(),
        };
        // A directory may end with a slash.
        let (directory, file) = path.trim_end_matches('/').rsplit_once('/').ok_or(ShareError::NoFile)?;
        if file.is_empty() {
            return Err(ShareError::NoFile);
        }
        let directory = if directory.is_empty() { "/" } else { directory };
        let mut options: Vec<String> = options.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        // Nobody writes there, and what is known need not be said.
        options.retain(|one| !matches!(one.as_str(), "rw" | "ro" | "defaults" | "auto") && !one.starts_with("addr="));
        let named = options.iter().find_map(|one| one.strip_prefix("port=")?.parse().ok());
        let port = named.unwrap_or(port);
        Ok(Self { host, port, directory: directory.to_owned(), file: file.to_owned(), options, is_v4 })
    }

    /// What the kernel is told to mount.
    #[must_use]
    pub fn source(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.directory),
            false => format!("{}:{}", self.host, self.directory),
        }
    }

    /// Options of the mounts that are tried, in this order. `address`: of the server.
    #[must_use]
    pub fn tries(&self, address: std::net::IpAddr) -> Vec<String> {
        let says = |names: &[&str]| self.options.iter().any(|one| names.iter().any(|name| one.starts_with(name)));
        let versions: &[&str] = match (says(&["vers=", "nfsvers=", "v3", "v4"]), self.is_v4) {
            (true, _) if self.options.iter().any(|one| matches!(one.as_str(), "vers=3" | "nfsvers=3" | "v3")) => &[V3],
            (true, _) => &[""],
            (false, true) => &["vers=4.2,", "vers=4.0,"],
            (false, false) => &["vers=4.2,", "vers=4.0,", V3],
        };
        let port = if self.port == PORT || says(&["port="]) { String::new() } else { format!(",port={}", self.port) };
        let own: String = self.options.iter().map(|one| format!(",{one}")).collect();
        versions.iter().map(|version| format!("{version}addr={address}{port}{own}")).collect()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.directory == "/" { "" } else { "/" };
        write!(f, "{}{between}{}", without_password(&self.source()), self.file)
    }
}

/// A port behind a colon that is not inside brackets.
fn port(authority: &str) -> (&str, u16) {
    let known = authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match known.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host, port),
        None => (authority.trim_end_matches(':'), PORT),
    }
}

/// Parts between colons; those in brackets are one part's own.
fn fields(text: &str) -> Vec<&str> {
    let (mut fields, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => inside = true,
            ']' => inside = false,
            ':' if !inside => {
                fields.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&text[start..]);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e11_all_forms() {
        for (text, source, file, port, options, v4) in [
            ("nfs://srv/dir/live.iso", "srv:/dir", "live.iso", PORT, "", false),
            ("nfs://srv:2050/live.iso", "srv:/", "live.iso", 2050, "", false),
            ("nfs://[2001:db8::1]:2050/d/x.iso", "[2001:db8::1]:/d", "x.iso", 2050, "", false),
            ("nfs4://10.0.0.1/a/b c/x.iso", "10.0.0.1:/a/b c", "x.iso", PORT, "", true),
            ("nfs:srv:/dir/x.iso", "srv:/dir", "x.iso", PORT, "", false),
            ("nfs4:[2001:db8::1]:/d/x.squashfs", "[2001:db8::1]:/d", "x.squashfs", PORT, "", true),
            ("nfs:srv:/d/x.iso:rw,vers=3,nolock", "srv:/d", "x.iso", PORT, "vers=3 nolock", false),
            ("nfs:vers=3,port=2051:srv:/d/x.iso", "srv:/d", "x.iso", 2051, "vers=3 port=2051", false),
            ("NFS:srv:/d/x.iso", "srv:/d", "x.iso", PORT, "", false),
            ("nfs4:srv:/client/", "srv:/", "client", PORT, "", true),
        ] {
            let share = Share::parse(text).unwrap();
            let found = (share.source(), share.file.as_str(), share.port, share.options.join(" "), share.is_v4);
            assert_eq!(found, (source.to_owned(), file, port, options.to_owned(), v4), "{text}");
        }
        for (text, error) in [
            ("nfs:/d/x.iso", ShareError::NoServer),
            ("nfs:srv", ShareError::NoFile),
            ("nfs:srv:/", ShareError::NoFile),
            ("nfs://srv", ShareError::NoFile),
            ("nfs:///d/x.iso", ShareError::NoServer),
            ("nfs://a b/d/x.iso", ShareError::Host("a b".into())),
        ] {
            assert_eq!(Share::parse(text), Err(error), "{text}");
        }
        assert!(
            Share::is_one("nfs4:x") && Share::is_one("NFS:x") && !Share::is_one("nfsd:x") && !Share::is_one("http:x")
        );
    }

    #[test]
    fn versions_are_tried_in_their_order() {
        let tries = |text: &str| Share::parse(text).unwrap().tries([10, 0, 0, 1].into());
        assert_eq!(
            tries("nfs://s/d/x"),
            [
                "vers=4.2,addr=10.0.0.1",
                "vers=4.0,addr=10.0.0.1",
                "vers=3,nolock,proto=tcp,mountproto=tcp,addr=10.0.0.1"
            ]
        );
        assert_eq!(
            tries("nfs4://s:2050/d/x"),
            ["vers=4.2,addr=10.0.0.1,port=2050", "vers=4.0,addr=10.0.0.1,port=2050"]
        );
        for version in ["vers=3", "nfsvers=3", "v3"] {
            assert_eq!(
                tries(&format!("nfs:s:/d/x:{version},port=7")),
                [format!("vers=3,nolock,proto=tcp,mountproto=tcp,addr=10.0.0.1,{version},port=7")]
            );
        }
        assert_eq!(tries("nfs:s:/d/x:vers=4.1"), ["addr=10.0.0.1,vers=4.1"]);
    }
}
