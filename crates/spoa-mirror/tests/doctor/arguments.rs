//! What the doctor says of arguments, shown with real HAProxy.

use testbed::haproxy::Version;
use testbed::wait;

use super::running::on_each_haproxy;
use super::staged::{Staged, only_good_mirrors};

fn without_headers_nothing_is_mirrored(version: Version) {
    only_good_mirrors(version, "argument-missing/bad", "argument-missing/good");
}

fn an_unknown_name_is_a_missing_part(version: Version) {
    only_good_mirrors(version, "argument-unknown/bad", "argument-unknown/good");
    only_good_mirrors(version, "argument-unknown/bad-unnamed", "argument-unknown/good-own");
}

fn a_header_is_no_headers(version: Version) {
    only_good_mirrors(version, "argument-wrong-fetch/bad", "argument-wrong-fetch/good");
}

fn a_variable_that_is_not_set_is_a_missing_part(version: Version) {
    only_good_mirrors(version, "variable-never-set/bad", "variable-set-later/good-scope");
}

/// Set by a rule, it is not there at the frontend's event, and at the backend's it is; in the scope of the request
/// it is gone when the answer is there.
fn a_variable_must_be_set_before_and_last(version: Version) {
    only_good_mirrors(version, "variable-set-later/bad", "variable-set-later/good");
    only_good_mirrors(version, "variable-set-later/bad-scope", "variable-set-later/good-scope");
}

fn a_path_has_no_query(version: Version) {
    for (kind, target) in [
        ("bad", "/search"),
        // The agent looks at a query beside `path` and `pathq` only.
        ("bad-query-beside", "/search"),
        ("good", "/search?q=1"),
        ("good-query", "/search?q=1"),
        ("good-pathq", "/search?q=1"),
    ] {
        let scene = Staged::new(version, &format!("path-loses-query/{kind}")).start();
        scene.get(1);
        assert_eq!(scene.copy().target().escape_ascii().to_string(), target, "{kind}");
    }
}

/// What a method becomes in a variable that holds `method` itself.
fn a_method_in_a_variable(version: Version) {
    let loses = version <= Version::V3_0;
    for (kind, method, expected) in [
        ("bad", "PATCH", if loses { "OPTIONS" } else { "PATCH" }),
        ("bad", "QUERY", if loses { "OPTIONS" } else { "QUERY" }),
        ("bad", "PUT", "PUT"),
        ("bad", "DELETE", "DELETE"),
        ("good", "PATCH", "PATCH"),
    ] {
        let scene = Staged::new(version, &format!("method-as-variable/{kind}")).start();
        let head = "Host: localhost\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(scene.send(format!("{method} /item HTTP/1.1\r\n{head}").as_bytes()), 200);
        let copy = scene.copy();
        assert_eq!(copy.method().escape_ascii().to_string(), expected, "{kind} {method}");
        let received = scene.production.wait_for(1, wait::LIMIT);
        assert_eq!(received[0].method(), method.as_bytes());
    }
}

on_each_haproxy!(
    without_headers_nothing_is_mirrored,
    an_unknown_name_is_a_missing_part,
    a_header_is_no_headers,
    a_variable_that_is_not_set_is_a_missing_part,
    a_variable_must_be_set_before_and_last,
    a_path_has_no_query,
    a_method_in_a_variable,
);
