#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use spop_proto::{Messages, Value, encode_message};

use super::*;
use crate::config::tests_support::target;
use crate::config::{JsonPath, PathStep, RedactPlace, RedactRule, RedactWith, Secret, Template};
use crate::exchange::{Body, Completeness, Facts, Headers, Version};
use crate::policy::redact::default_rules;

/// A request, and how it comes out.
struct Case<'a> {
    method: &'a str,
    url: &'a str,
    /// Lines, without their ends.
    headers: &'a [&'a str],
    body: &'a [u8],
    arguments: &'a [(&'a [u8], Value<'a>)],
    truncated: bool,
}

const GET: Case<'_> =
    Case { method: "GET", url: "/", headers: &[], body: b"", arguments: &[], truncated: false };

impl Case<'_> {
    /// The request target, the header lines and the body of the copy, each behind a line feed.
    fn copy(&self, change: impl FnOnce(&mut TargetConfig)) -> Result<String, DropReason> {
        let mut config = target("https://staging.example:8443/prefix");
        change(&mut config);
        let rewriter = Rewriter::new(&config).expect("there is a rule");
        let mut payload = Vec::new();
        encode_message(b"mirror", self.arguments, &mut payload);
        let headers: String = self.headers.iter().map(|line| format!("{line}\r\n")).collect();
        let exchange = Exchange {
            method: self.method.as_bytes(),
            target: RequestTarget::from_url(self.url.as_bytes()),
            version: Version::Http11,
            headers: Headers::Text(headers.as_bytes()),
            body: Body { bytes: self.body, given: true, stated_size: None },
            id: None,
            message: Messages::new(&payload, 0).next().unwrap().unwrap(),
        };
        let facts = Facts::gather(&exchange.headers, None);
        let request = Request::new(&exchange, facts, Completeness::Complete, 0);
        let headers = request.facts.as_ref().unwrap().copied(&exchange.headers, None);
        let draft = rewriter.draft(&request, headers, self.body, self.truncated)?;
        let mut text = match draft.target() {
            RequestTarget::Origin { path, query: b"" } => path.to_vec(),
            RequestTarget::Origin { .. } => panic!("path and query are one"),
            RequestTarget::Absolute { origin, path } => [origin, path].concat(),
            RequestTarget::Asterisk => b"*".to_vec(),
            RequestTarget::Authority(authority) => authority.to_vec(),
        };
        for (name, value) in draft.headers() {
            text.extend_from_slice(&[b"\n", name, b": ", value].concat());
        }
        if !draft.body().is_empty() {
            text.extend_from_slice(&[b"\n", draft.body()].concat());
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn url(url: &str) -> Case<'_> {
    Case { url, ..GET }
}

fn headers<'a>(headers: &'a [&'a str]) -> Case<'a> {
    Case { headers, ..GET }
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn redact(config: &mut TargetConfig, place: RedactPlace, with: RedactWith) {
    config.redact.rules.push(RedactRule { place, with });
}

fn hide(text: &str) -> RedactWith {
    RedactWith::Text(text.to_owned())
}

#[test]
fn nothing_to_alter_needs_no_rewriter() {
    assert!(Rewriter::new(&target("http://t")).is_none());
}

#[test]
fn host_is_the_same_in_host_and_in_absolute_targets() {
    let host = |host: HostRewrite| move |config: &mut TargetConfig| config.rewrite.host = host;
    let literal = || HostRewrite::Literal("name.example".to_owned());
    for (url, rewrite, expected) in [
        ("/a", HostRewrite::Target, "/a\nhost: staging.example:8443\na: b"),
        ("/a", literal(), "/a\nhost: name.example\na: b"),
        ("http://x:1/a", literal(), "http://name.example/a\nhost: name.example\na: b"),
        ("http://u:p@x", literal(), "http://name.example\nhost: name.example\na: b"),
        ("*", literal(), "*\nhost: name.example\na: b"),
        ("x:80", literal(), "name.example\nhost: name.example\na: b"),
    ] {
        let case = Case { url, headers: &["Host: x", "a: b"], ..GET };
        assert_eq!(case.copy(host(rewrite)).unwrap(), expected);
    }
    // The port only where it is not the scheme's.
    let copy = headers(&["a: b"]).copy(|config| {
        config.url = "http://[::1]:80/p".parse().unwrap();
        config.rewrite.host = HostRewrite::Target;
    });
    assert_eq!(copy.unwrap(), "/\nhost: [::1]\na: b");
}

#[test]
fn paths_are_rewritten_without_the_query() {
    let steps = |config: &mut TargetConfig| {
        config.rewrite.path =
            vec![PathStep::StripPrefix("/a".to_owned()), PathStep::AddPrefix("/x".to_owned())];
    };
    for (before, after) in [
        ("/a/b?/a/c", "/x/b?/a/c"),
        ("/a?", "/x/?"),
        ("/b", "/x/b"),
        ("http://h/a/b?c", "http://h/x/b?c"),
        ("http://h", "http://h/x/"),
        ("http://h?c", "http://h/x/?c"),
        ("*", "*"),
        ("h:80", "h:80"),
    ] {
        assert_eq!(url(before).copy(steps).unwrap(), after, "{before}");
    }
    let options = Case { method: "OPTIONS", ..url("http://h") };
    assert_eq!(options.copy(steps).unwrap(), "http://h");
    let broken = |config: &mut TargetConfig| {
        let regex = crate::config::Pattern::regex("^/").unwrap();
        config.rewrite.path = vec![PathStep::Replace { regex, with: String::new() }];
    };
    assert_eq!(url("/a").copy(broken), Err(DropReason::Malformed));
}

#[test]
fn query_parameters_are_set_and_removed() {
    let rules = |config: &mut TargetConfig| {
        config.rewrite.query_remove = vec!["drop me".to_owned()];
        config.rewrite.query_set =
            vec![("a b".to_owned(), template("{method} {query.x}&{header.none}"))];
    };
    for (before, after) in [
        ("/", "/?a%20b=GET%20%26"),
        ("/?", "/?a%20b=GET%20%26"),
        ("/?x=1%202&y", "/?x=1%202&y&a%20b=GET%201%202%26"),
        ("/?q&a+b=1&r&a%20b=2", "/?q&a+b=GET%20%26&r"),
        ("/?drop+me=1&z=drop me&drop%20me", "/?z=drop me&a%20b=GET%20%26"),
    ] {
        assert_eq!(url(before).copy(rules).unwrap(), after, "{before}");
    }
    let remove = |config: &mut TargetConfig| config.rewrite.query_remove = vec!["a".to_owned()];
    for (before, after) in [("/?a=1", "/"), ("/?", "/?"), ("/?&&b", "/?&&b"), ("/?a&&b", "/?&b")] {
        assert_eq!(url(before).copy(remove).unwrap(), after, "{before}");
    }
}

#[test]
fn headers_are_renamed_removed_set_and_added_in_this_order() {
    let case = Case {
        url: "/p?q=%31",
        headers: &["Host: h:1", "A: 1", "b: 2", "Cookie: c=3", "content-length: 0"],
        arguments: &[(b"tier", Value::Uint32(9)), (b"src", Value::Ipv4([10, 0, 0, 1].into()))],
        ..GET
    };
    let copy = case.copy(|config| {
        let rewrite = &mut config.rewrite;
        rewrite.headers_rename = vec![("a".to_owned(), "X-A".to_owned())];
        rewrite.headers_remove = vec!["b".to_owned()];
        rewrite.headers_set = vec![
            ("x-a".to_owned(), template("[{header.A}]")),
            ("x-all".to_owned(), template("{method} {path} {query} {host} {source} {target}")),
        ];
        rewrite.headers_add =
            vec![("x-all".to_owned(), template("{cookie.c}{query.q}{args.tier}{args.none}{{"))];
    });
    assert_eq!(
        copy.unwrap(),
        "/p?q=%31\nHost: h:1\nx-a: [1]\nCookie: c=3\ncontent-length: 0\n\
         x-all: GET /p q=%31 h 10.0.0.1 test\nx-all: 3%319{"
    );
}

#[test]
fn a_template_cannot_break_the_framing() {
    let set = |config: &mut TargetConfig| {
        config.rewrite.headers_set = vec![("x".to_owned(), template("{args.x}"))];
    };
    for value in ["a\r\nb: c", "a\nb", "a\0b", "a\x1bb"] {
        let arguments: &[(&[u8], Value<'_>)] = &[(b"x", Value::String(value.as_bytes()))];
        assert_eq!(Case { arguments, ..GET }.copy(set), Err(DropReason::Malformed), "{value:?}");
        // In a query it is encoded.
        let copy = Case { arguments, ..GET }.copy(|config| {
            config.rewrite.query_set = vec![("x".to_owned(), template("{args.x}"))];
        });
        assert!(copy.unwrap().bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

#[test]
fn credentials_are_kept_removed_or_set() {
    let case = headers(&["a: 1", "Authorization: Basic x", "Proxy-Authorization: y", "b: 2"]);
    let copy = case.copy(|config| config.rewrite.authorization = Authorization::Remove);
    assert_eq!(copy.unwrap(), "/\na: 1\nb: 2");
    let set = |config: &mut TargetConfig| {
        config.rewrite.authorization = Authorization::Set(Secret::new("Bearer z".to_owned()));
    };
    assert_eq!(case.copy(set).unwrap(), "/\na: 1\nauthorization: Bearer z\nb: 2");
    assert_eq!(GET.copy(set).unwrap(), "/\nauthorization: Bearer z");
    // Those in an absolute target go with them.
    assert_eq!(url("http://u:p@h/").copy(set).unwrap(), "http://h/\nauthorization: Bearer z");
}

#[test]
fn cookies_are_chosen_by_name() {
    let case = headers(&["cookie: a=1; b=2=3;  c=\"4\"; flag", "x: y", "Cookie: a=5"]);
    let names = || vec!["a".to_owned(), "c".to_owned()];
    for (cookies, expected) in [
        (Cookies::Remove, "/\nx: y"),
        (Cookies::RemoveNamed(names()), "/\ncookie: b=2=3; flag\nx: y"),
        (Cookies::KeepNamed(names()), "/\ncookie: a=1;  c=\"4\"\nx: y\nCookie: a=5"),
        (Cookies::KeepNamed(vec!["z".to_owned()]), "/\nx: y"),
    ] {
        let copy = case.copy(|config| config.rewrite.cookies = cookies);
        assert_eq!(copy.unwrap(), expected);
    }
}

fn post<'a>(kind: &'a [&'a str], body: &'a str) -> Case<'a> {
    Case { method: "POST", headers: kind, body: body.as_bytes(), ..GET }
}

const JSON: &[&str] = &["content-type: Application/Vnd.Api+JSON; charset=utf-8"];

#[test]
fn json_fields_are_altered_in_whole_plain_json_only() {
    let rules = |config: &mut TargetConfig| {
        config.rewrite.json_set = vec![(JsonPath::parse("$.env").unwrap(), "\"test\"".to_owned())];
    };
    let body =
        |copy: Result<String, DropReason>| copy.map(|c| c.lines().last().unwrap().to_owned());
    let copy = post(JSON, "{\"a\":1}").copy(rules);
    assert_eq!(body(copy).unwrap(), "{\"a\":1,\"env\":\"test\"}");
    let encoded = &["content-type: application/json", "content-encoding: gzip"];
    assert_eq!(post(encoded, "{}").copy(rules), Err(DropReason::NotRewritable));
    assert_eq!(post(JSON, "{").copy(rules), Err(DropReason::NotRewritable));
    let cut = Case { truncated: true, ..post(JSON, "{}") };
    assert_eq!(cut.copy(rules), Err(DropReason::NotRewritable));
    // No rule is about these.
    for kind in [&["content-type: text/plain"][..], &[], &["content-type: multipart/form-data"]] {
        assert_eq!(body(post(kind, "{}").copy(rules)).unwrap(), "{}");
    }
    assert!(post(JSON, "").copy(rules).is_ok());
}

/// Headers that tell of the body as it was go with it.
#[test]
fn digests_of_an_altered_body_are_left_out() {
    let rules = |config: &mut TargetConfig| {
        config.rewrite.json_remove = vec![JsonPath::parse("$.pin").unwrap()];
    };
    let kind = &["content-type: application/json", "Content-MD5: x", "repr-digest: y"];
    assert_eq!(
        post(kind, "{\"pin\":1}").copy(rules).unwrap(),
        "/\ncontent-type: application/json\n{}"
    );
    assert!(post(kind, "{\"b\":1}").copy(rules).unwrap().contains("Content-MD5: x"));
}

#[test]
fn a_body_that_may_hold_a_hidden_field_is_understood_or_not_sent() {
    let rules = |config: &mut TargetConfig| {
        redact(config, RedactPlace::Field("password".to_owned()), hide("x y"));
    };
    let form = &["content-type: application/x-www-form-urlencoded"];
    for (kind, before, after) in [
        (JSON, "{\"password\":1}", "{\"password\":\"x y\"}"),
        (form, "a=1&user%5BPassword%5D=b&c", "a=1&user%5BPassword%5D=x%20y&c"),
        (form, " {\"password\":1}", " {\"password\":\"x y\"}"),
        (&["content-type: text/plain"], "{\"password\":1}", "{\"password\":\"x y\"}"),
        (&[], "[{\"password\":1}]", "[{\"password\":\"x y\"}]"),
        (&["content-type: image/png"], "password=1", "password=1"),
    ] {
        let copy = post(kind, before).copy(rules).unwrap();
        assert_eq!(copy.lines().last().unwrap(), after, "{kind:?}");
    }
    for (kind, body) in [
        (JSON, "{\"password\":1"),
        (form, "{\"password\":1"),
        (&["content-type: multipart/form-data; boundary=b"], "--b\r\n"),
        (&["content-type: image/svg+xml"], "<a/>"),
        (&["content-type: text/plain"], "password=1"),
        (&[], "password=1"),
        (&["content-type: image/png", "content-type: application/json"], "password=1"),
        (&["content-type: application/json", "content-encoding: br"], "{}"),
        (&["content-type: application/x-www-form-urlencoded", "content-encoding: br"], "a=b"),
    ] {
        assert_eq!(post(kind, body).copy(rules), Err(DropReason::NotRewritable), "{kind:?} {body}");
        let empty = post(kind, "").copy(rules);
        assert!(empty.is_ok(), "{kind:?}");
    }
    let cut = Case { truncated: true, ..post(form, "a=1&pass") };
    assert_eq!(cut.copy(rules), Err(DropReason::NotRewritable));
}

/// Whatever rules do with a hidden value, the target does not see it.
#[test]
fn no_rule_shows_what_redaction_hides() {
    let case = Case {
        url: "/a?token=SECRET&b=1",
        headers: &[
            "x-key: SECRET",
            "cookie: s=SECRET; t=1",
            "referer: http://h/?token=SECRET",
            "content-type: application/json",
        ],
        method: "POST",
        body: b"{\"list\":[{\"pin\":\"SECRET\"}],\"a\":{}}",
        arguments: &[
            (b"arg_path", Value::String(b"/?token=SECRET")),
            (b"hdrs", Value::String(b"x-key: SECRET\r\n\r\n")),
            (b"res_hdrs", Value::String(b"set-cookie: s=SECRET\r\n\r\n")),
            (b"res_body", Value::Binary(b"SECRET")),
        ],
        ..GET
    };
    let everything = "{args.path}{args.arg_path}{args.hdrs}{args.res_hdrs}{args.res_body}\
                      {query}{query.token}{header.x-key}{header.cookie}{cookie.s}{header.referer}";
    let copy = case.copy(|config| {
        redact(config, RedactPlace::Header("x-key".to_owned()), RedactWith::Remove);
        redact(config, RedactPlace::Cookie("s".to_owned()), hide("h"));
        redact(config, RedactPlace::Query("token".to_owned()), hide("h"));
        redact(config, RedactPlace::Json(JsonPath::parse("$..pin").unwrap()), hide("h"));
        let rewrite = &mut config.rewrite;
        rewrite.headers_rename = vec![("x-key".to_owned(), "x-other".to_owned())];
        rewrite.headers_set = vec![("x-set".to_owned(), template(everything))];
        rewrite.headers_add = vec![("x-key".to_owned(), template("mine"))];
        rewrite.query_set = vec![("set".to_owned(), template(everything))];
        rewrite.json_set = vec![(JsonPath::parse("$.a.b").unwrap(), "1".to_owned())];
    });
    let copy = copy.unwrap();
    assert!(!copy.contains("SECRET"), "{copy}");
    assert!(copy.contains("\nx-set: token=h&b=1hs=h; t=1hhttp://h/?token=h\n"), "{copy}");
    // What the configuration sets is not the client's.
    assert!(copy.contains("\nx-key: mine\n"), "{copy}");
    assert!(copy.ends_with("{\"list\":[{\"pin\":\"h\"}],\"a\":{\"b\":1}}"), "{copy}");
}

#[test]
fn the_default_rules_hide_the_usual_secrets() {
    let case = Case {
        url: "http://u:SECRET@h/?api_key=SECRET&x=1&accessToken=SECRET",
        headers: &[
            "Authorization: Bearer SECRET",
            "Cookie: session=SECRET",
            "X-Api-Key: SECRET",
            "content-type: application/json",
        ],
        method: "POST",
        body: b"{\"clientSecret\":\"SECRET\",\"card\":{\"card-number\":\"SECRET\",\"name\":\"n\"}}",
        ..GET
    };
    let copy = case.copy(|config| config.redact.rules = default_rules()).unwrap();
    assert_eq!(
        copy,
        "http://h/?api_key=redacted&x=1&accessToken=redacted\ncontent-type: application/json\n\
         {\"clientSecret\":\"redacted\",\"card\":{\"card-number\":\"redacted\",\"name\":\"n\"}}"
    );
}

#[test]
fn json_values_are_checked() {
    for good in ["1", "\"a\"", " {\"a\": [null]} "] {
        assert!(check_json_value(good).is_ok(), "{good}");
    }
    for bad in ["", "a", "{", "1 2"] {
        assert!(check_json_value(bad).unwrap_err().contains("quotation marks"), "{bad}");
    }
}

proptest! {
    /// Parameters that no rule names are there as they were, in their order.
    #[test]
    fn other_parameters_stay(query in "([a-c]{0,2}(=[a-z%&+]{0,3})?&?){0,6}") {
        let before = format!("/?{query}");
        let copy = url(&before).copy(|config| {
            config.rewrite.query_remove = vec!["a".to_owned()];
            config.rewrite.query_set = vec![("b".to_owned(), template("set"))];
        });
        let after = copy.unwrap();
        let pairs = |url: &str| -> Vec<(Vec<u8>, Vec<u8>)> {
            let query = url.split_once('?').map_or("", |(_, query)| query);
            let pairs = view::parameters(query.as_bytes());
            pairs.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
        };
        let others = |pairs: Vec<(Vec<u8>, Vec<u8>)>| {
            pairs.into_iter().filter(|(name, _)| name != b"a" && name != b"b").collect::<Vec<_>>()
        };
        let named = |name: &[u8]| {
            let pairs = pairs(&after);
            pairs.into_iter().filter(|(n, _)| n == name).map(|(_, v)| v).collect::<Vec<_>>()
        };
        prop_assert_eq!(others(pairs(&after)), others(pairs(&before)));
        prop_assert!(named(b"a").is_empty());
        prop_assert_eq!(named(b"b"), vec![b"set".to_vec()]);
    }

    #[test]
    fn other_cookies_stay(cookies in "([a-c]{0,2}=?[a-z=\"]{0,3}; ?){0,6}") {
        let line = format!("cookie: {cookies}");
        let lines = [line.as_str()];
        let copy = headers(&lines)
            .copy(|config| config.rewrite.cookies = Cookies::RemoveNamed(vec!["a".to_owned()]));
        let copy = copy.unwrap();
        let after = copy.split_once("cookie: ").map_or("", |(_, after)| after);
        let pairs = |header: &str| -> Vec<(Vec<u8>, Vec<u8>)> {
            let pairs = view::cookies(header.as_bytes());
            let pairs = pairs.map(|(name, value)| (name.to_vec(), value.to_vec()));
            pairs.filter(|(name, _)| name != b"a").collect()
        };
        prop_assert_eq!(pairs(after), pairs(&cookies));
        prop_assert!(view::cookies(after.as_bytes()).all(|(name, _)| name != b"a"));
    }

    /// Any bytes in any place: no panic, and nothing that ends a header before its end.
    #[test]
    fn anything_can_come(
        path in "/[ -~]{0,20}",
        value in "[ -~]{0,20}",
        body in prop::collection::vec(any::<u8>(), 0..40),
        kind in prop::sample::select(vec!["application/json", "application/x-www-form-urlencoded", "x"]),
    ) {
        let lines = [format!("cookie: {value}"), format!("content-type: {kind}"), format!("x: {value}")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let case = Case { url: &path, headers: &lines, body: &body, ..GET };
        let _ = case.copy(|config| {
            config.redact.rules = default_rules();
            config.rewrite.cookies = Cookies::KeepNamed(vec!["a".to_owned()]);
            config.rewrite.headers_set = vec![("y".to_owned(), template("{header.x}{query.a}"))];
            config.rewrite.query_set = vec![("a".to_owned(), template("{header.x}"))];
        });
    }
}
