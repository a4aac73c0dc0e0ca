//! Certificates made for each test, and a server of rustls on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::*;

/// A CA and what it has issued.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Certificate and key of one server or client.
pub(crate) struct Leaf {
    pub certificate: CertificateDer<'static>,
    key: KeyPair,
}

fn day(days: i64) -> SystemTime {
    let distance = Duration::from_secs(days.unsigned_abs() * 86_400);
    if days < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
}

fn params(names: &[&str], from: i64, to: i64) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = day(from).into();
    params.not_after = day(to).into();
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = params(&[], -10, 10);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two CAs of one name would be told apart by their signatures only.
        let key = KeyPair::generate().unwrap();
        let name = format!("CA {:?}", key.public_key_raw());
        params.distinguished_name.push(rcgen::DnType::CommonName, &name[..40]);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    /// A certificate for these names, valid from and to so many days from now.
    pub(crate) fn issue(&self, names: &[&str], from: i64, to: i64) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, from, to).signed_by(&key, &self.0).unwrap();
        Leaf { certificate: certificate.der().clone(), key }
    }
}

impl Leaf {
    pub(crate) fn pem(&self) -> (String, String) {
        (pem("CERTIFICATE", &self.certificate), pem("PRIVATE KEY", self.key.serialized_der()))
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        Arc::new(builder.with_no_client_auth().with_single_cert(vec![self.certificate.clone()], key).unwrap())
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", crate::http::base64(der))
}

/// Accepts so many connections, one after the other, and says "hi" on each.
fn serve(config: Arc<ServerConfig>, connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..connections {
            let (socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut stream = StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
            let _ = stream.write_all(b"hi").and_then(|()| stream.flush());
            stream.conn.send_close_notify();
            let _ = stream.flush();
            let _ = stream.read(&mut [0; 16]);
        }
    });
    address
}

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

fn connect(trust: &Trust, address: SocketAddr, host: &str) -> Result<Encrypted, HandshakeError> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let url: crate::url::Url = format!("https://{host}/").parse().unwrap();
    let mut stream = trust.handshake(url.host(), socket)?;
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hi");
    Ok(stream)
}

/// What a server with this certificate looks like to who trusts this.
fn verdict(leaf: &Leaf, material: &Material<'_>, host: &str) -> Result<(), TlsError> {
    let address = serve(leaf.server(), 1);
    match connect(&Trust::new(material).unwrap(), address, host) {
        Ok(_) => Ok(()),
        Err(HandshakeError::Tls(error)) => Err(error),
        Err(HandshakeError::Socket(error)) => panic!("{error}"),
    }
}

#[test]
fn a_certificate_of_a_known_ca_is_trusted_wherever_the_ca_came_from() {
    let (ca, other) = (Authority::new(), Authority::new());
    let leaf = ca.issue(&["rdlive.test", "127.0.0.1"], -1, 1);
    let (ca, other) = (ca.pem(), other.pem());
    let both = format!("Some text.\n{other}\n{ca}");
    for host in ["rdlive.test", "RDLIVE.test.", "127.0.0.1"] {
        let bundle = Material { bundle: both.as_bytes(), ..Material::default() };
        assert_eq!(verdict(&leaf, &bundle, host), Ok(()), "{host}");
        let extra = Material { bundle: other.as_bytes(), extra: Some(ca.as_bytes()), ..Material::default() };
        assert_eq!(verdict(&leaf, &extra, host), Ok(()), "{host}");
    }
}

#[test]
fn n_p6_why_a_server_is_not_trusted() {
    let (ca, other) = (Authority::new(), Authority::new());
    let (ca_pem, other_pem) = (ca.pem(), other.pem());
    let known = Material { bundle: ca_pem.as_bytes(), ..Material::default() };
    let unknown = Material { bundle: other_pem.as_bytes(), ..Material::default() };
    let good = ca.issue(&["rdlive.test"], -1, 1);

    let expired = verdict(&ca.issue(&["rdlive.test"], -3, -2), &known, "rdlive.test").unwrap_err();
    assert!(matches!(expired, TlsError::Expired { .. }), "{expired}");
    let early = verdict(&ca.issue(&["rdlive.test"], 2, 3), &known, "rdlive.test").unwrap_err();
    assert!(matches!(early, TlsError::NotYetValid { .. }), "{early}");
    assert!(early.to_string().contains("this machine's clock says 20"), "{early}");
    let name = verdict(&good, &known, "other.test").unwrap_err();
    assert_eq!(name.to_string(), "the server's certificate is not for other.test, but for rdlive.test");
    assert_eq!(verdict(&good, &unknown, "rdlive.test"), Err(TlsError::UnknownIssuer { roots: 1 }));
    assert_eq!(verdict(&good, &Material::default(), "rdlive.test"), Err(TlsError::NoRoots));
    for error in [expired, early, name] {
        assert_eq!(error.verdict(), Verdict::Final);
    }
}

#[test]
fn without_verification_even_a_stranger_will_do() {
    let leaf = Authority::new().issue(&["other.test"], 2, 3);
    let material = Material { unverified: true, ..Material::default() };
    assert_eq!(verdict(&leaf, &material, "rdlive.test"), Ok(()));
}

/// What `openssl req -x509` makes: a CA that the server shows as its own certificate.
#[test]
fn the_servers_own_certificate_can_be_given() {
    let own = |from, to, is_ca| {
        let mut params = params(&["rdlive.test"], from, to);
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Leaf { certificate, key }
    };
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::NoCa, IsCa::ExplicitNoCa] {
        let leaf = own(-1, 1, is_ca);
        let pem = leaf.pem().0;
        let material = Material { extra: Some(pem.as_bytes()), ..Material::default() };
        assert_eq!(verdict(&leaf, &material, "rdlive.test"), Ok(()), "{is_ca:?}");
        let error = verdict(&leaf, &material, "other.test").unwrap_err();
        assert!(matches!(error, TlsError::WrongName { .. }), "{error}");

        let leaf = own(-3, -2, is_ca);
        let pem = leaf.pem().0;
        let material = Material { extra: Some(pem.as_bytes()), ..Material::default() };
        let error = verdict(&leaf, &material, "rdlive.test").unwrap_err();
        assert!(matches!(error, TlsError::Expired { .. }), "{error}");
    }
    // One that was not given is a stranger, although another was.
    let (leaf, given) = (own(-1, 1, IsCa::NoCa), own(-1, 1, IsCa::NoCa).pem().0);
    let material = Material { extra: Some(given.as_bytes()), ..Material::default() };
    assert!(verdict(&leaf, &material, "rdlive.test").is_err());
}

#[test]
fn a_client_certificate_is_shown_where_it_is_wanted() {
    let (ca, clients) = (Authority::new(), Authority::new());
    let leaf = ca.issue(&["rdlive.test"], -1, 1);
    let mut roots = RootCertStore::empty();
    roots.add(clients.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let wanted = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
    let builder = builder.with_client_cert_verifier(wanted);
    let config = builder.with_single_cert(vec![leaf.certificate.clone()], key).unwrap();
    let ca = ca.pem();
    let (certificate, key) = clients.issue(&["client"], -1, 1).pem();
    let client = Some((certificate.as_bytes(), key.as_bytes()));
    let material = Material { bundle: ca.as_bytes(), client, ..Material::default() };
    let address = serve(Arc::new(config), 1);
    assert!(connect(&Trust::new(&material).unwrap(), address, "rdlive.test").is_ok());
}

#[test]
fn what_is_wrong_with_the_files() {
    let ca = Authority::new();
    let (certificate, key) = ca.issue(&["a"], -1, 1).pem();
    let other = ca.issue(&["b"], -1, 1).pem().1;
    let broken = key.replace("MI", "!!");
    let new = |extra: Option<&str>, client: Option<(&str, &str)>| {
        let client = client.map(|(certificate, key)| (certificate.as_bytes(), key.as_bytes()));
        Trust::new(&Material { extra: extra.map(str::as_bytes), client, ..Material::default() }).err()
    };
    assert_eq!(new(Some(""), None), Some(SetupError::NoCertificate("rd.live.ca=")));
    assert_eq!(new(Some(&key), None), Some(SetupError::NoCertificate("rd.live.ca=")));
    assert_eq!(new(None, Some((&key, &key))), Some(SetupError::NoCertificate("rd.live.cert=")));
    assert_eq!(new(None, Some((&certificate, &certificate))), Some(SetupError::NoKey));
    assert_eq!(new(None, Some((&certificate, &broken))), Some(SetupError::BrokenKey));
    assert_eq!(new(None, Some((&certificate, &other))), Some(SetupError::OtherKey));
    assert_eq!(new(None, Some((&certificate, &key))), None);
}

#[test]
fn sessions_are_resumed_across_connections() {
    use rustls::HandshakeKind::{Full, Resumed};
    let ca = Authority::new();
    let leaf = ca.issue(&["rdlive.test"], -1, 1);
    let address = serve(leaf.server(), 3);
    let pem = ca.pem();
    let trust = Trust::new(&Material { bundle: pem.as_bytes(), ..Material::default() }).unwrap();
    let kind = |_| connect(&trust, address, "rdlive.test").unwrap().conn.handshake_kind();
    let kinds: Vec<_> = (0..3).map(kind).collect();
    assert_eq!(kinds, [Some(Full), Some(Resumed), Some(Resumed)]);
}

#[test]
fn a_server_without_tls_is_named_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = socket.read(&mut [0; 4096]);
    });
    let ca = Authority::new().pem();
    let trust = Trust::new(&Material { bundle: ca.as_bytes(), ..Material::default() }).unwrap();
    let error = connect(&trust, address, "rdlive.test").err();
    assert_eq!(error, Some(HandshakeError::Tls(TlsError::NotTls)));
}
