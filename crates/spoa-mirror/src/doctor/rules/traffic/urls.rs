//! Conditions on the URL: that of an HTTP/2 request is absolute. As an argument that is fine, the agent takes both.

use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::Told;
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{At, Criterion};
use crate::doctor::versions::HTTP2_BY_DEFAULT;

pub(super) static URL_ABSOLUTE: Code = code!("url-absolute");

pub(super) fn examine(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    let Some(bind) = http2(told) else { return };
    for sending in &told.sendings {
        let selection = told.setup.selection(told.filter, sending);
        let Some((criterion, fetch)) =
            selection.iter().find_map(|criterion| Some((criterion, relative(criterion)?)))
        else {
            continue;
        };
        let finding = Finding::new(
            &URL_ABSOLUTE,
            Severity::Warning,
            format!("`{fetch}` does not hold for HTTP/2, where the URL begins with `https://`"),
        )
        .at(criterion.at.place())
        .and_at(bind.place(), "clients speak HTTP/2 here")
        .consequence("requests of HTTP/2, which most browsers send, are not mirrored")
        .mend("ask the path");
        let word = criterion.words.first().copied();
        let query = criterion.patterns().any(|pattern| pattern.contains(&b'?'));
        findings.push(match word.filter(|_| !query) {
            Some(word) => {
                let text = criterion.at.shown(word).replacen("url", "path", 1);
                finding.edit(criterion.at.replaced_word(word, &text))
            }
            None => finding,
        });
        return;
    }
}

/// The criterion, if it wants URLs that begin with a path.
fn relative(criterion: &Criterion<'_>) -> Option<String> {
    let fetch = criterion.expression();
    let matching = criterion.patterns().collect::<Vec<_>>();
    let method = matching.windows(2).find_map(|pair| match pair {
        [b"-m", method] => Some(*method),
        _ => None,
    });
    let begins = match (fetch, method) {
        (b"url" | b"url_beg" | b"url_dir", None) | (b"url", Some(b"beg" | b"str")) => true,
        (b"url_reg", None) | (b"url", Some(b"reg")) => false,
        _ => return None,
    };
    let path = matching.iter().any(|pattern| match begins {
        true => pattern.starts_with(b"/"),
        false => pattern.starts_with(b"^/"),
    });
    let shown: Vec<_> = criterion.words.iter().map(|word| criterion.at.shown(word)).collect();
    path.then(|| shown.join(" "))
}

/// Where clients may speak HTTP/2.
fn http2<'a>(told: &Told<'_, 'a>) -> Option<At<'a>> {
    let home = told.setup.proxy_of(told.filter)?;
    let proxies = told.setup.proxies.iter().filter(|proxy| match home.kind {
        ProxyKind::Backend => proxy.kind != ProxyKind::Backend,
        _ => std::ptr::eq(*proxy, home),
    });
    let mut binds = proxies.flat_map(|proxy| proxy.lines.all(&["bind"]).collect::<Vec<_>>());
    binds.find(|bind| {
        let behind = |keyword: &str| bind.position(keyword).map(|at| bind.text(at + 1));
        match (behind("alpn"), behind("proto")) {
            (_, Some(proto)) => proto == b"h2",
            (Some(alpn), None) => alpn.split(|&byte| byte == b',').any(|name| name == b"h2"),
            (None, None) => {
                let tls = bind.position("ssl").is_some() && bind.position("no-alpn").is_none();
                tls && HTTP2_BY_DEFAULT.holds(told.setup.version)
            }
        }
    })
}
