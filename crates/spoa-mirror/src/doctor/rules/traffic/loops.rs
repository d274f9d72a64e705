//! Targets that are this HAProxy.

use std::net::{IpAddr, UdpSocket};

use crate::config::{Marker, MirrorUrl};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{At, Filter, Setup};

pub(super) static MIRROR_LOOP: Code = code!("mirror-loop");

/// Where copies go.
struct Target<'a> {
    url: MirrorUrl,
    /// Which one it is, and where that stands.
    name: String,
    /// The line that says so, if it is in HAProxy's files.
    at: Option<At<'a>>,
}

pub(super) fn examine(setup: &Setup<'_>, filter: &Filter<'_>, findings: &mut Vec<Finding>) {
    let marker = setup.agent.map_or_else(Marker::default, |(_, config)| config.marker.clone()).name;
    // A HAProxy that looks at the marker knows copies from originals.
    if marker.as_ref().is_some_and(|marker| setup.mentions(marker)) {
        return;
    }
    let Some(home) = setup.proxy_of(filter) else { return };
    let in_backend = home.kind == ProxyKind::Backend;
    let proxies = setup.proxies.iter().filter(|proxy| match in_backend {
        true => proxy.kind != ProxyKind::Backend,
        false => std::ptr::eq(*proxy, home),
    });
    let binds: Vec<At<'_>> =
        proxies.flat_map(|proxy| proxy.lines.all(&["bind"]).collect::<Vec<_>>()).collect();
    for target in targets(setup) {
        let Some(bind) = binds.iter().find(|bind| listens(bind.text(1), &target.url)) else {
            continue;
        };
        let consequence = if marker.is_some() {
            "production gets each request twice, and answers the copies; the marker stops the second round: the agent \
             drops the copies' copies as `loop`"
        } else {
            "each request goes round for ever: `agent.marker` is \"none\", and nothing stops it"
        };
        let message = format!("{} is this frontend: {}", target.name, target.url);
        let finding = Finding::new(&MIRROR_LOOP, Severity::Error, message)
            .at(target.at.unwrap_or(*bind).place())
            .and_at(filter.at.place(), "what comes here is mirrored")
            .consequence(consequence)
            .mend(
                "give the target the address of the test environment; if HAProxy itself leads there, let it tell \
                 copies by their header `x-shadow`",
            );
        findings.push(match target.at {
            Some(_) => finding.and_at(bind.place(), "HAProxy listens here"),
            None => finding,
        });
    }
}

/// Those of the agent's configuration, and those that a `program` section gives it.
fn targets<'a>(setup: &Setup<'a>) -> Vec<Target<'a>> {
    let mut targets = Vec::new();
    if let Some((path, config)) = setup.agent {
        targets.extend(config.targets.iter().map(|target| Target {
            url: target.url.clone(),
            name: format!("`{}` in {}", target.name, path.display()),
            at: None,
        }));
    }
    let programs = setup.sections.iter().filter(|section| section.header.text(0) == b"program");
    for at in programs.flat_map(|program| program.all(&["command"]).collect::<Vec<_>>()) {
        if !at.text(1).ends_with(b"spoa-mirror") {
            continue;
        }
        let words: Vec<_> =
            at.words_from(2).map(|word| String::from_utf8_lossy(&word.text)).collect();
        let behind = words.windows(2).filter_map(|pair| match pair {
            [option, url] if matches!(&**option, "-u" | "--mirror-url") => Some(url.as_ref()),
            _ => None,
        });
        let joined = words.iter().filter_map(|word| word.strip_prefix("--mirror-url="));
        let urls = behind.chain(joined).filter_map(|url| url.parse().ok());
        targets.extend(urls.map(|url| Target {
            url,
            name: "the mirror URL".to_owned(),
            at: Some(at),
        }));
    }
    targets
}

/// Whether HAProxy listens at a URL's address.
fn listens(addresses: &[u8], url: &MirrorUrl) -> bool {
    let addresses = String::from_utf8_lossy(addresses);
    addresses.split(',').any(|address| {
        let address = ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"]
            .iter()
            .find_map(|family| address.strip_prefix(family))
            .unwrap_or(address);
        let Some((host, ports)) = address.rsplit_once(':') else { return false };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
            return false;
        };
        (first..=last).contains(&url.port) && same_host(host.trim_matches(['[', ']']), &url.host)
    })
}

fn same_host(bound: &str, wanted: &str) -> bool {
    let loopback = |host: &str| {
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    if bound.eq_ignore_ascii_case(wanted) {
        return true;
    }
    let any = bound.is_empty()
        || bound == "*"
        || bound.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if any {
        return loopback(wanted) || wanted.parse::<IpAddr>().is_ok_and(is_own);
    }
    bound.eq_ignore_ascii_case("localhost") && loopback(wanted)
        || wanted.eq_ignore_ascii_case("localhost") && loopback(bound)
}

/// Whether it is an address of this host: a socket can be bound to it.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_binds() {
        for (bind, url, expected) in [
            (":80", "http://127.0.0.1", true),
            ("*:80", "http://localhost:80", true),
            ("0.0.0.0:80", "http://[::1]", true),
            ("[::]:80", "http://127.0.0.1", true),
            ("ipv4@:8080", "http://127.0.0.1:8080", true),
            (":443,:80", "http://localhost", true),
            (":8000-8100", "http://localhost:8050", true),
            ("127.0.0.1:80", "http://localhost", true),
            ("www.example.net:80", "http://www.example.net", true),
            (":80", "http://localhost:81", false),
            (":80", "https://localhost", false),
            ("127.0.0.1:80", "http://10.1.2.3", false),
            // For documentation: no host has it.
            (":80", "http://192.0.2.1", false),
            (":80", "http://staging.example.net", false),
            ("unix@/run/haproxy.sock", "http://localhost", false),
            ("fd@3", "http://localhost", false),
        ] {
            assert_eq!(listens(bind.as_bytes(), &url.parse().unwrap()), expected, "{bind} {url}");
        }
    }
}
