//! A connection to a server: over TCP or a socket of this machine, with TLS where it is asked for. Nothing is read ahead of what the
//! connection itself buffers, so a server that is faster than the reader waits.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};
use socket2::{SockRef, TcpKeepalive};

use super::address::{Address, TlsMode};
use crate::record::Fault;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// So long may a server be silent while it is greeted. A query may take its time.
const GREETING_TIMEOUT: Duration = Duration::from_secs(60);
const KEEPALIVE: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 64 << 10;

/// A connection without TLS.
trait Socket: Read + Write + Send {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)
    }
}

#[cfg(unix)]
impl Socket for std::os::unix::net::UnixStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)
    }
}

enum Stream {
    Plain(Box<dyn Socket>),
    Tls(Box<StreamOwned<ClientConnection, Box<dyn Socket>>>),
    /// While one becomes the other.
    None,
}

/// A connection.
pub(super) struct Wire {
    reader: BufReader<Stream>,
    is_local: bool,
}

/// A fault of the connection.
pub(super) fn broken(error: &io::Error) -> Fault {
    let detail = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server ended the connection".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "the server does not answer".to_owned(),
        _ => error.to_string(),
    };
    Fault::new("unreachable", detail)
}

/// What the server sends is none of what it may send here.
pub(super) fn unexpected(what: impl fmt::Display) -> Fault {
    Fault::new("unreachable", format!("the server sends {what}, which has no place here"))
}

/// The server would be told the password where others read along.
pub(super) fn wants_password() -> Fault {
    Fault::new("unreachable", "the server asks for the password itself, which is sent under TLS alone: sslmode=require asks for that")
}

impl Wire {
    pub(super) fn open(address: &Address) -> Result<Self, Fault> {
        let socket = socket(address).map_err(|e| broken(&e))?;
        Ok(Self { reader: BufReader::with_capacity(BUFFER_BYTES, Stream::Plain(socket)), is_local: address.path.is_some() })
    }

    /// Whether nobody between here and the server can read along.
    pub(super) fn is_private(&self) -> bool {
        self.is_local || matches!(self.reader.get_ref(), Stream::Tls(_))
    }

    /// Goes on under TLS.
    pub(super) fn encrypt(&mut self, address: &Address) -> Result<(), Fault> {
        // What came before the handshake is not the server's word under it.
        if !self.reader.buffer().is_empty() {
            return Err(unexpected("bytes before the TLS handshake"));
        }
        let fault = |e: &dyn fmt::Display| Fault::new("unreachable", format!("no TLS with `{}`: {e}", address.host));
        let name = ServerName::try_from(address.bare_host().to_owned()).map_err(|e| fault(&e))?;
        let settings = settings(address).map_err(|e| fault(&e))?;
        let connection = ClientConnection::new(Arc::new(settings), name).map_err(|e| fault(&e))?;
        let Stream::Plain(socket) = std::mem::replace(self.reader.get_mut(), Stream::None) else { return Err(unexpected("TLS twice")) };
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| fault(&e))?;
        }
        *self.reader.get_mut() = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// The greeting is over: from here on a server may think as long as it likes.
    pub(super) fn wait_for_ever(&mut self) -> Result<(), Fault> {
        match self.reader.get_mut() {
            Stream::Plain(socket) => socket.set_timeout(None),
            Stream::Tls(tls) => tls.sock.set_timeout(None),
            Stream::None => Ok(()),
        }
        .map_err(|e| broken(&e))
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let stream = self.reader.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush()).map_err(|e| broken(&e))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|e| broken(&e))?;
        Ok(bytes)
    }

    /// The next byte, which stays to be read.
    #[cfg(feature = "mysql")]
    pub(super) fn peek(&mut self) -> Result<u8, Fault> {
        let there = self.reader.fill_buf().map_err(|e| broken(&e))?;
        there.first().copied().ok_or_else(|| broken(&io::ErrorKind::UnexpectedEof.into()))
    }

    /// Adds `n` bytes to a buffer.
    pub(super) fn read(&mut self, n: usize, into: &mut Vec<u8>) -> Result<(), Fault> {
        let before = into.len();
        (&mut self.reader).take(n as u64).read_to_end(into).map_err(|e| broken(&e))?;
        if into.len() - before < n { Err(broken(&io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }

    /// Passes over `n` bytes.
    pub(super) fn skip(&mut self, mut n: usize) -> Result<(), Fault> {
        while n > 0 {
            let there = self.reader.fill_buf().map_err(|e| broken(&e))?.len();
            if there == 0 {
                return Err(broken(&io::ErrorKind::UnexpectedEof.into()));
            }
            let passed = there.min(n);
            self.reader.consume(passed);
            n -= passed;
        }
        Ok(())
    }
}

fn socket(address: &Address) -> io::Result<Box<dyn Socket>> {
    if let Some(path) = &address.path {
        #[cfg(unix)]
        {
            let unix = std::os::unix::net::UnixStream::connect(path)?;
            unix.set_timeout(Some(GREETING_TIMEOUT))?;
            return Ok(Box::new(unix));
        }
        #[cfg(not(unix))]
        return Err(io::Error::new(io::ErrorKind::Unsupported, format!("there are no sockets such as `{}` here", path.display())));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for at in (address.bare_host(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&at, CONNECT_TIMEOUT) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                tcp.set_timeout(Some(GREETING_TIMEOUT))?;
                // A query may think for hours; a peer that is gone is found out all the same.
                SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
                return Ok(Box::new(tcp));
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn settings(address: &Address) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let begun = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    if address.tls != TlsMode::VerifyFull {
        return Ok(begun.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))).with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    match &address.roots {
        Some(path) => {
            let wrong = |e: &dyn fmt::Display| format!("cannot read certificates from `{}`: {e}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(&e))? {
                roots.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(begun.with_root_certificates(roots).with_no_client_auth())
}

/// Asks nobody who they are: what libpq's `prefer` and `require` mean.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buf),
            Self::Tls(tls) => tls.read(buf),
            Self::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buf),
            Self::Tls(tls) => tls.write(buf),
            Self::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
            Self::None => Ok(()),
        }
    }
}
