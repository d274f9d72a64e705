//! What is measured: requests, load and targets.

/// One case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) request: Request,
    pub(crate) load: Load,
    pub(crate) target: Target,
    /// Percent of the requests that are mirrored.
    pub(crate) sample: u32,
    /// HAProxy's `tune.bufsize`, in bytes.
    pub(crate) bufsize: u32,
}

/// What clients ask for.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// Bytes of the body.
    pub(crate) body: usize,
    /// Headers besides those that every client sends.
    pub(crate) headers: usize,
}

/// How they ask.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Load {
    /// So many connections, each sending the next request when it has the answer.
    Closed(u32),
    /// So many requests a second, over 32 connections.
    Rate(u32),
}

/// Where copies go.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// nginx, HTTP/1.1, connections kept alive.
    Http1,
    /// nginx, HTTP/2 without TLS.
    H2c,
    /// nginx, HTTP/1.1 over TLS.
    Tls,
    /// So many of the first kind.
    Several(usize),
    /// Answers after a second.
    Slow,
    /// Nobody listens.
    Down,
}

const GET: Request = Request { method: "GET", body: 0, headers: 0 };
const NORMAL: Case = Case {
    name: "get",
    about: "small GET, 32 clients in a closed loop",
    request: GET,
    load: Load::Closed(32),
    target: Target::Http1,
    sample: 100,
    bufsize: 16384,
};

/// Every case there is.
pub(crate) fn all() -> Vec<Case> {
    let post = |body| Request { method: "POST", body, headers: 0 };
    vec![
        NORMAL,
        Case {
            name: "get-512",
            about: "small GET, 512 clients in a closed loop",
            load: Load::Closed(512),
            ..NORMAL
        },
        Case {
            name: "rate",
            about: "small GET, 2,000 requests a second",
            load: Load::Rate(2000),
            ..NORMAL
        },
        Case { name: "post-10k", about: "POST of 10 kB", request: post(10_000), ..NORMAL },
        Case {
            name: "post-60k",
            about: "POST of 60 kB, tune.bufsize 65536",
            request: post(60_000),
            bufsize: 65536,
            ..NORMAL
        },
        Case {
            name: "headers-80",
            about: "GET with 80 headers",
            request: Request { headers: 80, ..GET },
            ..NORMAL
        },
        Case { name: "http2", about: "small GET, HTTP/2 target", target: Target::H2c, ..NORMAL },
        Case { name: "tls", about: "small GET, TLS target", target: Target::Tls, ..NORMAL },
        Case {
            name: "three",
            about: "small GET, three targets",
            target: Target::Several(3),
            ..NORMAL
        },
        Case { name: "sample", about: "small GET, 10 % mirrored", sample: 10, ..NORMAL },
        Case {
            name: "slow",
            about: "2,000 requests a second, target answers after 1 s",
            target: Target::Slow,
            load: Load::Rate(2000),
            ..NORMAL
        },
        Case {
            name: "slow-closed",
            about: "small GET in a closed loop, target answers after 1 s",
            target: Target::Slow,
            ..NORMAL
        },
        Case {
            name: "down",
            about: "small GET in a closed loop, nobody listens at the target",
            target: Target::Down,
            ..NORMAL
        },
    ]
}
