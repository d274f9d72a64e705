//! The configurations that operators have copied: HAProxy's traffic-mirroring guide and the reference of
//! its enterprise edition, with nothing changed but the program behind them.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use testbed::backend::Request;
use testbed::client::h2;
use testbed::client::http1::Client;
use testbed::client::load::Load;
use testbed::haproxy::{Haproxy, Version};
use testbed::{ports, wait};

use running::mirror::Mirror;
use running::on_each_haproxy;
use running::stage::{Stage, answered_by_production, production};

/// What a request is, apart from the order of its headers: its first line, headers and body.
fn essence(request: &Request) -> (String, Vec<String>, Vec<u8>) {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let marker = |name: &[u8]| name.eq_ignore_ascii_case(b"x-shadow");
    let headers = request.headers().into_iter().filter(|(name, _)| !marker(name));
    let mut lines: Vec<_> =
        headers.map(|(name, value)| format!("{}: {}", text(name), text(value))).collect();
    lines.sort();
    (text(request.request_line()), lines, request.body.clone())
}

/// Asserts that the shadow received what production did, each request once and marked as a copy.
fn assert_same(production: &[Request], shadow: &[Request]) {
    let mut originals: Vec<_> = production.iter().map(essence).collect();
    let mut copies: Vec<_> = shadow.iter().map(essence).collect();
    originals.sort();
    copies.sort();
    assert_eq!(originals, copies);
    for copy in shadow {
        assert_eq!(copy.header_values("x-shadow"), [b"1"], "{copy:?}");
    }
}

/// Sends requests of the usual kinds, HTTP/2 among them; gives their number.
fn usual_traffic(haproxy: &Haproxy) -> usize {
    let mut client = Client::connect(haproxy.address("http")).unwrap();
    let body = vec![b'b'; 10_000];
    let post = format!(
        "POST /form?a=1&b=2 HTTP/1.1\r\nHost: shop.example\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let requests = [
        b"GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\n\r\n".to_vec(),
        b"GET /search?q=x%20y HTTP/1.1\r\nHost: shop.example\r\nCookie: a=1; b=2\r\n\r\n".to_vec(),
        [post.as_bytes(), &body].concat(),
        b"PUT /item/7 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        b"DELETE /item/7 HTTP/1.1\r\nHost: shop.example\r\n\r\n".to_vec(),
        b"HEAD / HTTP/1.1\r\nHost: shop.example\r\n\r\n".to_vec(),
    ];
    for request in &requests {
        assert_eq!(client.exchange(request).unwrap().status, 200);
    }
    let client = h2::Client::connect(haproxy.address("http")).unwrap();
    let request = h2::Request::new("GET", "/over-h2?x=1").header("x-client", "two");
    assert_eq!(client.exchange(&request).unwrap().status, 200);
    requests.len() + 1
}

fn the_guides_configuration_copies_every_request(version: Version) {
    let mut stage = Stage::start(version, |guide| guide);
    let count = usual_traffic(&stage.haproxy);
    let copies = stage.copies(count);
    assert_same(&stage.production.requests(), &copies);

    // `log global` in the guide's mirror.conf: HAProxy's own word that the agent answered.
    let answered = |line: &str| line.contains("SPOE: [mirror]") && line.contains(" st=0 ");
    wait::holds(wait::LIMIT, "HAProxy logs each event", || {
        stage.haproxy.log().matching(answered).len() >= count
    });
    assert_eq!(stage.haproxy.log().matching(|line| line.contains("SPOE:")).len(), count);

    let more = 500;
    Load::builder(stage.address()).total(more).run().assert_all_ok();
    let total = count as u64 + more;
    stage.shadow.wait_count(total, wait::LIMIT);
    let tally = stage.finish();
    assert_eq!((tally.target().received, tally.target().answers()), (total, total));
    assert_eq!((tally.spop.incomplete, tally.spop.protocol_errors), (0, 0));
    assert_eq!(stage.mirror.told("WARN"), [""; 0]);
}

/// The reference of the enterprise edition: the same engine in a file of another name, and a frontend of
/// its own style.
fn the_enterprise_references_configuration_copies_every_request(version: Version) {
    let (production, shadow) = (production(), testbed::backend::Recorder::start());
    let mut mirror = Mirror::start_at(ports::free_addr(), &["-r0", "-u", &shadow.url()]);
    let config = format!(
        "global\n    maxconn 1000\n\n\
         defaults\n    mode http\n    log global\n    option httplog\n    option dontlognull\n    \
         timeout connect 10s\n    timeout client 300s\n    timeout server 300s\n\n\
         frontend fe_main\n    bind 127.0.0.1:{{port:http}}\n    option http-buffer-request\n    \
         filter spoe engine mirror config hapee-mirror-spoe.cfg\n    default_backend be_main\n\n\
         backend be_main\n    balance roundrobin\n    server web1 {}\n\n\
         backend mirroragents\n    mode tcp\n    balance roundrobin\n    timeout connect 5s\n    \
         timeout server 5s\n    server agent1 {}\n",
        production.address(),
        mirror.address
    );
    let engine = "[mirror]\n\
         spoe-agent mirror\n    log global\n    messages mirror\n    use-backend mirroragents\n    \
         timeout hello 500ms\n    timeout idle 5s\n    timeout processing 5s\n\n\
         spoe-message mirror\n    \
         args arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin arg_body=req.body\n    \
         event on-frontend-http-request\n";
    let builder = Haproxy::builder(version).config(config).file("hapee-mirror-spoe.cfg", engine);
    let haproxy = builder.start();
    let count = usual_traffic(&haproxy);
    let copies = shadow.wait_for(count, wait::LIMIT);
    assert_same(&production.requests(), &copies);
    let tally = mirror.finish();
    assert_eq!(tally.target().answers(), count as u64, "{tally:?}");
}

/// With the guide's configuration HAProxy opens a connection whenever it needs one, and closes it when
/// it was idle for 5 s: one client after another must find the program all the same.
fn each_client_on_a_connection_of_its_own_is_mirrored(version: Version) {
    let mut stage = Stage::start(version, |guide| guide);
    for number in 0..50 {
        stage.get(&format!("/{number}"));
    }
    let mut paths: Vec<_> =
        stage.copies(50).iter().map(|copy| copy.target().escape_ascii().to_string()).collect();
    paths.sort_by_key(|path| path[1..].parse::<u32>().unwrap());
    assert_eq!(paths, (0..50).map(|number| format!("/{number}")).collect::<Vec<_>>());
    stage.finish();
}

/// An agent that is not there costs what the guide's `timeout processing` allows, and nothing else.
fn production_answers_while_the_program_is_gone_and_mirroring_resumes(version: Version) {
    let mut stage = Stage::start(version, |guide| {
        guide.processing("200ms").agents_line("retries 0").server_options("check inter 100ms")
    });
    stage.get("/before");
    let address = stage.mirror.address;
    stage.mirror.finish();
    let answer = testbed::client::http1::get(stage.address(), "/between").unwrap();
    answered_by_production(&answer);
    stage.mirror = Mirror::start_at(address, &["-u", &stage.shadow.url(), "-i", "1s"]);
    let mirrored_again = || {
        stage.get("/after");
        let paths = stage.shadow.requests();
        paths.iter().any(|request| request.target() == b"/after")
    };
    wait::holds(wait::LIMIT, "requests are mirrored again", mirrored_again);
    let paths = stage.shadow.requests();
    assert!(paths.iter().any(|request| request.target() == b"/before"));
    assert!(!paths.iter().any(|request| request.target() == b"/between"), "{paths:?}");
}

on_each_haproxy!(
    the_guides_configuration_copies_every_request,
    the_enterprise_references_configuration_copies_every_request,
    each_client_on_a_connection_of_its_own_is_mirrored,
    production_answers_while_the_program_is_gone_and_mirroring_resumes,
);
