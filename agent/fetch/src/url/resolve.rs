//! Where a redirect leads (RFC 3986, section 5.2).

use super::parse::{self, Parts};
use super::{Scheme, Url, UrlError};

impl Url {
    /// The URL that a `Location` field of this URL's answer means.
    ///
    /// Credentials stay only where the server is the same one; those that a redirect brings along are not used (RFC 9110, section 4.2.4).
    /// The fragment is not passed on: a digest in it was given for the first URL, by whoever wrote that.
    ///
    /// # Errors
    /// The reference is no URL, or one of a scheme that is not fetched.
    pub fn resolve(&self, reference: &str) -> Result<Self, UrlError> {
        parse::check(reference)?;
        let parts = Parts::split(reference);
        let mut url = match (parts.scheme, parts.authority) {
            (Some(name), _) => Self::build(parse::scheme(name)?, &parts)?,
            (None, Some(_)) => Self::build(self.scheme, &parts)?,
            (None, None) => self.relative(&parts)?,
        };
        url.path = without_dots(&url.path);
        url.fragment = None;
        url.credentials = self.credentials.clone().filter(|_| self.entrusts(&url));
        Ok(url)
    }

    /// The same server, or the same one by its other default port: what was sent to it in clear may be sent to it encrypted.
    fn entrusts(&self, other: &Self) -> bool {
        let upgraded = (self.scheme, other.scheme) == (Scheme::Http, Scheme::Https)
            && self.host == other.host
            && (self.port(), other.port()) == (Scheme::Http.port(), Scheme::Https.port());
        self.same_origin(other) || upgraded
    }

    fn relative(&self, parts: &Parts<'_>) -> Result<Self, UrlError> {
        let path = match parts.path {
            "" => self.path.clone(),
            path if path.starts_with('/') => path.to_owned(),
            path => {
                let directory = self.path.rfind('/').map_or("/", |at| &self.path[..=at]);
                format!("{directory}{path}")
            }
        };
        // The part that a reference leaves out is the base's, the query only where the path is left out too.
        let query = parts.query.or(if parts.path.is_empty() { self.query() } else { None });
        let (scheme, fragment) = (None, None);
        let authority = self.authority();
        let joined = Parts { scheme, authority: Some(&authority), path: &path, query, fragment };
        let mut url = Self::build(self.scheme, &joined)?;
        // Has the zone, which `authority` leaves out.
        url.host = self.host.clone();
        Ok(url)
    }
}

/// RFC 3986, section 5.2.4, for a path that begins with a slash or is empty.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    kept.into_iter().fold(String::with_capacity(path.len()), |path, segment| path + "/" + segment)
}
