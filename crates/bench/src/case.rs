//! What is measured: requests, load and targets.

use nix::sys::resource::{Resource, getrlimit};

/// One case.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: String,
    pub(crate) request: Request,
    pub(crate) load: Load,
    pub(crate) target: Target,
    /// Percent of the requests that are mirrored.
    pub(crate) sample: u32,
    /// HAProxy's `tune.bufsize`, in bytes.
    pub(crate) bufsize: u32,
    /// The case of the same load whose figures without SPOE, and with an agent that only acknowledges, are
    /// this one's too: they know no targets.
    pub(crate) base: &'static str,
    /// Whether it tells something of nginx's mirror and other agents.
    pub(crate) rivals: bool,
    /// Whether a requirement on clients' times looks at it: they depend on where the system happens to put the
    /// processes, so that it takes many starts to know them.
    pub(crate) often: bool,
    /// How long it is measured, in parts of `--seconds`.
    pub(crate) long: f64,
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
    /// So many requests a second, evenly spaced, whatever becomes of them.
    Rate(u32),
    /// No HAProxy: so many SPOP connections to the agent, used in turn, and so many NOTIFYs a second.
    Spop { connections: u32, rate: u32 },
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
    /// The slow one and two of the first kind, with everything that the agent can do for a target.
    Everything,
    /// Nobody listens.
    Down,
    /// nginx, HTTP/1.1; HAProxy hands over production's answers, too, and nobody wants them.
    Answered,
    /// The same, and 10 % of the pairs are compared.
    Compared,
}

impl Case {
    /// Whether the target takes every copy at this load, so that none may be lost.
    pub(crate) fn lossless(&self) -> bool {
        match self.target {
            Target::Http1
            | Target::H2c
            | Target::Tls
            | Target::Several(_)
            | Target::Answered
            | Target::Compared => true,
            Target::Slow | Target::Everything => matches!(self.load, Load::Rate(_)),
            Target::Down => false,
        }
    }
}

impl Target {
    /// Whether HAProxy sends its message when production has answered: of a request whose client has gone by
    /// then, as at the end of every closed loop, it sends none.
    pub(crate) fn waits_for_answers(self) -> bool {
        matches!(self, Self::Answered | Self::Compared)
    }
}

/// Every case there is.
pub(crate) fn all() -> Vec<Case> {
    let get = Case {
        name: "get",
        about: "small GET, 32 clients in a closed loop".to_owned(),
        request: Request { method: "GET", body: 0, headers: 0 },
        load: Load::Closed(32),
        target: Target::Http1,
        sample: 100,
        bufsize: 16384,
        base: "get",
        rivals: true,
        often: false,
        long: 1.0,
    };
    // The same load, and another target.
    let to = |name, about: &str, target| Case { name, target, ..get.with(about) };
    // The same target, and another load.
    let load = |name, about: &str, load| Case { name, load, base: name, ..get.with(about) };
    let post = |name, body, about: &str| {
        let request = Request { method: "POST", body, headers: 0 };
        Case { name, request, base: name, long: 0.5, ..get.with(about) }
    };
    let rate_1000 = load("rate-1000", "small GET, 1,000 requests a second", Load::Rate(1000));
    let rate = Case {
        often: true,
        ..load("rate", "small GET, 2,000 requests a second", Load::Rate(2000))
    };
    // No other agent takes these messages.
    let answered = |like: &Case, name, about: &str, target| Case {
        name,
        target,
        rivals: false,
        ..like.with(&format!("small GET, {about}"))
    };
    let slow = |name, about: &str, target| Case {
        name,
        target,
        ..rate_1000.with(&format!("1,000 requests a second, 1,000 copies in flight: {about}"))
    };
    let spop = |name, connections| {
        let about = format!(
            "10,000 NOTIFYs of a small GET a second over {connections} SPOP connections in turn, no HAProxy"
        );
        load(name, &about, Load::Spop { connections, rate: 10_000 })
    };
    vec![
        get.clone(),
        Case {
            rivals: false,
            ..to("two", "small GET, closed loop, two targets", Target::Several(2))
        },
        to("three", "small GET, closed loop, three targets", Target::Several(3)),
        to("http2", "small GET, closed loop, HTTP/2 target", Target::H2c),
        to("tls", "small GET, closed loop, TLS target", Target::Tls),
        rate.clone(),
        Case { often: true, rivals: false, ..rate_1000.clone() },
        Case { often: true, ..slow("slow", "a target that answers after 1 s", Target::Slow) },
        slow(
            "everything",
            "a target that answers after 1 s and two good ones, each with rules, sample, rewriting, \
             redaction, rate, adaptive limit and breaker; every copy logged",
            Target::Everything,
        ),
        answered(
            &get,
            "answered",
            "closed loop, production's answers handed over",
            Target::Answered,
        ),
        answered(&get, "compared", "the same, and 10 % of the pairs compared", Target::Compared),
        answered(
            &rate,
            "rate-answered",
            "2,000 requests a second, production's answers handed over",
            Target::Answered,
        ),
        answered(
            &rate,
            "rate-compared",
            "the same, and 10 % of the pairs compared",
            Target::Compared,
        ),
        spop("spop-32", 32),
        spop("spop-many", spop_connections(10_000)),
        Case {
            long: 0.5,
            ..load("get-512", "small GET, 512 clients in a closed loop", Load::Closed(512))
        },
        Case {
            rivals: false,
            long: 0.5,
            ..load("rate-10000", "small GET, 10,000 requests a second", Load::Rate(10_000))
        },
        post("post-10k", 10_000, "POST of 10 kB, closed loop"),
        Case {
            bufsize: 65536,
            ..post("post-60k", 60_000, "POST of 60 kB, closed loop, tune.bufsize 65536")
        },
        Case {
            name: "headers-80",
            request: Request { headers: 80, ..get.request },
            base: "headers-80",
            long: 0.5,
            ..get.with("GET with 80 headers, closed loop")
        },
        Case {
            name: "sample",
            sample: 10,
            long: 0.5,
            ..get.with("small GET, closed loop, 10 % mirrored")
        },
        Case {
            long: 0.5,
            ..to("slow-closed", "small GET, closed loop, target answers after 1 s", Target::Slow)
        },
        Case {
            long: 0.5,
            ..to("down", "small GET, closed loop, nobody listens at the target", Target::Down)
        },
    ]
}

impl Case {
    fn with(&self, about: &str) -> Self {
        Self { about: about.to_owned(), ..self.clone() }
    }
}

/// So many, or what the limit of open files allows.
fn spop_connections(wanted: u32) -> u32 {
    /// What the agent keeps open besides: to its target, for its admin API.
    const RESERVED: u64 = 1200;
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let room = limit.saturating_sub(RESERVED).max(RESERVED / 3);
    wanted.min(u32::try_from(room).unwrap_or(u32::MAX))
}
