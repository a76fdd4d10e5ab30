//! The slave's way to its master: enrolling once, and connecting.

use std::{
    fs, io,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use cau_cascade::Path;
use cau_model::Words;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rcgen::KeyPair;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    version,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{Error as WsError, client::IntoClientRequest as _, http::HeaderValue},
};

use super::{
    door::{Enrol, Enrolled, Refused},
    line::{self, Duplex, PROTOCOL, Socket},
};
use crate::{
    data_dir,
    tls::{
        Authority, LINK_NAME,
        authority::{self, fingerprint},
        provider,
    },
};

/// Looking up, connecting, handshake and upgrade together.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer read, bytes.
const MAX_ANSWER: usize = 65_536;

/// What is needed to link.
#[derive(Debug)]
pub struct Client {
    /// `host:port` of the masters, the best first.
    pub masters: Vec<String>,
    /// Where key, certificate and the master's authority are kept.
    pub dir: PathBuf,
    /// The token, as long as there is no certificate.
    pub token_file: Option<PathBuf>,
    /// The own path.
    pub path: Path,
}

/// Who we are for the master.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: CertificateDer<'static>,
}

impl Client {
    /// Connects to the master of this number; enrols first where that was not done.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn connect(&self, master: usize) -> Result<Socket, Words> {
        let address =
            self.masters.get(master).ok_or_else(|| Words::new("không có cấp trên", "there is no master"))?;
        let late = || Words::new(format!("{address} không trả lời"), format!("{address} does not answer"));
        tokio::time::timeout(PATIENCE, self.link(address)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn link(&self, address: &str) -> Result<Socket, Words> {
        let identity = match self.identity()? {
            Some(identity) => identity,
            None => self.enrol(address).await?,
        };
        upgraded(address, &self.dir, identity).await
    }

    /// What was stored when enrolling; `None`: nothing yet.
    fn identity(&self) -> Result<Option<Identity>, Words> {
        let file = self.dir.join("certificate.pem");
        let Some(certificate) = read(&file)? else { return Ok(None) };
        let missing = |name: &str| {
            let path = self.dir.join(name);
            read(&path)?.ok_or_else(|| unusable(&path, &"missing"))
        };
        let chain = CertificateDer::from_pem_slice(&certificate).map_err(|e| unusable(&file, &e))?;
        let bound = authority::path_in(&chain);
        if bound.as_ref() != Some(&self.path) {
            let bound = bound.map(|path| path.to_string()).unwrap_or_default();
            return Err(Words::new(
                format!(
                    "chứng thư {} cấp cho “{bound}”, còn cascade.path là “{}”; hãy sửa cấu hình, hoặc xóa tệp và ghi danh lại",
                    file.display(),
                    self.path
                ),
                format!(
                    "the certificate {} is for \"{bound}\", and cascade.path is \"{}\"; change the configuration, or delete the file and enrol anew",
                    file.display(),
                    self.path
                ),
            ));
        }
        let (ca, key) = (missing("ca.pem")?, missing("key.pem")?);
        Ok(Some(Identity {
            chain: vec![chain],
            key: PrivateKeyDer::from_pem_slice(&key).map_err(|e| unusable(&self.dir.join("key.pem"), &e))?,
            authority: CertificateDer::from_pem_slice(&ca)
                .map_err(|e| unusable(&self.dir.join("ca.pem"), &e))?,
        }))
    }

    /// Gets a certificate for the token, once.
    async fn enrol(&self, address: &str) -> Result<Identity, Words> {
        let (secret, pin) = self.token()?;
        let key = self.key()?;
        let csr = authority::request(&key).map_err(|e| unusable(&self.dir.join("key.pem"), &e))?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|e| broken(address, &e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(pin)))
            .with_no_client_auth();
        let stream = tls(address, config).await?;
        let body = serde_json::to_vec(&Enrol { token: secret, csr }).map_err(|e| broken(address, &e))?;
        let answer = post(stream, address, body).await?;
        let enrolled: Enrolled = serde_json::from_slice(&answer).map_err(|_| refusal(address, &answer))?;
        let chain = CertificateDer::from_pem_slice(enrolled.certificate.as_bytes())
            .map_err(|e| broken(address, &e))?;
        if authority::path_in(&chain).as_ref() != Some(&self.path) {
            return Err(Words::new(
                format!("mã ghi danh dành cho “{}”, còn cascade.path là “{}”", enrolled.path, self.path),
                format!("the token is for \"{}\", and cascade.path is \"{}\"", enrolled.path, self.path),
            ));
        }
        let root = CertificateDer::from_pem_slice(enrolled.authority.as_bytes()).ok();
        if root.is_none_or(|root| fingerprint(&root) != pin) {
            return Err(stranger(address));
        }
        // The certificate last: it says that enrolling is done.
        for (name, text) in [("ca.pem", enrolled.authority), ("certificate.pem", enrolled.certificate)] {
            let path = self.dir.join(name);
            data_dir::write_private(&path, &text).map_err(|e| unusable(&path, &e))?;
        }
        tracing::info!(path = %self.path, "enrolled at {address}");
        self.identity()?.ok_or_else(|| unusable(&self.dir, &"missing"))
    }

    /// The secret part of the token, and what the master's authority has to be.
    fn token(&self) -> Result<(String, [u8; 32]), Words> {
        let none = || {
            Words::new(
                "MCU này chưa có chứng thư của cấp trên: hãy tạo đường nối ở đó và đặt mã vào tệp cascade.token_file",
                "this MCU has no certificate of its master: make a link there, and put the token into the file cascade.token_file",
            )
        };
        let file = self.token_file.as_ref().ok_or_else(none)?;
        let text = read(file)?.ok_or_else(none)?;
        let text = String::from_utf8(text).unwrap_or_default();
        parse_token(text.trim()).ok_or_else(|| unusable(file, &"not a token (cau1-…)"))
    }

    /// The own key; made when there is none.
    fn key(&self) -> Result<KeyPair, Words> {
        let file = self.dir.join("key.pem");
        if let Some(text) = read(&file)? {
            let text = String::from_utf8(text).map_err(|e| unusable(&file, &e))?;
            return KeyPair::from_pem(&text).map_err(|e| unusable(&file, &e));
        }
        let key = KeyPair::generate().map_err(|e| unusable(&file, &e))?;
        data_dir::private_folder(&self.dir).map_err(|e| unusable(&self.dir, &e))?;
        data_dir::write_private(&file, &key.serialize_pem()).map_err(|e| unusable(&file, &e))?;
        Ok(key)
    }
}

/// A link with this certificate; `dir`: where it is from, for people.
async fn upgraded(address: &str, dir: &FilePath, identity: Identity) -> Result<Socket, Words> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.authority).map_err(|e| unusable(&dir.join("ca.pem"), &e))?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|e| broken(address, &e))?
        .with_root_certificates(roots)
        .with_client_auth_cert(identity.chain, identity.key)
        .map_err(|e| unusable(&dir.join("key.pem"), &e))?;
    let stream = tls(address, config).await?;
    let mut request =
        format!("wss://{LINK_NAME}/link").into_client_request().map_err(|e| broken(address, &e))?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    let stream: Box<dyn Duplex> = Box::new(stream);
    match client_async_with_config(request, stream, Some(line::bounds())).await {
        Ok((socket, _)) => Ok(socket),
        Err(WsError::Http(answer)) => Err(refusal(address, answer.body().as_deref().unwrap_or_default())),
        Err(e) => Err(broken(address, &e)),
    }
}

/// The way to the other master, which has the same authority.
#[derive(Debug)]
pub struct PeerClient {
    /// Its `host:port`.
    pub address: String,
    /// Issues the certificate shown there.
    pub authority: Arc<Authority>,
    /// The place of both in the tree.
    pub path: Path,
    /// Where the authority is kept.
    pub dir: PathBuf,
}

impl PeerClient {
    /// Connects to it.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn connect(&self) -> Result<Socket, Words> {
        let address = &self.address;
        let late = || Words::new(format!("{address} không trả lời"), format!("{address} does not answer"));
        let linked = async {
            let now = cau_drive::Clock::wall_now();
            let made = self.authority.peer(&self.path, now).map_err(|e| unusable(&self.dir, &e))?;
            let (chain, key) = made;
            let identity = Identity { chain, key, authority: self.authority.certificate().clone() };
            upgraded(address, &self.dir, identity).await
        };
        tokio::time::timeout(PATIENCE, linked).await.unwrap_or_else(|_| Err(late()))
    }
}

fn parse_token(text: &str) -> Option<(String, [u8; 32])> {
    let (secret, pin) = text.strip_prefix("cau1-")?.split_at_checked(64)?;
    authority::unhex(secret)?;
    Some((secret.to_owned(), authority::unhex(pin)?.try_into().ok()?))
}

/// A small file; `None`: it is not there.
fn read(path: &FilePath) -> Result<Option<Vec<u8>>, Words> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unusable(path, &e)),
    }
}

async fn tls(address: &str, config: ClientConfig) -> Result<TlsStream<TcpStream>, Words> {
    let stream = TcpStream::connect(address).await.map_err(|e| broken(address, &e))?;
    let _ = stream.set_nodelay(true);
    let name = ServerName::try_from(LINK_NAME).map_err(|e| broken(address, &e))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| {
        match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_)) => stranger(address),
            _ => broken(address, &e),
        }
    })
}

async fn post(stream: TlsStream<TcpStream>, address: &str, body: Vec<u8>) -> Result<Bytes, Words> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(address, &e))?;
    // Ends when the sender is dropped.
    tokio::spawn(connection);
    let request = Request::post("/enrol")
        .header(header::HOST, LINK_NAME)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| broken(address, &e))?;
    let answer = sender.send_request(request).await.map_err(|e| broken(address, &e))?;
    let good = answer.status().is_success();
    let body =
        Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|e| broken(address, &e))?;
    let body = body.to_bytes();
    if good { Ok(body) } else { Err(refusal(address, &body)) }
}

/// What a master said when it refused.
fn refusal(address: &str, body: &[u8]) -> Words {
    match serde_json::from_slice::<Refused>(body) {
        Ok(Refused { words }) => {
            let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(400).collect::<String>();
            Words::new(
                format!("{address} từ chối: {}", short(&words.vi)),
                format!("{address} refuses: {}", short(&words.en)),
            )
        }
        Err(_) => Words::new(
            format!("{address} không phải MCU cấp trên"),
            format!("what answers at {address} is no master"),
        ),
    }
}

fn stranger(address: &str) -> Words {
    Words::new(
        format!("MCU ở {address} không phải MCU đã cấp chứng thư hay mã ghi danh này"),
        format!("the MCU at {address} is not the one this certificate or token is from"),
    )
}

fn broken(address: &str, e: &dyn std::fmt::Display) -> Words {
    Words::new(format!("không nối được với {address}: {e}"), format!("no connection to {address}: {e}"))
}

fn unusable(file: &FilePath, e: &dyn std::fmt::Display) -> Words {
    let file = file.display();
    Words::new(format!("không dùng được {file}: {e}"), format!("{file} cannot be used: {e}"))
}

/// Takes a server whose authority is the one of the token.
#[derive(Debug)]
struct Pinned([u8; 32]);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let root = intermediates.iter().find(|c| fingerprint(c) == self.0).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider());
        let verifier = verifier.build().map_err(|_| unknown())?;
        verifier.verify_server_cert(end_entity, &[], name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_secret_and_a_fingerprint() {
        let text = format!("cau1-{}{}", "ab".repeat(32), "cd".repeat(32));
        assert_eq!(parse_token(&text), Some(("ab".repeat(32), [0xcd; 32])));
        for wrong in
            ["", "cau1-", "cau2-00", &text[..text.len() - 1], &format!("{text}00"), &text.replace('a', "x")]
        {
            assert_eq!(parse_token(wrong), None, "{wrong}");
        }
    }
}
