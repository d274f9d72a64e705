//! Copies have production's method, request target and version, on every version of HAProxy.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use support::stage::{Setup, ShadowStage};
use testbed::client::h2;
use testbed::haproxy::{Guide, Version};

/// Does `test` with each version and mirror URLs without and with a path.
fn with_and_without_prefix(test: impl Fn(&ShadowStage)) {
    for version in Version::ALL {
        for prefix in ["", "/shadow/v2"] {
            let stage = Setup::new(version).start_with_shadow(prefix);
            test(&stage);
            stage.finish();
        }
    }
}

fn request(method: &str, target: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: www.example.org\r\nX-A: 1\r\n\r\n").into_bytes()
}

/// Has HAProxy pass requests that it would refuse.
fn accept_invalid(version: Version) -> impl FnOnce(Guide) -> Guide + 'static {
    let name = if version < Version::V3_2 {
        "accept-invalid-http-request"
    } else {
        "accept-unsafe-violations-in-http-request"
    };
    move |guide| guide.frontend(&format!("option {name}"))
}

#[test]
fn methods_of_every_kind() {
    const METHODS: [&str; 16] = [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "TRACE",
        "PROPFIND",
        "REPORT",
        "M-SEARCH",
        "get",
        "Query",
        "X",
        "!#$%&'*+-.^_`|~",
        "A-METHOD-OF-THIRTY-CHARACTERS1",
    ];
    with_and_without_prefix(|stage| {
        for method in METHODS {
            let pair = stage.faithful(&request(method, "/path?query"));
            assert_eq!(pair.shadow.method(), method.as_bytes());
        }
    });
}

#[test]
fn relative_targets() {
    let long = format!("/{}?{}", "long/".repeat(400), "q=%C3%A4&".repeat(220));
    assert!(long.len() > 3900);
    with_and_without_prefix(|stage| {
        for target in [
            "/",
            "//",
            "//double//slashes/",
            "//looks.like/an-authority",
            "/dot/./segments/../and/.",
            "/../..",
            "/percent/%2e%2E/%2F/%00/%zz/%",
            "/a?",
            "/?",
            "/a?b?c=d&&e=/f/../g",
            "/a;p=1/b?http://h/i",
            "/with:colon/and@at,comma+plus=equals'quote(paren)*!$&~",
            "/http://in/the/path",
            &long,
        ] {
            let pair = stage.faithful(&request("GET", target));
            let copied = format!("{}{target}", stage.rules.prefix);
            assert_eq!(String::from_utf8_lossy(pair.shadow.target()), copied);
        }
    });
}

#[test]
fn absolute_targets_of_http1() {
    with_and_without_prefix(|stage| {
        for (target, host) in [
            ("http://www.example.org/a?b", "www.example.org"),
            ("http://www.example.org/", "www.example.org"),
            ("http://www.example.org", "www.example.org"),
            ("https://www.example.org:8443/a", "www.example.org:8443"),
            // HAProxy drops the scheme's own port, in both places.
            ("http://www.example.org:80/a", "www.example.org:80"),
            ("http://WWW.example.org/A", "www.example.org"),
            ("http://[::1]:8080/a", "[::1]:8080"),
            ("ftp://www.example.org/file", "www.example.org"),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let pair = stage.faithful(head.as_bytes());
            assert!(pair.shadow.target().windows(3).any(|window| window == b"://"));
        }
        for method in ["OPTIONS", "HEAD", "POST"] {
            for target in ["http://h", "http://h/", "http://h/a"] {
                let head = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n");
                stage.faithful(head.as_bytes());
            }
        }
    });
}

#[test]
fn the_asterisk() {
    with_and_without_prefix(|stage| {
        let pair = stage.faithful(&request("OPTIONS", "*"));
        assert_eq!(pair.shadow.target(), b"*");
        // Old versions of HAProxy pass forms on with methods that they do not belong to.
        for target in ["*", "www.example.org:80", "?query", "urn:x", "path"] {
            stage.faithful_if_passed(&request("GET", target));
        }
        let head = b"GET www.example.org:80 HTTP/1.1\r\nHost: www.example.org:80\r\n\r\n";
        let passed = stage.faithful_if_passed(head);
        assert_eq!(passed, stage.stage.haproxy.version() == Version::V2_6);
    });
}

#[test]
fn targets_of_http2_become_relative_as_for_production() {
    with_and_without_prefix(|stage| {
        for path in ["/", "/a?b", "//a//b", "/a/../b?", "/%2e%00?x=%zz", "/a?http://b/c"] {
            for method in ["GET", "PUT", "OPTIONS", "get", "PROPFIND"] {
                let pair = stage.faithful_h2(&h2::Request::new(method, path));
                let copied = format!("{}{path}", stage.rules.prefix);
                assert_eq!(pair.shadow.target(), copied.as_bytes());
            }
        }
        let mut secure = h2::Request::new("GET", "/a?b");
        secure.scheme = "https".to_owned();
        secure.authority = "Www.example.org:8443".to_owned();
        let pair = stage.faithful_h2(&secure);
        assert_eq!(pair.shadow.header("host").unwrap(), "Www.example.org:8443");
    });
}

#[test]
fn the_asterisk_of_http2() {
    with_and_without_prefix(|stage| {
        let pair = stage.faithful_h2(&h2::Request::new("OPTIONS", "*"));
        // 3.0 makes it the root; the copy follows production.
        if stage.stage.haproxy.version() != Version::V3_0 {
            assert_eq!(pair.shadow.target(), b"*");
        }
    });
}

#[test]
fn http_1_0_with_and_without_host() {
    with_and_without_prefix(|stage| {
        for head in [
            "GET /a HTTP/1.0\r\n\r\n",
            "GET /a HTTP/1.0\r\nHost: www.example.org\r\nX-A: 1\r\n\r\n",
            "GET /a HTTP/1.0\r\nConnection: keep-alive\r\nX-A: 1\r\n\r\n",
            "HEAD /a HTTP/1.0\r\n\r\n",
            "GET http://www.example.org/a HTTP/1.0\r\n\r\n",
            "POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
            "PUT /a HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
        ] {
            let pair = stage.faithful(head.as_bytes());
            assert_eq!(pair.shadow.version(), b"HTTP/1.0");
            assert_eq!(pair.shadow.header("host").is_some(), head.contains("Host"));
        }
    });
}

/// Every byte in the path, and every byte in the query: as far as HAProxy passes it, it is copied.
#[test]
fn every_byte_that_haproxy_passes_in_a_target() {
    // What RFC 3986 does not allow and HAProxy passes nevertheless.
    const UNUSUAL: &[u8] = b"\"#<>[\\]^`{|}";
    for version in Version::ALL {
        let stage = Setup::new(version).start_with_shadow("");
        let lenient =
            Setup::new(version).guide(accept_invalid(version)).start_with_shadow("/prefix");
        for byte in 1..=255 {
            if matches!(byte, b'\r' | b'\n' | b' ') {
                continue;
            }
            for (before, after) in [(&b"/pa"[..], &b"th?query"[..]), (b"/path?que", b"ry")] {
                let target = [before, &[byte], after].concat();
                let head = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
                stage.faithful_if_passed(&head);
                let passed_leniently = lenient.faithful_if_passed(&head);
                let what = format!("{version}: byte {byte:#x} in {}", target.escape_ascii());
                if byte >= 0x80 || UNUSUAL.contains(&byte) {
                    assert!(passed_leniently, "{what}: the lenient HAProxy does not pass it");
                }
            }
        }
        stage.finish();
        lenient.finish();
    }
}
