//! nginx as production, as targets, and as a mirror of its own.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use testbed::agent::Agent;
use testbed::{ports, tls, wait};

/// The root of the TLS target's certificate, in the directory of a measurement.
pub(crate) const CA: &str = "ca.pem";

/// A running nginx with one worker process. Ended on drop.
pub(crate) struct Nginx {
    process: Agent,
    pub(crate) ports: Vec<u16>,
    status: u16,
    /// Looks at its counters, which it counts as requests.
    looks: Cell<u64>,
}

/// What listens on a port.
pub(crate) enum Server {
    Http1,
    H2c,
    Tls,
    /// Passes requests to the first address, and copies of them to the second.
    Mirror(SocketAddr, Vec<String>),
}

impl Nginx {
    /// Starts one with these servers, its files in `directory`.
    pub(crate) fn start(directory: &Path, name: &str, servers: &[Server]) -> Self {
        let home = directory.join(name);
        std::fs::create_dir_all(&home).unwrap();
        let ports: Vec<u16> = servers.iter().map(|_| ports::free()).collect();
        let status = ports::free();
        let mut text = format!(
            "daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;\n\
             events {{ worker_connections 8000; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;\n\
             client_max_body_size 10m; client_body_buffer_size 128k;\n\
             client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;\n\
             uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n\
             server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}\n",
            home = home.display()
        );
        for (server, port) in servers.iter().zip(&ports) {
            text += &server.text(*port, directory);
        }
        text += "}\n";
        let file = home.join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let log = home.join("error.log");
        let arguments = ["-c".into(), file, "-e".into(), log];
        let process = Agent::start("nginx", arguments);
        let nginx = Self { process, ports, status, looks: Cell::new(0) };
        wait::until(wait::LIMIT, "nginx answers", || nginx.try_requests());
        nginx
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[0]).into()
    }

    /// Requests taken so far, looks like this one left out.
    pub(crate) fn requests(&self) -> u64 {
        wait::until(wait::LIMIT, "nginx answers", || self.try_requests())
    }

    fn try_requests(&self) -> Option<u64> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.status)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        // `accepts handled requests`, in the line after these words.
        let numbers = text.split("requests\n").nth(1)?.lines().next()?;
        let requests = numbers.split_whitespace().nth(2)?.parse::<u64>().ok()?;
        self.looks.set(self.looks.get() + 1);
        Some(requests - self.looks.get())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// The worker process ends with its master only when the master is told to end.
impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.stop(wait::LIMIT);
    }
}

impl Server {
    fn text(&self, port: u16, directory: &Path) -> String {
        let answer = "location / { return 200 \"answered by nginx\\n\"; }";
        match self {
            Self::Http1 => format!("server {{ listen 127.0.0.1:{port} backlog=4096; {answer} }}\n"),
            Self::H2c => {
                format!("server {{ listen 127.0.0.1:{port} http2 backlog=4096; {answer} }}\n")
            }
            Self::Tls => {
                let pem = identity(directory);
                format!(
                    "server {{ listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {pem}; \
                     ssl_certificate_key {pem}; {answer} }}\n",
                    pem = pem.display()
                )
            }
            Self::Mirror(production, targets) => {
                let mut text = format!(
                    "upstream production {{ server {production}; keepalive 64; }}\n\
                     server {{ listen 127.0.0.1:{port} backlog=4096;\n\
                     proxy_http_version 1.1; proxy_set_header Connection \"\"; location / {{\n"
                );
                for number in 0..targets.len() {
                    let _ = writeln!(text, "mirror /mirror{number};");
                }
                text += "proxy_pass http://production; }\n";
                let mut upstreams = String::new();
                for (number, url) in targets.iter().enumerate() {
                    let (scheme, host) = url.split_once("://").unwrap_or(("http", url));
                    let _ = writeln!(
                        upstreams,
                        "upstream target{number} {{ server {host}; keepalive 1000; }}"
                    );
                    let _ = writeln!(
                        text,
                        "location = /mirror{number} {{ internal; \
                         proxy_pass {scheme}://target{number}$request_uri; }}"
                    );
                }
                upstreams + &text + "}\n"
            }
        }
    }
}

/// A certificate for the TLS target, its key and its root, made once; gives the file of the first two.
fn identity(directory: &Path) -> PathBuf {
    let file = directory.join("server.pem");
    if !file.exists() {
        let authority = tls::Authority::new();
        let identity = authority.identity(&["127.0.0.1", "localhost"]);
        std::fs::write(&file, identity.pem_with_key()).unwrap();
        std::fs::write(directory.join(CA), authority.pem()).unwrap();
    }
    file
}
