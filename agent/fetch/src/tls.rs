//! TLS: whom we trust, and why a server was not trusted (network-field.md kind 17).
//!
//! rustls with ring; blocking. Sessions are resumed across connections of one [`Trust`] (streaming.md 4.6).

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::policy::{Errno, Verdict};
use crate::url::Host;

mod error;
#[cfg(test)]
pub(crate) mod tests;
mod verify;

pub use error::{SetupError, TlsError};

/// What is known before the first connection: PEM as bytes, read by the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Material<'a> {
    /// The bundle of the initrd; empty where there is none.
    pub bundle: &'a [u8],
    /// The file of `rd.live.ca=`: CAs, or the server's own certificate.
    pub extra: Option<&'a [u8]>,
    /// The files of `rd.live.cert=` and `rd.live.key=`. The key is PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub client: Option<(&'a [u8], &'a [u8])>,
    /// `rd.noverifyssl`: whoever answers is taken for the server. Signatures of the handshake are verified all the same.
    pub unverified: bool,
}

/// Whom to trust, and the sessions that can be resumed. To be made once and shared by all connections.
#[derive(Clone, Debug)]
pub struct Trust {
    config: Arc<ClientConfig>,
    roots: usize,
}

impl Trust {
    /// Reads certificates and key. Certificates of the bundle that are not understood are left out: a bundle may have some.
    ///
    /// # Errors
    /// `rd.live.ca=` has no certificate, or certificate and key of the client do not do.
    pub fn new(material: &Material<'_>) -> Result<Self, SetupError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(material.bundle));
        let extra: Vec<_> = material.extra.map(certificates).into_iter().flatten().collect();
        if material.extra.is_some() && extra.is_empty() {
            return Err(SetupError::NoCertificate("rd.live.ca="));
        }
        // The server's own certificate is often none that could sign another one; it is compared as a whole then.
        roots.add_parsable_certificates(extra.iter().cloned());
        let count = roots.len().max(extra.len());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = verifier(roots, extra, Arc::clone(&provider), material.unverified)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SetupError::Library(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match material.client {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain: Vec<_> = certificates(chain).collect();
                if chain.is_empty() {
                    return Err(SetupError::NoCertificate("rd.live.cert="));
                }
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
                    pem::Error::NoItemsFound => SetupError::NoKey,
                    _ => SetupError::BrokenKey,
                })?;
                builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => SetupError::OtherKey,
                    error => SetupError::UnusableKey(error.to_string()),
                })?
            }
        };
        Ok(Self { config: Arc::new(config), roots: if material.unverified { usize::MAX } else { count } })
    }

    /// Shakes hands over a connection. The socket's own limits end a peer that is silent.
    ///
    /// # Errors
    /// [`TlsError`], or the socket's own.
    pub fn handshake<S: io::Read + io::Write>(
        &self,
        host: &Host,
        mut socket: S,
    ) -> Result<StreamOwned<ClientConnection, S>, HandshakeError> {
        if self.roots == 0 {
            return Err(TlsError::NoRoots.into());
        }
        let name = match host.address() {
            Some(address) => ServerName::IpAddress(address.into()),
            None => {
                let name = host.to_string();
                let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
                ServerName::try_from(name).map_err(|_| TlsError::Name(host.to_string()))?
            }
        };
        let mut connection =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(|error| TlsError::of(&error, self.roots))?;
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(&mut socket) {
                return Err(HandshakeError::of(&error, self.roots));
            }
        }
        Ok(StreamOwned::new(connection, socket))
    }
}

/// Why no encrypted connection came about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// TLS itself.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection below it.
    #[error("{0}")]
    Socket(Errno),
}

impl HandshakeError {
    /// rustls wraps its errors into an `io::Error` when it drives a socket.
    pub(crate) fn of(error: &io::Error, roots: usize) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        inner.map_or_else(|| Self::Socket(error.into()), |inner| Self::Tls(TlsError::of(inner, roots)))
    }

    /// What it means for the source.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Tls(error) => error.verdict(),
            Self::Socket(error) => crate::policy::io(*error),
        }
    }
}

fn certificates(pem: &[u8]) -> impl Iterator<Item = CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok)
}

fn verifier(
    roots: RootCertStore,
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    unverified: bool,
) -> Result<verify::Verifier, SetupError> {
    let algorithms = provider.signature_verification_algorithms;
    let chain = if unverified || roots.is_empty() {
        None
    } else {
        let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Some(built.map_err(|error| SetupError::Library(error.to_string()))?)
    };
    Ok(verify::Verifier { chain, pinned, algorithms, unverified })
}
