//! TLS for the console from elsewhere and for the links of a cascade (docs/tls.md).

pub mod authority;
mod files;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cau_control::Sample;
use cau_drive::Clock;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier, version};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

pub use authority::{Authority, LINK_NAME};
pub use files::Error as FileError;

/// From the connection to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Certificate and key for browsers.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM: its own certificate first, then the chain.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The authority.
    #[error(transparent)]
    Authority(#[from] authority::Error),
    /// The files of the configuration.
    #[error(transparent)]
    Files(#[from] FileError),
    /// They do not go together.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The certificates of slaves cannot be checked.
    #[error("TLS cannot be set up: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Whom a connection wanted, and who it is.
#[derive(Debug, Clone)]
pub enum Face {
    /// The console and the API.
    Console,
    /// The cascade; with the certificate shown, which the authority has issued.
    Link(Option<Arc<[u8]>>),
}

/// Accepts connections; certificates can be changed while it runs.
#[derive(Debug)]
pub struct Tls {
    authority: Arc<Authority>,
    files: Option<Files>,
    /// Beside those of the machine.
    address: SocketAddr,
    faces: RwLock<Faces>,
    counts: Counts,
}

#[derive(Debug, Clone)]
struct Faces {
    console: Arc<ServerConfig>,
    link: Arc<ServerConfig>,
}

#[derive(Debug, Default)]
struct Counts {
    timeout: AtomicU64,
    handshake: AtomicU64,
    certificate: AtomicU64,
}

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It took too long.
    Timeout,
    /// No TLS, or nothing in common.
    Handshake,
    /// Its certificate is not of the authority, or expired.
    Certificate,
}

/// The provider of everything cryptographic in TLS; the same for the whole program.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Tls {
    /// Ready to accept.
    ///
    /// # Errors
    /// [`Error`] with the remedy.
    pub fn new(authority: Arc<Authority>, files: Option<Files>, address: SocketAddr) -> Result<Self, Error> {
        let faces = faces(&authority, files.as_ref(), address)?;
        Ok(Self { authority, files, address, faces: RwLock::new(faces), counts: Counts::default() })
    }

    /// Makes or reads the certificates anew; when that fails everything stays as it was.
    ///
    /// # Errors
    /// [`Error`] with the remedy.
    pub fn renew(&self) -> Result<(), Error> {
        let faces = faces(&self.authority, self.files.as_ref(), self.address)?;
        *self.faces.write().unwrap_or_else(PoisonError::into_inner) = faces;
        Ok(())
    }

    /// Does the handshake, in at most 10 s.
    ///
    /// # Errors
    /// Why not; it is counted.
    pub async fn accept(&self, stream: TcpStream) -> Result<(TlsStream<TcpStream>, Face), Refused> {
        let done = tokio::time::timeout(HANDSHAKE, self.handshake(stream)).await;
        let refused = match done {
            Ok(Ok(accepted)) => return Ok(accepted),
            Ok(Err(e)) => {
                tracing::debug!("TLS handshake: {e}");
                match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
                    Some(rustls::Error::InvalidCertificate(_)) => Refused::Certificate,
                    _ => Refused::Handshake,
                }
            }
            Err(_) => Refused::Timeout,
        };
        let count = match refused {
            Refused::Timeout => &self.counts.timeout,
            Refused::Handshake => &self.counts.handshake,
            Refused::Certificate => &self.counts.certificate,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Err(refused)
    }

    async fn handshake(&self, stream: TcpStream) -> std::io::Result<(TlsStream<TcpStream>, Face)> {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let is_link = start.client_hello().server_name() == Some(LINK_NAME);
        let faces = self.faces.read().unwrap_or_else(PoisonError::into_inner).clone();
        let config = if is_link { faces.link } else { faces.console };
        let stream = start.into_stream(config).await?;
        if !is_link {
            return Ok((stream, Face::Console));
        }
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.map(|certificate| Arc::from(certificate.as_ref()));
        Ok((stream, Face::Link(shown)))
    }

    /// Figures for `/metrics`.
    pub fn samples(&self) -> Vec<Sample> {
        let all = [
            ("handshake-timeout", &self.counts.timeout),
            ("handshake", &self.counts.handshake),
            ("certificate", &self.counts.certificate),
        ];
        all.map(|(reason, n)| {
            let help = "TLS connections refused, by reason.";
            Sample::new("cau_tls_refused_total", help, n.load(Ordering::Relaxed) as f64)
                .label("reason", reason)
        })
        .into()
    }
}

fn faces(authority: &Arc<Authority>, files: Option<&Files>, address: SocketAddr) -> Result<Faces, Error> {
    let now = Clock::wall_now();
    let (chain, key) = match files {
        Some(files) => files::read(files)?,
        None => authority.server(&names(), &addresses(address), now)?,
    };
    let mut console = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| match files {
            Some(files) => Error::Files(FileError::wrong_key(files, &e)),
            None => e.into(),
        })?;
    console.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider())
        .allow_unauthenticated()
        .build()?;
    let (chain, key) = authority.server(&BTreeSet::from([LINK_NAME.to_owned()]), &BTreeSet::new(), now)?;
    let mut link = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    // Every connection proves itself anew: a certificate may have been revoked.
    link.send_tls13_tickets = 0;
    link.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Faces { console: Arc::new(console), link: Arc::new(link) })
}

fn names() -> BTreeSet<String> {
    let host = host_name();
    let good = |name: &String| {
        !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    };
    std::iter::once("localhost".to_owned()).chain(host.filter(good)).collect()
}

/// What the system calls this machine.
fn host_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(text.trim().to_ascii_lowercase())
}

fn addresses(bound: SocketAddr) -> BTreeSet<IpAddr> {
    let own = cau_drive::addresses::local();
    own.into_iter().chain((!bound.ip().is_unspecified()).then_some(bound.ip())).collect()
}
