//! Which configurations of the admin API are safe enough to start.

use std::net::IpAddr;

use crate::config::{AdminConfig, ListenAddress};

/// A token may not be shorter, so that nobody guesses it.
const SHORTEST_TOKEN: usize = 16;

/// Checks that nobody reaches the admin API who should not.
///
/// # Errors
/// An address that other machines may reach, and no token; or a token that is none. The text says
/// what to do.
pub fn check_access(config: &AdminConfig) -> Result<(), String> {
    if let Some(token) = &config.token {
        let token = token.reveal();
        if token.len() < SHORTEST_TOKEN {
            return Err(format!(
                "the admin token has {} characters, and must have {SHORTEST_TOKEN} or more; \
                 `openssl rand -hex 32` makes one",
                token.len()
            ));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the admin token has characters that no HTTP header can carry; \
                        `openssl rand -hex 32` makes one"
                .to_owned());
        }
        return Ok(());
    }
    match config.listen.iter().find(|address| !is_local(address)) {
        Some(address) => Err(format!(
            "the admin API at {address} could be reached from other machines, and nothing keeps \
             them out: set admin.token in a configuration file, or listen on 127.0.0.1, [::1] or \
             unix:PATH"
        )),
        None => Ok(()),
    }
}

/// Whether only this machine reaches the address. Of names only `localhost` is believed to.
fn is_local(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Unix(_) => true,
        ListenAddress::Tcp(host, _) => {
            host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
        }
    }
}

/// Whether an address is this machine's own, for itself only.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn checked(host: &str, token: Option<&str>) -> Result<(), String> {
        check_access(&AdminConfig {
            listen: vec![ListenAddress::Tcp(host.to_owned(), 9600)],
            token: token.map(|text| Secret::new(text.to_owned())),
            ..AdminConfig::default()
        })
    }

    #[test]
    fn only_this_machine_needs_no_token() {
        for host in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "localhost"] {
            assert_eq!(checked(host, None), Ok(()), "{host}");
        }
        for host in ["0.0.0.0", "::", "10.0.0.1", "localhost.example.net", "agent"] {
            let error = checked(host, None).unwrap_err();
            assert!(error.contains("admin.token"), "{error}");
            assert_eq!(checked(host, Some("0123456789abcdef")), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_token_must_be_one() {
        for token in ["", "short", "with a space in it ", "umlaut-ä-umlaut-ä"] {
            assert!(checked("127.0.0.1", Some(token)).is_err(), "{token}");
        }
    }
}
