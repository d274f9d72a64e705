//! Keeps the addresses of a target's name up to date, away from the data plane.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::log::{Throttle, suppressed};

/// The addresses as they were last found; empty when none ever were.
pub type Addresses = watch::Receiver<Arc<[SocketAddr]>>;

/// A name is looked up again after this time.
const REFRESH: Duration = Duration::from_secs(30);
/// A name without addresses is looked up again after this time.
const RETRY: Duration = Duration::from_secs(2);

/// Where the addresses of a name are put.
pub struct Resolver {
    host: String,
    port: u16,
    addresses: watch::Sender<Arc<[SocketAddr]>>,
}

/// A resolver for `host`, and where it tells the addresses. An address instead of a name is known
/// at once.
#[must_use]
pub fn resolver(host: &str, port: u16) -> (Resolver, Addresses) {
    let known: Arc<[SocketAddr]> = match host.parse::<IpAddr>() {
        Ok(address) => Arc::new([SocketAddr::new(address, port)]),
        Err(_) => Arc::new([]),
    };
    let (addresses, told) = watch::channel(known);
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
                let found: Arc<[SocketAddr]> = found.collect();
                let changed = addresses.send_if_modified(|known| {
                    let changed = *known != found;
                    known.clone_from(&found);
                    changed
                });
                if changed {
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
