//! How a target is reached: `tls`, `local`, `connections`.

use std::net::IpAddr;
use std::path::Path;

use super::process::certificate;
use super::walk::{Place, Section};
use crate::config::{Connections, LocalEnd, TargetConfig, TlsConfig, TlsVersion, parse_ports};

/// Reads them into `config`, whose URL and limits are known.
pub(super) fn read(target: &mut Section<'_, '_, '_>, config: &mut TargetConfig) {
    tls(target, config);
    local(target, config);
    connections(target, config);
}

fn tls(target: &mut Section<'_, '_, '_>, config: &mut TargetConfig) {
    let reader = target.reader;
    let own = target.own("tls");
    let url = target.place_of("url");
    let mut section = target.section("tls", "{ ca = \"ca.pem\" }");
    let ca = section.text("ca", "a file name", "\"ca.pem\"");
    let insecure = section.flag("insecure").unwrap_or(false);
    let server_name =
        section.parsed("server-name", "a host name", "\"staging.example.net\"", |text| {
            match rustls::pki_types::ServerName::try_from(text.to_owned()) {
                Ok(_) => Ok(text.to_owned()),
                Err(_) => Err("this is neither a host name nor an address".to_owned()),
            }
        });
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let min_version = section.word("min-version", &versions).unwrap_or_default();
    if let (true, Some(place)) = (insecure, section.place_of("ca")) {
        let other = section.place_of("insecure");
        let message = "with `insecure`, nothing is verified and `ca` has no effect";
        reader.clash(&place, message, other.as_ref().map(|place| (place, "given here")));
    }
    if let (true, Some(place)) = (insecure && config.url.https, section.place_of("insecure")) {
        let message = "the target's certificate is NOT verified: whoever can answer in its place reads \
                       the copies, with all their cookies and credentials";
        reader.warn(
            &place,
            message,
            Some("trust its own authority instead: ca = \"FILE\"".to_owned()),
        );
    }
    let places: Vec<_> = ["ca", "certificate", "key", "server-name"]
        .into_iter()
        .filter_map(|key| section.place_of(key))
        .collect();
    config.tls = TlsConfig {
        ca: ca.map(|ca| reader.path(&ca)),
        insecure,
        server_name,
        min_version,
        client: certificate(section),
    };
    if !reader.is_complete() {
        return;
    }
    if !config.url.https {
        if let Some(own) = own {
            let message = "an http URL has no TLS";
            reader.clash(&own, message, url.as_ref().map(|place| (place, "write https here")));
        }
        // Of the defaults, not every target must have a use for each.
        config.tls = TlsConfig::default();
        return;
    }
    files(target, config, &places);
}

/// Checks certificates and keys; `places` are those of the keys that name them.
fn files(target: &Section<'_, '_, '_>, config: &TargetConfig, places: &[Place]) {
    let reader = target.reader;
    let client = config.tls.client.as_ref();
    let files = [
        ("ca", config.tls.ca.as_ref()),
        ("certificate", client.map(|files| &files.certificate)),
        ("key", client.map(|files| &files.key)),
    ];
    let named = |key: &str| places.iter().find(|place| place.path.ends_with(&format!(".{key}")));
    let mut usable = true;
    for (key, file) in files {
        if let (Some(file), Some(place)) = (file, named(key)) {
            usable &= reader.is_usable(place, file);
        }
    }
    if !usable {
        return;
    }
    if let Err(message) = crate::target::client_config(config) {
        let about = |file: &Path| message.contains(&file.display().to_string());
        let file = files.iter().find(|(_, file)| file.is_some_and(|file| about(file)));
        let place = file.and_then(|(key, _)| named(key)).or_else(|| named("server-name"));
        let place = place.cloned().or_else(|| target.place_of("url"));
        reader.error(&place.unwrap_or_else(|| target.place()), message, None);
    }
}

fn local(target: &mut Section<'_, '_, '_>, config: &mut TargetConfig) {
    let reader = target.reader;
    let url = target.place_of("url");
    let mut section = target.section("local", "{ address = \"192.0.2.1\" }");
    let address = section.parsed("address", "an address", "\"192.0.2.1\"", |text| {
        text.parse::<IpAddr>().map_err(|_| "this is no IP address".to_owned())
    });
    let interface =
        section.parsed("interface", "an interface", "\"eth1\"", |text| match text.len() {
            // The kernel's limit for a name, with its end mark.
            1..=15 => Ok(text.to_owned()),
            _ => Err("an interface's name has 1 to 15 bytes".to_owned()),
        });
    let ports = section.parsed("ports", "a range of ports", "\"40000-49999\"", parse_ports);
    if let (Some(local), Ok(remote)) = (address, config.url.host.parse::<IpAddr>()) {
        if local.is_ipv4() != remote.is_ipv4() {
            let place = section.place_of("address").unwrap_or_else(|| section.place());
            let message = "this address cannot reach the target's: one is IPv4, the other IPv6";
            reader.clash(&place, message, url.as_ref().map(|url| (url, "the target")));
        }
    }
    if let (Some(ports), Some(place)) = (&ports, section.place_of("ports")) {
        let count = usize::from(ports.end() - ports.start()) + 1;
        if count < config.limits.in_flight {
            let message = format!(
                "{count} ports make no more than {count} connections to an address at once; \
                 limit.in-flight is {}",
                config.limits.in_flight
            );
            reader.warn(&place, message, None);
        }
    }
    config.local = LocalEnd { address, interface, ports };
}

fn connections(target: &mut Section<'_, '_, '_>, config: &mut TargetConfig) {
    let mut section = target.section("connections", "{ idle = \"30s\" }");
    let reader = section.reader;
    let usual = Connections::default();
    let none = section.is_none("max");
    let max: Option<usize> = if none { None } else { section.integer("max", 1..=1_000_000) };
    if let (Some(max), Some(place)) = (max, section.own("max")) {
        if max > config.limits.in_flight {
            let message = format!(
                "more connections than copies under way (limit.in-flight, {}) are never open",
                config.limits.in_flight
            );
            reader.warn(&place, message, None);
        }
    }
    let idle = section.time("idle", "1ms", "1d").unwrap_or(usual.idle);
    let none = section.is_none("lifetime");
    let lifetime = if none { None } else { section.time("lifetime", "1s", "30d") };
    config.connections = Connections { max, idle, lifetime };
}
