//! `[agent]`, `[admin]`, `[log]`: what is the same for all targets.

use std::os::unix::fs::PermissionsExt as _;

use super::walk::{Place, Section};
use crate::admin::check_access;
use crate::config::{
    AdminConfig, AgentConfig, CertificateFiles, Config, CopyLines, ListenAddress, LogFile,
    LogFormat, Marker,
};

/// Reads everything but the targets into `config`, which has the defaults.
pub(super) fn read(root: &mut Section<'_, '_, '_>, config: &mut Config) {
    let agent = root.section("agent", "{ listen = \"0.0.0.0:12345\" }");
    let taken = read_agent(agent, config);
    let admin = root.section("admin", "{ listen = \"127.0.0.1:9600\" }").with_secrets();
    read_admin(admin, &mut config.admin, taken);
    let log = root.section("log", "{ level = \"info\" }");
    read_log(log, config);
}

/// Gives the addresses that are taken.
fn read_agent(
    mut section: Section<'_, '_, '_>,
    config: &mut Config,
) -> Vec<(ListenAddress, Place)> {
    let mut taken = Vec::new();
    if let Some(listen) = section.listen("\"0.0.0.0:12345\", \"unix:/run/spoa-mirror/agent.sock\"")
    {
        config.agent.listen = distinct(&section, listen, &mut taken);
        if let Some(place) = section.place_of("listen").filter(|_| config.agent.listen.is_empty()) {
            section.reader.clash(&place, "without an address HAProxy cannot connect", None);
        }
    }
    if taken.is_empty() {
        let usual = Place { span: 0..0, path: "agent.listen".to_owned() };
        taken.extend(config.agent.listen.iter().map(|address| (address.clone(), usual.clone())));
    }
    if let Some(backlog) = section.integer("backlog", 1..=65535) {
        config.agent.backlog = backlog;
    }
    config.agent.max_connections = section.integer("max-connections", 1..=1_000_000);
    let smallest = u64::from(spop_proto::MIN_FRAME_SIZE);
    if let Some(size) = section.size("max-frame-size", smallest, "16MiB") {
        config.agent.max_frame_size = u32::try_from(size).unwrap_or(u32::MAX);
    }
    if let Some(wanted) = section.integer::<u32>("workers", 1..=1000) {
        config.agent.workers = AgentConfig::workers_for(wanted);
        if let Some(place) = section.place_of("workers") {
            if config.agent.workers < wanted as usize {
                let message =
                    format!("there are {} processors, and no more workers", config.agent.workers);
                section.reader.warn(&place, message, None);
            }
        }
    }
    config.agent.ack_unset_var =
        section.parsed("ack-unset-var", "a name", "\"mirrored\"", |text| {
            AgentConfig::check_variable(text).map(|()| text.to_owned())
        });
    if let Some(name) =
        section.parsed("marker", "a header name", "\"x-shadow\"", Marker::parse_name)
    {
        config.marker.name = name;
    }
    if let Some(hops) = section.integer("max-hops", 1..=1000) {
        config.marker.max_hops = hops;
    }
    if config.marker.name.is_none() {
        if let Some(place) = section.place_of("marker") {
            let message = "without a marker, copies that come back to this HAProxy are copied again \
                           and again";
            section.reader.warn(&place, message, None);
        }
        if let Some(place) = section.place_of("max-hops") {
            section.reader.clash(&place, "without a marker, hops are not counted", None);
        }
    }
    if let Some(grace) = section.time("grace", "0ms", "1h") {
        config.grace = grace;
    }
    config.runtime = section.time("runtime", "0ms", "3650d").filter(|time| !time.is_zero());
    taken
}

fn read_admin(
    mut section: Section<'_, '_, '_>,
    admin: &mut AdminConfig,
    mut taken: Vec<(ListenAddress, Place)>,
) {
    if let Some(listen) = section.listen("\"127.0.0.1:9600\"") {
        admin.listen = distinct(&section, listen, &mut taken);
    }
    if let Some(value) = section.get("token") {
        admin.token = section.reader.secret(&value);
        // A token that could not be read is told already.
        if admin.token.is_none() {
            admin.listen.clear();
        }
    }
    admin.tls = certificate(section.section("tls", "{ certificate = \"FILE\", key = \"FILE\" }"));
    if let Some(rate) = section.rate("rate") {
        admin.rate = rate;
    }
    let reader = section.reader;
    if let Err(message) = check_access(admin) {
        let key = if admin.token.is_some() { "token" } else { "listen" };
        let place = section.place_of(key).unwrap_or_else(|| section.place());
        reader.clash(&place, message, None);
    }
    if let (Some(place), true) = (section.place_of("token"), admin.tls.is_none()) {
        let far = |address: &ListenAddress| {
            check_access(&AdminConfig { listen: vec![address.clone()], ..AdminConfig::default() })
                .is_err()
        };
        if admin.listen.iter().any(far) {
            let message = "the token crosses the network unencrypted";
            let help = "give the admin API a certificate: tls = { certificate = \"FILE\", key = \"FILE\" }";
            reader.warn(&place, message, Some(help.to_owned()));
        }
    }
    if section.is_there() && section.place_of("listen").is_none() {
        let help = "write listen = \"127.0.0.1:9600\"".to_owned();
        reader.warn(&section.place(), "without `listen` there is no admin API", Some(help));
    }
    if let (Some(files), Some(place)) = (&admin.tls, section.place_of("tls")) {
        let usable =
            reader.is_usable(&place, &files.certificate) && reader.is_usable(&place, &files.key);
        if let Some(message) =
            usable.then(|| crate::admin::check_certificate(files).err()).flatten()
        {
            reader.error(&place, message, None);
        }
    }
}

/// A certificate and its key, which come together.
pub(super) fn certificate(mut section: Section<'_, '_, '_>) -> Option<CertificateFiles> {
    let reader = section.reader;
    let certificate = section.text("certificate", "a file name", "\"chain.pem\"");
    let key = section.text("key", "a file name", "\"key.pem\"");
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (reader.path(&certificate), reader.path(&key));
            if let (Some(place), Ok(metadata)) = (section.place_of("key"), std::fs::metadata(&key))
            {
                reader.warn_if_public(&place, &key, metadata.permissions().mode());
            }
            Some(CertificateFiles { certificate, key })
        }
        (Some(_), None) if section.place_of("key").is_none() => {
            let place = section.place_of("certificate").unwrap_or_else(|| section.place());
            reader.clash(&place, "a certificate without its `key`", None);
            None
        }
        (None, Some(_)) if section.place_of("certificate").is_none() => {
            let place = section.place_of("key").unwrap_or_else(|| section.place());
            reader.clash(&place, "a key without its `certificate`", None);
            None
        }
        _ => None,
    }
}

fn read_log(mut section: Section<'_, '_, '_>, config: &mut Config) {
    let reader = section.reader;
    let file = section.text("file", "a file name", "\"/var/log/spoa-mirror/mirror.log\"");
    let truncate = section.flag("truncate");
    let line_buffered = section.flag("line-buffered");
    if file.is_none() {
        for key in ["truncate", "line-buffered"] {
            if let Some(place) =
                section.place_of(key).filter(|_| section.place_of("file").is_none())
            {
                reader.clash(&place, "there is no log `file`", None);
            }
        }
    }
    config.log.file = file.map(|file| LogFile {
        path: reader.path(&file),
        truncate: truncate.unwrap_or_default(),
        line_buffered: line_buffered.unwrap_or_default(),
    });
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
    ];
    if let Some(level) = section.word("level", &levels) {
        config.log.level = level;
    }
    if let Some(format) =
        section.word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
    {
        config.log.format = format;
    }
    let copies = [
        ("all", CopyLines::All),
        ("error", CopyLines::Error),
        ("success", CopyLines::Success),
        ("none", CopyLines::None),
    ];
    if let Some(copies) = section.word("copies", &copies) {
        config.log.copies = copies;
    }
    if let Some(interval) = section.time("interval", "1s", "1h") {
        config.monitor_interval = interval;
    }
}

/// Addresses without those that are taken, which is told.
fn distinct(
    section: &Section<'_, '_, '_>,
    listen: Vec<(ListenAddress, super::walk::Value<'_>)>,
    taken: &mut Vec<(ListenAddress, Place)>,
) -> Vec<ListenAddress> {
    let mut distinct = Vec::new();
    for (address, value) in listen {
        if let Some((_, first)) = taken.iter().find(|(known, _)| *known == address) {
            let message = format!("{address} is listened on already");
            let first = (!first.span.is_empty()).then_some((first, "here"));
            section.reader.clash(&value.place, message, first);
        } else {
            taken.push((address.clone(), value.place));
            distinct.push(address);
        }
    }
    distinct
}
