//! Keeps the addresses of a target's name up to date, away from the data plane.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use super::address::Address;
use crate::log::{Throttle, suppressed};

/// The addresses as they were last found; empty when none ever were.
pub type Addresses = watch::Receiver<Arc<[Arc<Address>]>>;

/// A name is looked up again after this time.
const REFRESH: Duration = Duration::from_secs(30);
/// A name without addresses is looked up again after this time.
const RETRY: Duration = Duration::from_secs(2);
/// Of a name with more addresses, the others are not used.
const MAX_ADDRESSES: usize = 64;

/// Where the addresses of a name are put.
pub struct Resolver {
    host: String,
    port: u16,
    addresses: watch::Sender<Arc<[Arc<Address>]>>,
}

/// A resolver for `host`, and where it tells the addresses. An address instead of a name is known
/// at once.
#[must_use]
pub fn resolver(host: &str, port: u16) -> (Resolver, Addresses) {
    let (addresses, told) = watch::channel(match host.parse::<IpAddr>() {
        Ok(address) => [Arc::new(Address::new(SocketAddr::new(address, port)))].into(),
        Err(_) => [].into(),
    });
    (Resolver { host: host.to_owned(), port, addresses }, told)
}

/// Looks the name up, again and again, for as long as somebody wants to know.
pub async fn keep(resolver: Resolver) {
    let Resolver { host, port, addresses } = resolver;
    if host.parse::<IpAddr>().is_ok() {
        return;
    }
    let mut throttle = Throttle::default();
    while !addresses.is_closed() {
        let found = tokio::net::lookup_host((host.as_str(), port)).await;
        let pause = match found {
            Ok(found) => {
                let found: BTreeSet<SocketAddr> = found.collect();
                if addresses.send_if_modified(|known| replace(known, &found)) {
                    info!("{host} is at {found:?}");
                }
                REFRESH
            }
            Err(error) => {
                if let Some(more) = throttle.allow(std::time::Instant::now()) {
                    // The addresses found before stay in use.
                    warn!(
                        "the name {host} of a target cannot be resolved: {error}{}",
                        suppressed(more)
                    );
                }
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Puts the addresses found in place of those known, of which those that stay keep their record;
/// whether that makes a difference. The order that they are found in means nothing: they take turns.
fn replace(known: &mut Arc<[Arc<Address>]>, found: &BTreeSet<SocketAddr>) -> bool {
    let found = || found.iter().take(MAX_ADDRESSES);
    if known.iter().map(|address| &address.socket).eq(found()) {
        return false;
    }
    *known = found()
        .map(|&socket| match known.iter().find(|address| address.socket == socket) {
            Some(address) => Arc::clone(address),
            None => Arc::new(Address::new(socket)),
        })
        .collect();
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn an_address_that_stays_keeps_its_record() {
        let found = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let mut known: Arc<[Arc<Address>]> = [].into();
        assert!(replace(&mut known, &found(&["10.0.0.2:80", "[::1]:80"])));
        let now = Instant::now();
        known[0].failed(known[0].claim(now).unwrap(), now);
        assert!(!replace(&mut known, &found(&["[::1]:80", "10.0.0.2:80"])));
        assert!(replace(&mut known, &found(&["10.0.0.1:80", "10.0.0.2:80"])));
        let usable: Vec<_> = known
            .iter()
            .map(|address| (address.socket.to_string(), address.claim(now).is_some()))
            .collect();
        assert_eq!(usable, [("10.0.0.1:80".to_owned(), true), ("10.0.0.2:80".to_owned(), false)]);
    }
}
