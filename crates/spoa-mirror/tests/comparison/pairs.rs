//! Every request pairs, in either form, with every HAProxy, with one agent and with three.

use testbed::backend::{Framing, Request, Response, h2};
use testbed::client::http1::Client;
use testbed::haproxy::Version;

use crate::running::on_each_haproxy;
use crate::scene::{Form, Scene, Setup, answering, assert_all};

on_each_haproxy!(one_message, two_messages, several_agents, to_a_target_with_http2);

fn one_message(version: Version) {
    identical_servers_are_the_same(version, Form::OneMessage);
}

fn two_messages(version: Version) {
    identical_servers_are_the_same(version, Form::TwoMessages);
}

/// Answers of every kind, decided by the path.
fn answer(request: &Request) -> Response {
    let text = String::from_utf8_lossy(request.target()).into_owned();
    let json = Response::ok(format!("{{\"path\": \"{text}\"}}"));
    let json = json.header("Content-Type", "application/json");
    match text.as_str() {
        "/empty" => Response::ok(""),
        "/none" => Response::new(204),
        "/unchanged" => Response::new(304).header("ETag", "\"a\""),
        "/lost" => Response::new(404).body("not here"),
        "/broken" => Response::new(500).body("not now"),
        "/chunked" => {
            let chunked = Framing::Chunked { piece: 7, trailers: String::new() };
            json.body("[1, 2, 3]").framing(chunked)
        }
        "/large" => Response::ok(vec![b'l'; 20_000]),
        "/early" => json.after(103, "link: </a.css>\r\n"),
        _ => json,
    }
}

/// Sends requests of every kind; gives their number.
fn traffic(scene: &Scene) -> usize {
    let paths = [
        "/a",
        "/b?c=d",
        "/empty",
        "/none",
        "/unchanged",
        "/lost",
        "/broken",
        "/chunked",
        "/large",
        "/early",
    ];
    let mut client = Client::connect(scene.address()).unwrap();
    let mut sent = 0;
    for path in paths {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
            client.exchange(request.as_bytes()).unwrap();
            sent += 1;
        }
    }
    for body in ["", "x", &"y".repeat(10_000)] {
        let length = body.len();
        let head = format!("POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.exchange(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        sent += 1;
    }
    let chunked = "POST /form HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\n\r\n";
    client.exchange(chunked.as_bytes()).unwrap();
    sent + 1
}

fn identical_servers_are_the_same(version: Version, form: Form) {
    let mut scene = Setup::new(version, form).waiting_for_json().start();
    scene.both(answering(answer));
    let sent = traffic(&scene);
    assert_all(&scene.wait_over(sent as u64), "same", sent);
    assert_all(&scene.finish(), "same", sent);
}

/// From 3.1 on HAProxy chooses an agent for each message.
fn several_agents(version: Version) {
    for form in Form::ALL {
        let setup = Setup::new(version, form).waiting_for_json().agents(3);
        let setup = match form {
            Form::OneMessage => setup,
            Form::TwoMessages if version.has_mode_spop() => setup.hashing(),
            // It cannot send both messages to the same agent.
            Form::TwoMessages => continue,
        };
        let mut scene = setup.start();
        scene.both(answering(answer));
        let sent = traffic(&scene);
        assert_all(&scene.wait_over(sent as u64), "same", sent);
        if version.has_mode_spop() {
            let used =
                scene.mirrors.iter().filter(|m| m.reports().pop().unwrap().spop.requests > 0);
            assert!(used.count() > 1, "one agent got everything");
        }
        assert_all(&scene.finish(), "same", sent);
    }
}

fn to_a_target_with_http2(version: Version) {
    for form in Form::ALL {
        let shadow = h2::Behaviour::Respond(200, b"the same".to_vec());
        let mut scene = Setup::new(version, form).h2(shadow).start();
        scene.production.set(answering(|_| Response::ok("the same")));
        for number in 0..10 {
            scene.get(&format!("/{number}"));
        }
        assert_all(&scene.wait_over(10), "same", 10);
        scene.production.set(answering(|_| Response::ok("another")));
        scene.get("/other");
        let compared = scene.finish();
        assert_eq!((compared["same"], compared["different"]), (10, 1), "{compared:?}");
    }
}
