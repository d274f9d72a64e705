//! Copies that differ from their requests as the configuration says: Host, path, query, headers,
//! credentials, JSON bodies; and what redaction keeps from targets and from the log.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use running::mirror::Mirror;
use running::stage::{answered_by_production, production};
use testbed::backend::{Behaviour, Recorder, Request, Response, h2};
use testbed::client::http1;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::wait;

/// Rewriting sees what HAProxy hands over, which does not depend on its version.
const VERSION: Version = Version::V3_4;

/// HAProxy in front of production, the program beside it, and a shadow server.
struct Scene {
    shadow: Recorder,
    mirror: Mirror,
    haproxy: Haproxy,
    production: Recorder,
}

impl Scene {
    /// One target with these keys; its URL has the path `/prefix`.
    fn start(target: &str) -> Self {
        let shadow = Recorder::with(Behaviour::respond(Response::ok("shadow")));
        let url = format!("{}/prefix", shadow.url());
        let toml = format!("[[target]]\nname = \"staging\"\nurl = \"{url}\"\n{target}\n");
        Self::with(shadow, &toml, |guide| guide)
    }

    fn with(shadow: Recorder, toml: &str, change: impl FnOnce(Guide) -> Guide) -> Self {
        let production = production();
        let mirror = Mirror::configured(toml);
        let haproxy = change(Guide::new(production.address()).agent(mirror.address)).start(VERSION);
        Self { shadow, mirror, haproxy, production }
    }

    /// Sends a request, which production must get as it is and answer.
    #[track_caller]
    fn send(&self, request: &[u8]) {
        answered_by_production(&http1::exchange(self.haproxy.address("http"), request).unwrap());
        let original = self.production.wait_for(1, wait::LIMIT).remove(0);
        self.production.take();
        let (head, _) =
            request.split_at(request.windows(4).position(|w| w == b"\r\n\r\n").unwrap());
        let line = head.split(|&byte| byte == b'\r').next().unwrap();
        assert_eq!(original.request_line(), line);
    }

    /// Sends a request; gives what the shadow got of it.
    #[track_caller]
    fn copy(&self, request: &[u8]) -> Request {
        self.shadow.take();
        self.send(request);
        self.shadow.wait_for(1, wait::LIMIT).remove(0)
    }
}

fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: www.example.org\r\n{headers}\r\n").into_bytes()
}

fn post(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /login HTTP/1.1\r\nHost: www.example.org\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Header lines without those that every copy has.
fn lines(request: &Request) -> Vec<String> {
    let lines = request.header_lines().map(text);
    lines.filter(|line| !line.starts_with("host:") && !line.starts_with("x-shadow")).collect()
}

#[test]
fn host_path_and_query() {
    let scene = Scene::start(
        r#"
        host = "target"
        path = [{ strip-prefix = "/api" }, { regex = "^/users/([0-9]+)", replace = "/people/$1" }]
        query = { remove = ["debug"], set = { env = "a b", m = "{method}" } }
        "#,
    );
    let copy = scene.copy(&get("/api/users/12/x%20y?q=%C3&debug=1&env=prod&z", ""));
    assert_eq!(text(copy.target()), "/prefix/people/12/x%20y?q=%C3&env=a%20b&z&m=GET");
    assert_eq!(copy.header("host").unwrap(), scene.shadow.address().to_string());
    // What an absolute target says of the host counts more than Host.
    let copy = scene.copy(&get("http://www.example.org/api?q", ""));
    let target = format!("http://{}/prefix/?q&env=a%20b&m=GET", scene.shadow.address());
    assert_eq!(text(copy.target()), target);
}

#[test]
fn headers_from_the_request_and_from_arguments() {
    let shadow = Recorder::start();
    let toml = format!(
        r#"
        [[target]]
        name = "staging"
        url = "{}"
        host = "literal.example"
        headers.rename = {{ x-old = "x-new" }}
        headers.remove = ["x-gone"]
        headers.set = {{ x-where = "{{target}} {{host}} {{path}}?{{query}} {{source}}", x-set = "{{header.x-old}}" }}
        headers.add = {{ x-add = "{{args.customer}}-{{args.tier}}-{{args.none}}" }}
        "#,
        shadow.url()
    );
    let args = "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin \
                arg_body=req.body customer=str(acme) tier=int(3) src=src";
    let scene = Scene::with(shadow, &toml, |guide| guide.args(args));
    let headers = "X-Old: 1\r\nX-Gone: 2\r\nx-set: 3\r\nX-Gone: 4\r\nX-Same:   a, b\r\n";
    let copy = scene.copy(&get("/p?q=1", headers));
    assert_eq!(
        lines(&copy),
        [
            "x-new: 1",
            "x-set: 1",
            "x-same: a, b",
            "x-where: staging www.example.org /p?q=1 127.0.0.1",
            "x-add: acme-3-",
        ]
    );
    assert_eq!(copy.header("host").unwrap(), "literal.example");
}

#[test]
fn credentials_of_a_target() {
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("token");
    std::fs::write(&file, "s3cret-token\n").unwrap();
    let scene = Scene::start(&format!(
        "authorization = {{ bearer = \"file:{}\" }}\ncookies = {{ keep = [\"theme\"] }}",
        file.display()
    ));
    let headers = "Authorization: Basic dXNlcjpwYXNz\r\nProxy-Authorization: Basic eA==\r\n\
                   Cookie: session=1; theme=dark\r\n";
    let copy = scene.copy(&get("/", headers));
    assert_eq!(lines(&copy), ["authorization: Bearer s3cret-token", "cookie: theme=dark"]);
    let copy = scene.copy(&get("/", "Cookie: session=1\r\n"));
    assert_eq!(lines(&copy), ["authorization: Bearer s3cret-token"]);
}

#[test]
fn json_bodies_are_edited_and_their_length_corrected() {
    let mut scene = Scene::start(
        r#"
        [target.json]
        remove = ["$.user.tags[0]", "$..trace"]
        set = { "$.env" = "staging", "$.user.id" = 7 }
        "#,
    );
    let body = "{ \"user\": {\"id\":1.50,\"tags\":[\"a\", \"b\"], \"trace\":{}}, \"n\":1e5 }";
    let copy = scene.copy(&post("application/json", body));
    let edited = "{ \"user\": {\"id\":7,\"tags\":[\"b\"]}, \"n\":1e5,\"env\":\"staging\" }";
    assert_eq!(text(&copy.body), edited);
    assert_eq!(copy.header("content-length").unwrap(), edited.len().to_string());
    // A chunked body has a length then too.
    let chunked = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
                    Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let copy = scene.copy(chunked);
    assert_eq!(text(&copy.body), "{\"env\":\"staging\"}");
    assert_eq!(copy.header("content-length").unwrap(), "17");
    // No rule is about other bodies.
    let copy = scene.copy(&post("text/plain", "{}"));
    assert_eq!(text(&copy.body), "{}");
    scene.send(&post("application/json", "{\"user\":"));
    let tally = scene.mirror.finish();
    assert_eq!(tally.target().dropped.get("not-rewritable"), Some(&1), "{tally:?}");
    assert_eq!(tally.target().answers(), 3);
}

#[test]
fn http2_targets_get_the_same() {
    let shadow = h2::Recorder::start(h2::Behaviour::Respond(200, b"shadow".to_vec()));
    let toml = format!(
        r#"
        [[target]]
        name = "staging"
        url = "http://{}/prefix"
        http = "2"
        host = "literal.example:81"
        path = [{{ add-prefix = "/v2" }}]
        query = {{ set = {{ env = "x" }} }}
        headers.set = {{ X-Env = "{{method}}" }}
        json.set = {{ "$.a" = 1 }}
        redact = "default"
        "#,
        shadow.address()
    );
    let production = production();
    let mirror = Mirror::configured(&toml);
    let haproxy = Guide::new(production.address()).agent(mirror.address).start(VERSION);
    let body = "{\"password\":\"hunter2\"}";
    let mut request = post("application/json", body);
    let line = "Authorization: Bearer hunter2\r\n";
    request
        .splice(b"POST /login HTTP/1.1\r\n".len()..b"POST /login HTTP/1.1\r\n".len(), line.bytes());
    answered_by_production(&http1::exchange(haproxy.address("http"), &request).unwrap());
    let copy = shadow.wait_for(1, wait::LIMIT).remove(0);
    assert_eq!(copy.authority.as_deref(), Some("literal.example:81"));
    assert_eq!(copy.path, "/prefix/v2/login?env=x");
    assert_eq!(copy.header("x-env").as_deref(), Some("POST"));
    assert_eq!(copy.header("authorization"), None);
    assert_eq!(text(&copy.body), "{\"password\":\"redacted\",\"a\":1}");
    assert_eq!(copy.header("content-length"), Some(copy.body.len().to_string()));
}

/// The secret that a client sends in every place that the tests know.
const SECRET: &str = "hunter2";

/// Requests with the secret in places that the default rules hide.
fn secretive() -> Vec<Vec<u8>> {
    vec![
        get("/a?token=hunter2&b=1", "Authorization: Bearer hunter2\r\nCookie: s=hunter2\r\n"),
        get("/a?x=1", "X-Api-Key: hunter2\r\nReferer: http://h/?api_key=hunter2\r\n"),
        post("application/json", "{\"user\":{\"password\":\"hunter2\"},\"a\":1}"),
        post("application/json", "{\"a\":[{\"p\\u0061ssword\":[\"hunter2\"]}]}"),
        post("application/x-www-form-urlencoded", "user%5Bpassword%5D=hunter2&a=1"),
        post("application/x-www-form-urlencoded", "{\"password\":\"hunter2\"}"),
    ]
}

/// Requests with the secret in bodies that the default rules are about and cannot read.
fn unreadable() -> Vec<Vec<u8>> {
    let encoded = "application/json\r\nContent-Encoding: x";
    let multipart = "multipart/form-data; boundary=b";
    vec![
        post("application/json", "{\"password\":\"hunter2\""),
        post(encoded, "{\"password\":\"hunter2\"}"),
        post(
            multipart,
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n",
        ),
        // Longer than HAProxy's buffer.
        post(
            "application/json",
            &format!("{{\"password\":\"hunter2\",\"a\":\"{}\"}}", "x".repeat(40_000)),
        ),
    ]
}

#[test]
fn no_secret_reaches_a_target_or_the_log() {
    let (up, down) = (Recorder::start(), testbed::ports::free_addr());
    let target = |name: &str, url: &str, more: &str| {
        format!(
            "[[target]]\nname = \"{name}\"\nurl = \"{url}\"\nredact = \"default\"\n\
             truncated-body = \"send\"\n{more}\n"
        )
    };
    let shows =
        "headers.set = { x-shown = \"{header.authorization}{query}{cookie.s}{header.referer}\" }";
    let toml = [
        "[log]\nlevel = \"debug\"\ncopies = \"all\"\nformat = \"json\"\n".to_owned(),
        target("up", &up.url(), shows),
        target("down", &format!("http://{down}"), ""),
        target("broken", &up.url(), "path = [{ regex = \"^/\", replace = \"\" }]"),
    ]
    .concat();
    let mut scene = Scene::with(up, &toml, |guide| guide);
    let (secretive, unreadable) = (secretive(), unreadable());
    for request in secretive.iter().chain(&unreadable) {
        assert!(text(request).contains(SECRET));
        scene.send(request);
    }
    let copies = scene.shadow.wait_for(secretive.len(), wait::LIMIT);
    for copy in &copies {
        assert!(!text(&copy.raw()).contains(SECRET), "{}", text(&copy.raw()));
    }
    let tally = scene.mirror.finish();
    let log = scene.mirror.process.output().all().join("\n");
    assert!(!log.contains(SECRET), "{log}");
    // Copies were told of, so that there was something to tell.
    assert!(log.contains("token=redacted&b=1"), "{log}");
    let lost = u64::try_from(unreadable.len()).unwrap();
    assert_eq!(tally.named("up").answers(), u64::try_from(secretive.len()).unwrap(), "{tally:?}");
    assert_eq!(tally.named("up").dropped.get("not-rewritable"), Some(&lost), "{tally:?}");
    assert_eq!(tally.named("broken").drops(), tally.named("broken").received, "{tally:?}");
}

#[test]
fn tokens_are_the_same_everywhere_and_for_everybody_with_the_key() {
    let (one, two, other) = (Recorder::start(), Recorder::start(), Recorder::start());
    let target = |name: &str, url: &str, key: &str| {
        format!(
            r#"
            [[target]]
            name = "{name}"
            url = "{url}"
            [target.redact]
            key = "{key}"
            rules = [
                {{ header = "x-user", with = "token" }},
                {{ query = "user", with = "token" }},
                {{ json = "$.user.email", with = "token" }},
                {{ cookie = "user", with = "text:hidden" }},
                {{ field = "phone", with = "remove" }},
            ]
            "#
        )
    };
    let toml = [
        target("one", &one.url(), "0123456789abcdef"),
        target("two", &two.url(), "0123456789abcdef"),
        target("other", &other.url(), "fedcba9876543210"),
    ]
    .concat();
    let scene = Scene::with(one, &toml, |guide| guide);
    let body = "{\"user\":{\"email\":\"a@b.example\",\"phone\":\"12\"}}";
    let head = "POST /?user=a%40b.example HTTP/1.1\r\nHost: h\r\nX-User: a@b.example\r\n\
                Cookie: user=a; b=2\r\nContent-Type: application/json\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let copy = scene.copy(request.as_bytes());
    let token = copy.header("x-user").unwrap();
    assert!(token.starts_with("tok_") && token.len() == 26, "{token}");
    assert_eq!(text(copy.target()), format!("/?user={token}"));
    assert_eq!(text(&copy.body), format!("{{\"user\":{{\"email\":\"{token}\"}}}}"));
    assert_eq!(copy.header("cookie").unwrap(), "user=hidden; b=2");
    let of =
        |recorder: &Recorder| recorder.wait_for(1, wait::LIMIT).remove(0).header("x-user").unwrap();
    assert_eq!(of(&two), token);
    assert_ne!(of(&other), token);
}
