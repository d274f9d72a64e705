//! Asks a running agent's admin API.

use std::fmt::{self, Write as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::admin::AdminAddress;
use crate::config::{HttpVersion, ListenAddress, MirrorUrl, TargetConfig};
use crate::target;

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// An answer may not be longer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Where the admin API is: `HOST:PORT`, `unix:PATH`, or an http or https URL without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    address: ListenAddress,
    https: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { address: ListenAddress::Tcp("127.0.0.1".to_owned(), 9600), https: false }
    }
}

impl Place {
    /// Where the agent with this configuration file has its admin API; `None` where that cannot be
    /// found out. Whether the file is right is not asked.
    pub(crate) fn from_file(file: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(file).ok()?;
        let table: toml::Table = text.parse().ok()?;
        let admin = table.get("admin")?;
        let listen = admin.get("listen")?;
        let first = listen.as_str().or_else(|| listen.get(0)?.as_str())?;
        let AdminAddress(mut address) = first.parse().ok()?;
        // What listens everywhere listens here, too.
        if let ListenAddress::Tcp(host, _) = &mut address {
            match host.as_str() {
                "0.0.0.0" => "127.0.0.1".clone_into(host),
                "::" => "::1".clone_into(host),
                _ => {}
            }
        }
        let https = admin.get("tls").is_some() && matches!(address, ListenAddress::Tcp(..));
        Some(Self { address, https })
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            let url: MirrorUrl = text.parse()?;
            if !url.prefix.is_empty() {
                return Err(format!("leave the path out: {}", url.origin()));
            }
            return Ok(Self { address: ListenAddress::Tcp(url.host, url.port), https: url.https });
        }
        let AdminAddress(address) = text.parse()?;
        Ok(Self { address, https: false })
    }
}

impl Place {
    /// Where a browser finds the agent; `None` behind a unix socket.
    pub(crate) fn url(&self) -> Option<String> {
        let scheme = if self.https { "https" } else { "http" };
        match &self.address {
            tcp @ ListenAddress::Tcp(..) => Some(format!("{scheme}://{tcp}")),
            ListenAddress::Unix(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.https {
            f.write_str("https://")?;
        }
        self.address.fmt(f)
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody answers just now; an agent that is restarted does so a moment later.
    Silent(String),
    /// Asking again does not help.
    Refused(String),
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Silent(text) | Failure::Refused(text) => text,
        }
    }
}

/// How to ask.
pub(crate) struct Client {
    place: Place,
    authorization: Option<String>,
    tls: Option<TlsConnector>,
}

impl Client {
    /// Asks at `place`, with the token in a file, trusting the certificates in `ca` or the system's.
    ///
    /// # Errors
    /// A file cannot be used; the text says which and why.
    pub(crate) fn new(
        place: Place,
        token_file: Option<&Path>,
        ca: Option<PathBuf>,
    ) -> Result<Self, String> {
        let authorization = token_file.map(bearer).transpose()?;
        let tls = match &place.address {
            ListenAddress::Tcp(host, port) if place.https => {
                let url = MirrorUrl {
                    https: true,
                    host: host.clone(),
                    port: *port,
                    prefix: String::new(),
                };
                let mut target = TargetConfig::new("admin".to_owned(), url);
                target.http = HttpVersion::Http1;
                target.tls.ca = ca;
                Some(TlsConnector::from(target::client_config(&target)?))
            }
            _ => None,
        };
        Ok(Self { place, authorization, tls })
    }

    /// Where it asks.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Asks, and gives the answer's body where it is a success.
    ///
    /// # Errors
    /// Nobody answers, or the answer is no success: what to do about it.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Result<Bytes, Failure> {
        self.answer(method, path, None).await
    }

    /// Posts JSON, and gives the answer's body where it is a success.
    ///
    /// # Errors
    /// Nobody answers, or the answer is no success: what to do about it.
    pub(crate) async fn post(
        &self,
        path: &str,
        json: &serde_json::Value,
    ) -> Result<Bytes, Failure> {
        self.answer(Method::POST, path, Some(json.to_string())).await
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        json: Option<String>,
    ) -> Result<Bytes, Failure> {
        let asked = tokio::time::timeout(PATIENCE, self.exchange(method, path, json)).await;
        let late =
            || Failure::Silent(format!("{} does not answer within {PATIENCE:?}", self.place));
        let (status, body) = asked.map_err(|_| late())??;
        if status.is_success() {
            return Ok(body);
        }
        let place = &self.place;
        if status == StatusCode::UNAUTHORIZED {
            return Err(Failure::Refused(match self.authorization {
                None => format!("{place} wants a token: give --token-file FILE"),
                Some(_) => format!("{place} does not accept the token of --token-file"),
            }));
        }
        let told = format!("{place} answers {}: {}", status.as_u16(), explanation(&body));
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Failure::Silent(told)
            }
            _ => Failure::Refused(told),
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        json: Option<String>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let unreachable = |error: std::io::Error| {
            let told = format!(
                "cannot reach an agent at {}: {error}; does one run, with --admin or admin.listen \
                 at this address?",
                self.place
            );
            match error.kind() {
                ErrorKind::PermissionDenied => Failure::Refused(told),
                _ => Failure::Silent(told),
            }
        };
        match &self.place.address {
            ListenAddress::Unix(path_of_socket) => {
                let stream = UnixStream::connect(path_of_socket).await.map_err(unreachable)?;
                self.over(stream, "localhost", method, path, json).await
            }
            ListenAddress::Tcp(host, port) => {
                let stream =
                    TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
                let authority = self.place.address.to_string();
                let Some(tls) = &self.tls else {
                    return self.over(stream, &authority, method, path, json).await;
                };
                let name = ServerName::try_from(host.clone()).map_err(|_| {
                    Failure::Refused(format!("`{host}` is no name that a certificate could be for"))
                })?;
                let stream = tls.connect(name, stream).await.map_err(|error| {
                    let told = format!(
                        "no TLS with {}: {error}; --ca FILE trusts a certificate that the system \
                         does not",
                        self.place
                    );
                    match error.kind() {
                        // What TLS itself does not accept.
                        ErrorKind::InvalidData => Failure::Refused(told),
                        _ => Failure::Silent(told),
                    }
                })?;
                self.over(stream, &authority, method, path, json).await
            }
        }
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        host: &str,
        method: Method,
        path: &str,
        json: Option<String>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let told = |error: &dyn fmt::Display| {
            Failure::Silent(format!("{}: no HTTP answer: {error}", self.place))
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(json.unwrap_or_default()));
        let request = request.body(body).map_err(|error| told(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| told(&error))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| told(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            Ok((status, body.map_err(|error| told(&error))?.to_bytes()))
        };
        tokio::pin!(answer);
        tokio::pin!(connection);
        let mut open = true;
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                _ = &mut connection, if open => open = false,
            }
        }
    }
}

/// The header's value with the token in a file.
fn bearer(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read the token in {}: {error}", file.display()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{} must hold a token and nothing else", file.display()));
    }
    Ok(format!("Bearer {token}"))
}

/// The message of an error's body, with the mistakes that it lists.
fn explanation(body: &Bytes) -> String {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return String::from_utf8_lossy(body).trim().chars().take(200).collect();
    };
    let error = &value["error"];
    let mut text = error["message"].as_str().unwrap_or("it does not say why").to_owned();
    for problem in error["problems"].as_array().into_iter().flatten() {
        let message = problem["message"].as_str().unwrap_or_default();
        // Writing to a String does not fail.
        let _ = match (problem["file"].as_str(), problem["line"].as_u64()) {
            (Some(file), Some(line)) => write!(text, "\n  {file}:{line}: {message}"),
            _ => write!(text, "\n  {message}"),
        };
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_are_addresses_or_urls() {
        for (text, shown) in [
            ("127.0.0.1:9600", "127.0.0.1:9600"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("http://localhost:9600/", "localhost:9600"),
            ("https://agent.example", "https://agent.example:443"),
            ("https://[::1]:9600", "https://[::1]:9600"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), shown);
        }
        for bad in ["", "9600", "ftp://x", "https://x/path", "https://u:p@x"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
        assert_eq!(Place::default().to_string(), "127.0.0.1:9600");
        for (text, url) in [
            ("[::1]:9600", Some("http://[::1]:9600")),
            ("https://agent.example:9600", Some("https://agent.example:9600")),
            ("unix:/run/a.sock", None),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().url().as_deref(), url);
        }
    }

    #[test]
    fn a_configuration_file_tells_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("spoa-mirror.toml");
        assert_eq!(Place::from_file(&file), None);
        for (toml, place) in [
            ("[admin]\nlisten = \"127.0.0.1:1\"", Some("127.0.0.1:1")),
            ("[admin]\nlisten = [\"unix:/a\", \"127.0.0.1:1\"]", Some("unix:/a")),
            (
                "[admin]\nlisten = \"[::]:1\"\ntls = { certificate = \"c\", key = \"k\" }",
                Some("https://[::1]:1"),
            ),
            ("[admin]\nlisten = 5", None),
            ("[admin]\nlisten = []", None),
            ("[agent]", None),
            ("[", None),
        ] {
            std::fs::write(&file, toml).unwrap();
            let found = Place::from_file(&file).map(|place| place.to_string());
            assert_eq!(found.as_deref(), place, "{toml}");
        }
    }
}
