//! The recorders keep exactly what they receive, and each behaviour does what it says.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use testbed::backend::{Behaviour, Framing, Recorder, Response, Step, h2 as backend_h2};
use testbed::client::h2;
use testbed::client::http1::{self, Client};
use testbed::client::load::Load;
use testbed::tls::Authority;
use testbed::wait::{self, LIMIT};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn exact_bytes_are_recorded_and_split_into_requests() {
    let recorder = Recorder::start();
    let mut client = Client::connect(recorder.address()).unwrap();
    let one = b"pUT //x/../%2e?a b\xff HTTP/1.1\r\nHOST:h\r\nX:  1 \r\nx: \r\nContent-Length: 3\r\n\r\nab\0";
    let two = b"GET * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    client.send(&[one.as_slice(), two].concat()).unwrap();
    client.response(false).unwrap();
    client.response(false).unwrap();
    let requests = recorder.wait_for(2, LIMIT);
    assert_eq!(requests[0].raw(), one);
    assert_eq!(requests[1].raw(), two);
    assert_eq!(requests[0].method(), b"pUT");
    assert_eq!(requests[0].target(), b"//x/../%2e?a b\xff");
    assert_eq!(requests[0].header_values("x"), [&b"1"[..], b""]);
    assert_eq!(requests[0].header_lines().nth(1), Some(&b"X:  1 "[..]));
    assert_eq!(requests[0].body, b"ab\0");
    assert_eq!((requests[1].connection, requests[1].index), (0, 1));
    assert_eq!(recorder.counts().bytes, (one.len() + two.len()) as u64);
}

#[test]
fn a_chunked_body_is_kept_raw_and_decoded() {
    let recorder = Recorder::start();
    let mut client = Client::connect(recorder.address()).unwrap();
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = b"3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n";
    for byte in [head.as_slice(), body].concat() {
        client.send(&[byte]).unwrap();
    }
    client.response(false).unwrap();
    let request = recorder.wait_for(1, LIMIT).remove(0);
    assert_eq!(request.raw_body, body);
    assert_eq!(request.body, b"abc0123456789");
    assert_eq!(request.trailers, b"X-T: 1\r\n");
}

#[test]
fn a_request_that_breaks_off_is_recorded_as_incomplete() {
    let recorder = Recorder::start();
    let mut client = Client::connect(recorder.address()).unwrap();
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc").unwrap();
    drop(client);
    let request = recorder.wait_for(1, LIMIT).remove(0);
    assert!(!request.complete);
    assert_eq!(request.body, b"abc");
    let counts = recorder.counts();
    assert_eq!((counts.requests, counts.complete), (1, 0));
}

#[test]
fn a_client_that_expects_100_gets_it() {
    let recorder = Recorder::start();
    let mut client = Client::connect(recorder.address()).unwrap();
    let head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.send(head).unwrap();
    // The answer to the head alone, since the body comes after it.
    let mut interim = [0; 25];
    (&mut client.stream()).read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.exchange(b"ok").unwrap().status, 200);
}

#[test]
fn responses_are_framed_as_told() {
    let recorder = Recorder::start();
    let mut client = Client::connect(recorder.address()).unwrap();
    let exact =
        |response: &Response, method: &[u8]| String::from_utf8(response.to_bytes(method)).unwrap();

    let plain = Response::ok("body").header("x-a", "1");
    assert_eq!(exact(&plain, b"GET"), "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 4\r\n\r\nbody");
    assert_eq!(exact(&plain, b"HEAD"), "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 4\r\n\r\n");
    assert_eq!(exact(&Response::new(204), b"GET"), "HTTP/1.1 204 No Content\r\n\r\n");

    let trailers = "x-t: 1\r\n".to_owned();
    let chunked = Response::ok("abcde").framing(Framing::Chunked { piece: 2, trailers });
    let wire = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n0\r\nx-t: 1\r\n\r\n";
    assert_eq!(exact(&chunked, b"GET"), wire);
    recorder.set(Behaviour::respond(chunked));
    assert_eq!(client.exchange(GET).unwrap().text(), "abcde");

    let hints = Response::ok("late").after(100, "").after(103, "link: </a>\r\n");
    recorder.set(Behaviour::respond(hints));
    let response = client.exchange(GET).unwrap();
    assert_eq!((response.interim.clone(), response.text()), (vec![100, 103], "late".to_owned()));

    for status in [204, 304] {
        recorder.set(Behaviour::respond(Response::new(status)));
        assert_eq!(client.exchange(GET).unwrap().status, status);
    }
    recorder.set(Behaviour::respond(Response::ok("x".repeat(10))));
    let response = client.exchange(b"HEAD / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(response.header("content-length").as_deref(), Some("10"));
    assert_eq!(recorder.counts().connections, 1, "all on one connection");

    recorder.set(Behaviour::respond(Response::ok("to the end").framing(Framing::UntilClose)));
    assert_eq!(client.exchange(GET).unwrap().text(), "to the end");
    assert_eq!(client.exchange(GET).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_delay_delays_and_a_drop_ends_it() {
    let delay = Duration::from_millis(120);
    let recorder = Recorder::with(Behaviour::delay(delay, Behaviour::respond(Response::ok("x"))));
    let started = Instant::now();
    assert_eq!(http1::get(recorder.address(), "/").unwrap().status, 200);
    assert!(started.elapsed() >= delay);

    recorder.set(Behaviour::delay(Duration::from_secs(3600), Behaviour::reset()));
    let mut client = Client::connect(recorder.address()).unwrap();
    client.send(GET).unwrap();
    recorder.wait_for(2, LIMIT);
    // Would hang for an hour if the drop did not end the wait.
    drop(recorder);
    assert!(client.response(false).is_err());
}

#[test]
fn a_mute_backend_reads_and_stays_silent() {
    let recorder = Recorder::with(Behaviour::mute());
    let mut client = Client::connect(recorder.address()).unwrap();
    client.stream().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = client.exchange(GET).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    assert_eq!(recorder.wait_for(1, LIMIT).len(), 1);
}

#[test]
fn resets_are_resets() {
    let recorder = Recorder::with(Behaviour::reset());
    let error = http1::get(recorder.address(), "/").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(recorder.wait_for(1, LIMIT).len(), 1);

    recorder.set(Behaviour::reset_at_accept());
    // The reset may be there before connecting is done.
    let mut connecting = Client::connect(recorder.address());
    let error = connecting
        .as_mut()
        .map_or_else(|e| e.kind(), |client| client.response(false).unwrap_err().kind());
    assert_eq!(error, ErrorKind::ConnectionReset);
}

#[test]
fn garbage_stalls_and_cuts_come_as_given() {
    let recorder = Recorder::with(Behaviour::garbage("\0\x01 not http\r\n\r\n"));
    let mut client = Client::connect(recorder.address()).unwrap();
    client.send(GET).unwrap();
    assert_eq!(client.read_to_end().unwrap(), b"\0\x01 not http\r\n\r\n");

    let beginning = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
    recorder.set(Behaviour::cut_short(beginning));
    let error = http1::get(recorder.address(), "/").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);

    recorder.set(Behaviour::stall(beginning));
    let mut client = Client::connect(recorder.address()).unwrap();
    client.send(GET).unwrap();
    let mut bytes = vec![0; beginning.len()];
    (&mut client.stream()).read_exact(&mut bytes).unwrap();
    client.stream().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(client.response(false).unwrap_err().kind(), ErrorKind::WouldBlock);

    recorder.set(Behaviour::speaks_first("banner", Behaviour::mute()));
    let client = Client::connect(recorder.address()).unwrap();
    let mut banner = [0; 6];
    (&mut client.stream()).read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"banner");
}

#[test]
fn connections_close_when_told() {
    let ok = || Response::ok("ok");
    let recorder = Recorder::with(Behaviour::close_after(2, ok()));
    let mut client = Client::connect(recorder.address()).unwrap();
    for _ in 0..2 {
        let response = client.exchange(GET).unwrap();
        assert_eq!((response.status, response.header("connection")), (200, None));
    }
    assert_eq!(client.response(false).unwrap_err().kind(), ErrorKind::UnexpectedEof);

    recorder.set(Behaviour::close_without_answer());
    assert_eq!(http1::get(recorder.address(), "/").unwrap_err().kind(), ErrorKind::UnexpectedEof);

    recorder.set(Behaviour::close_without_answer_after(1, ok()));
    let mut client = Client::connect(recorder.address()).unwrap();
    assert_eq!(client.exchange(GET).unwrap().status, 200);
    assert_eq!(client.exchange(GET).unwrap_err().kind(), ErrorKind::UnexpectedEof);

    recorder.set(Behaviour::respond(ok()));
    let mut client = Client::connect(recorder.address()).unwrap();
    assert_eq!(client.exchange(GET).unwrap().status, 200);
    recorder.close_connections();
    assert_eq!(client.response(false).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_huge_body_is_streamed() {
    let total = 50_000_000;
    let recorder = Recorder::with(Behaviour::huge_body(total));
    let response = http1::get(recorder.address(), "/").unwrap();
    assert_eq!(response.body.len() as u64, total);
}

#[test]
fn a_custom_behaviour_sees_the_request() {
    let recorder = Recorder::with(Behaviour::custom(|request| {
        Response::ok(request.target()).to_bytes(request.method())
    }));
    assert_eq!(http1::get(recorder.address(), "/echo").unwrap().text(), "/echo");
    recorder
        .set(Behaviour::steps(|_| vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::Close]));
    assert!(http1::get(recorder.address(), "/").is_err());
}

#[test]
fn a_recorder_can_come_back_where_it_was() {
    let first = Recorder::start();
    let address = first.address();
    let mut client = Client::connect(address).unwrap();
    client.exchange(GET).unwrap();
    drop(first);
    assert!(client.exchange(GET).is_err());
    assert_eq!(Client::connect(address).err().unwrap().kind(), ErrorKind::ConnectionRefused);
    let again = Recorder::builder().address(address).start();
    assert_eq!(http1::get(address, "/").unwrap().status, 200);
    assert_eq!(again.counts().connections, 1);
}

#[test]
fn load_is_counted_without_being_kept() {
    let recorder = Recorder::builder().record(false).start();
    let report = Load::builder(recorder.address()).threads(8).total(5_000).run();
    report.assert_all_ok();
    assert_eq!(report.total(), 5_000);
    assert!(report.quantile(0.5) <= report.quantile(1.0));
    recorder.wait_count(5_000, LIMIT);
    assert_eq!(recorder.counts().connections, 8);
    assert!(recorder.requests().is_empty());

    let load = Load::builder(recorder.address()).requests_per_connection(10).start();
    wait::holds(LIMIT, "a hundred requests", || load.done() >= 100);
    let report = load.stop();
    assert_eq!(report.count(200), report.total());
    assert!(recorder.counts().connections >= 8 + 10);
}

#[test]
fn load_reports_what_failed() {
    let recorder = Recorder::with(Behaviour::custom(|request| {
        let status = if request.target().ends_with(b"3") { 503 } else { 200 };
        Response::new(status).to_bytes(request.method())
    }));
    let report = Load::builder(recorder.address()).total(10).run();
    assert_eq!((report.count(200), report.count(503)), (9, 1));
    assert_eq!(report.failures()[0].number, 3);
    recorder.set(Behaviour::reset());
    let report = Load::builder(recorder.address()).total(4).run();
    assert!(report.failures().iter().all(|sample| sample.outcome.is_err()), "{report:?}");
}

#[test]
fn http2_in_the_clear_is_recorded() {
    let recorder =
        backend_h2::Recorder::start(backend_h2::Behaviour::Respond(201, b"made".to_vec()));
    let client = h2::Client::connect(recorder.address()).unwrap();
    let request = h2::Request::new("PUT", "/p?q=1")
        .header("x-a", "1")
        .header("x-a", "2")
        .header("x-raw", b"\xff".to_vec())
        .body(vec![7; 200_000]);
    let response = client.exchange(&request).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (201, &b"made"[..]));
    let recorded = recorder.wait_for(1, LIMIT).remove(0);
    assert_eq!((recorded.method.as_str(), recorded.path.as_str()), ("PUT", "/p?q=1"));
    assert_eq!(recorded.scheme.as_deref(), Some("http"));
    assert_eq!(recorded.authority.as_deref(), Some("localhost"));
    let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    assert_eq!(
        recorded.headers,
        [header("x-a", b"1"), header("x-a", b"2"), header("x-raw", b"\xff")]
    );
    assert_eq!(recorded.body, vec![7; 200_000]);
    assert!(recorded.complete);

    let requests: Vec<_> = (0..50).map(|n| h2::Request::new("GET", &format!("/{n}"))).collect();
    let responses = client.exchange_all(&requests);
    assert!(responses.iter().all(|response| response.as_ref().unwrap().status == 201));
    assert_eq!(recorder.requests().len(), 51);
    assert_eq!(recorder.connections(), 1);
}

#[test]
fn http2_misbehaves_as_told() {
    use backend_h2::Behaviour;
    let recorder = backend_h2::Recorder::start(Behaviour::ResetStream(7));
    let client = h2::Client::connect(recorder.address()).unwrap();
    let get = h2::Request::new("GET", "/");
    let error = client.exchange(&get).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    recorder.set(Behaviour::GoAway);
    assert_eq!(client.exchange(&get).unwrap().status, 200);
    wait::holds(LIMIT, "the connection ends", || client.exchange(&get).is_err());
    recorder.set(Behaviour::Disconnect);
    let client = h2::Client::connect(recorder.address()).unwrap();
    assert!(client.exchange(&get).is_err());
    recorder.set(Behaviour::Delay(Duration::from_millis(50)));
    let client = h2::Client::connect(recorder.address()).unwrap();
    assert_eq!(client.exchange(&get).unwrap().status, 200);
}

#[test]
fn tls_recorders_are_believed_only_with_their_authority() {
    let authority = Authority::new();
    let identity = authority.identity(&["localhost", "127.0.0.1"]);
    let behaviour = backend_h2::Behaviour::Respond(200, Vec::new());
    let recorder = backend_h2::Recorder::start_tls(behaviour, &identity);
    let trusting = authority.client_config(&["h2"]);
    for name in ["localhost", "127.0.0.1"] {
        let client = h2::Client::connect_tls(recorder.address(), name, &trusting).unwrap();
        assert_eq!(client.exchange(&h2::Request::new("GET", "/")).unwrap().status, 200);
    }
    assert!(h2::Client::connect_tls(recorder.address(), "other.test", &trusting).is_err());
    let stranger = Authority::new().client_config(&["h2"]);
    assert!(h2::Client::connect_tls(recorder.address(), "localhost", &stranger).is_err());
    let expired = authority.expired_identity(&["localhost"]);
    let recorder = backend_h2::Recorder::start_tls(backend_h2::Behaviour::Mute, &expired);
    assert!(h2::Client::connect_tls(recorder.address(), "localhost", &trusting).is_err());
    wait::holds(LIMIT, "the handshake fails", || recorder.failed_handshakes() > 0);
}

#[test]
fn an_http1_recorder_speaks_tls() {
    let authority = Authority::new();
    let recorder = Recorder::builder().tls(&authority.identity(&["localhost"])).start();
    let response = tls_get(&recorder, &authority).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert_eq!(recorder.wait_for(1, LIMIT)[0].target(), b"/secret");
    assert!(tls_get(&recorder, &Authority::new()).is_err());
    wait::holds(LIMIT, "the handshake fails", || recorder.counts().broken == 1);
}

/// A GET over TLS, the response read to the end of the connection.
fn tls_get(recorder: &Recorder, authority: &Authority) -> std::io::Result<String> {
    use std::io::Write;
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let config = authority.client_config(&["http/1.1"]);
    let session = rustls::ClientConnection::new(config, name).unwrap();
    let socket = std::net::TcpStream::connect(recorder.address())?;
    let mut stream = rustls::StreamOwned::new(session, socket);
    stream.write_all(b"GET /secret HTTP/1.1\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}
