//! Where the admin API is, as the command line writes it.

use std::path::PathBuf;
use std::str::FromStr;

use crate::config::ListenAddress;

/// `HOST:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminAddress(pub ListenAddress);

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "an address is HOST:PORT, such as 127.0.0.1:9600, or unix:PATH";
        if let Some(path) = text.strip_prefix("unix:") {
            // The kernel's limit for a socket's path, with its end mark.
            return match path.len() {
                0 => Err("the path after `unix:` is missing".to_owned()),
                1..=107 => Ok(Self(ListenAddress::Unix(PathBuf::from(path)))),
                _ => Err("the path is over 107 bytes long".to_owned()),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or(FORM)?;
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = literal.unwrap_or(host);
        // A bare IPv6 address leaves it open where it ends and the port begins.
        if host.is_empty() || (literal.is_none() && host.contains(':')) {
            return Err(FORM.to_owned());
        }
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(FORM)?;
        Ok(Self(ListenAddress::Tcp(host.to_owned(), port)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in ["127.0.0.1:9600", "localhost:1", "[::1]:9600", "unix:/run/a.sock"] {
            assert_eq!(text.parse::<AdminAddress>().unwrap().0.to_string(), text);
        }
        for bad in ["", "9600", "127.0.0.1", ":9600", "::1:9600", "a:0", "a:70000", "unix:"] {
            assert!(bad.parse::<AdminAddress>().is_err(), "{bad}");
        }
    }
}
