//! With real HAProxy and targets that answer, fail and hang: the metrics say what the other ends saw.

use std::net::SocketAddr;

use spop_proto::{Flags, FrameType, Value, encode_frame};
use testbed::agent::Signal;
use testbed::backend::h2;
use testbed::backend::{Behaviour, Recorder, Response};
use testbed::client::http1;
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::spop_client::{Event, SpopClient};
use testbed::tls::Authority;
use testbed::{ports, wait};

use super::exposition::{Scrape, equal};
use super::running::gate;
use super::running::mirror::Mirror;
use super::running::on_each_haproxy;
use super::running::spop::Peer;
use super::running::stage::production;

on_each_haproxy!(the_figures_are_what_the_other_ends_saw);

/// Starts the program with its admin API and these further arguments.
pub(super) fn start(args: &[&str]) -> (Mirror, SocketAddr) {
    let admin = ports::free_addr();
    let admin_text = admin.to_string();
    let mirror = Mirror::start(&[&["-r", "0", "--admin", &admin_text], args].concat());
    wait::holds(wait::LIMIT, "the admin API to answer", || {
        http1::get(admin, "/metrics").is_ok_and(|response| response.status == 200)
    });
    (mirror, admin)
}

/// HAProxy with the guide's configuration in front of `production` and of the program.
pub(super) fn haproxy(version: Version, production: &Recorder, mirror: &Mirror) -> Haproxy {
    Guide::new(production.address()).agent(mirror.address).start(version)
}

fn the_figures_are_what_the_other_ends_saw(version: Version) {
    let production = production();
    let good = Recorder::with(Behaviour::respond(Response::ok("an answer")));
    let (slow, gate) = gate::recorder();
    let dead = ports::free_addr();
    let (good_url, slow_url, dead_url) = (good.url(), slow.url(), format!("http://{dead}"));
    let targets = ["-u", &good_url, "-u", &slow_url, "-u", &dead_url, "--timeout", "1m"];
    let (mirror, admin) = start(&targets);
    let haproxy = haproxy(version, &production, &mirror);
    let requests = 20;
    for number in 0..requests {
        let path = format!("/{number}");
        let answer = if number % 2 == 0 {
            http1::get(haproxy.address("http"), &path)
        } else {
            http1::post(haproxy.address("http"), &path, &[b'b'; 700])
        };
        assert_eq!(answer.unwrap().status, 200);
    }
    let name = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
    let (good_name, slow_name, dead_name) = (name(&good_url), name(&slow_url), name(&dead_url));
    let scrape = wait::until(wait::LIMIT, "the figures to settle", || {
        let scrape = Scrape::of(admin);
        scrape.assert_sound();
        let answered =
            scrape.sum("spoa_mirror_target_answered_total", &[&format!("target=\"{good_name}\"")]);
        let failed =
            scrape.sum("spoa_mirror_target_failed_total", &[&format!("target=\"{dead_name}\"")]);
        let held = scrape.get(&format!("spoa_mirror_target_in_flight{{target=\"{slow_name}\"}}"));
        let all = 20.0;
        let settled = equal(answered, all) && equal(failed, all) && equal(held, all);
        settled.then_some(scrape)
    });

    let spop = |rest: &str| scrape.count(&format!("spoa_mirror_spop_{rest}"));
    assert_eq!(spop("acks_total"), requests);
    assert_eq!(spop("messages_total{result=\"request\"}"), requests);
    assert_eq!(spop("messages_total{result=\"incomplete\"}"), 0);
    assert_eq!(spop("frames_total{type=\"notify\"}"), requests);
    assert_eq!(spop("frames_total{type=\"fragment\"}"), 0);
    assert_eq!(spop("ack_delay_seconds_count"), requests);
    assert!(scrape.get("spoa_mirror_spop_ack_delay_seconds_sum") > 0.0);
    assert!(spop("received_bytes_total") > requests * 350, "the bodies alone");
    assert!(spop("sent_bytes_total") >= requests * 11, "an ACK takes 11 bytes or more");
    assert!(equal(scrape.sum("spoa_mirror_spop_protocol_errors_total", &[]), 0.0));
    let engines = scrape.sum("spoa_mirror_spop_engine_connections", &["version=\"2.0\""]);
    assert!(engines <= scrape.get("spoa_mirror_spop_connections"), "{}", scrape.text);

    let target = |metric: &str, name: &str, labels: &str| {
        scrape.count(&format!("spoa_mirror_target_{metric}{{target=\"{name}\"{labels}}}"))
    };
    assert_eq!(target("answered_total", &good_name, ",class=\"2xx\""), requests);
    let seen = good.requests();
    let bytes: usize = seen.iter().map(|request| request.raw().len()).sum();
    assert_eq!(target("request_bytes_total", &good_name, ""), bytes as u64);
    assert_eq!(target("answer_body_bytes_total", &good_name, ""), requests * 9);
    assert_eq!(target("connections_opened_total", &good_name, ""), good.counts().connections);
    assert_eq!(target("connections", &good_name, ""), good.counts().open);
    for histogram in ["duration", "first_byte"] {
        assert_eq!(target(&format!("{histogram}_seconds_count"), &good_name, ""), requests);
        assert_eq!(target(&format!("{histogram}_seconds_count"), &slow_name, ""), 0);
    }
    let seconds = |metric: &str| {
        scrape.get(&format!("spoa_mirror_target_{metric}_seconds_sum{{target=\"{good_name}\"}}"))
    };
    assert!(0.0 < seconds("first_byte") && seconds("first_byte") <= seconds("duration"));

    assert_eq!(target("connections", &slow_name, ""), requests, "one for each copy");
    let refused = target("failed_total", &dead_name, ",cause=\"connect-refused\",fault=\"target\"");
    assert_eq!(refused, requests);
    assert_eq!(target("address_failures_total", &dead_name, ""), requests);
    assert_eq!(target("connections_opened_total", &dead_name, ""), 0);

    // What hung is answered: late, and as slow as it was.
    gate.open();
    let later = wait::until(wait::LIMIT, "the slow target's answers", || {
        let scrape = Scrape::of(admin);
        scrape.assert_sound();
        let flying = format!("spoa_mirror_target_in_flight{{target=\"{slow_name}\"}}");
        (scrape.count(&flying) == 0).then_some(scrape)
    });
    later.assert_grown_since(&scrape);
    let class =
        format!("spoa_mirror_target_answered_total{{target=\"{slow_name}\",class=\"2xx\"}}");
    assert_eq!(later.count(&class), requests);
    let count = format!("spoa_mirror_target_duration_seconds_count{{target=\"{slow_name}\"}}");
    assert_eq!(later.count(&count), requests);
}

#[test]
fn counters_only_grow_and_add_up_under_load() {
    let production = production();
    let (slow, gate) = gate::recorder();
    let fickle = Recorder::start();
    let (slow_url, fickle_url) = (slow.url(), fickle.url());
    let (mirror, admin) = start(&[
        "-u",
        &slow_url,
        "-u",
        &fickle_url,
        "-n",
        "2",
        "--max-in-flight",
        "5",
        "--max-queue",
        "20",
        "--timeout",
        "200ms",
    ]);
    let haproxy = haproxy(Version::V3_2, &production, &mirror);
    let load = Load::builder(haproxy.address("http")).threads(4).total(3000).start();
    let mut last = Scrape::of(admin);
    let mut scrapes = 0;
    while load.done() < 3000 {
        fickle.set(if scrapes % 2 == 0 {
            Behaviour::reset()
        } else {
            Behaviour::respond(Response::ok(""))
        });
        let scrape = Scrape::of(admin);
        scrape.assert_sound();
        scrape.assert_grown_since(&last);
        last = scrape;
        scrapes += 1;
    }
    load.join().assert_all_ok();
    gate.open();
    assert!(scrapes >= 3, "{scrapes} scrapes during the load");
    let name = slow_url.strip_prefix("http://").unwrap();
    let overload = wait::until(wait::LIMIT, "everything to come to its end", || {
        let scrape = Scrape::of(admin);
        scrape.assert_sound();
        scrape.assert_grown_since(&last);
        let open = scrape.sum("spoa_mirror_target_in_flight", &[])
            + scrape.sum("spoa_mirror_target_queue_copies", &[]);
        let labels = [format!("target=\"{name}\""), "class=\"overload\"".to_owned()];
        let labels = labels.each_ref().map(String::as_str);
        let dropped = scrape.sum("spoa_mirror_target_dropped_total", &labels);
        (equal(open, 0.0)).then_some(dropped)
    });
    assert!(overload > 0.0, "a target that hangs is overloaded");
    let received = Scrape::of(admin).sum("spoa_mirror_target_received_total", &[]);
    assert!(equal(received, 6000.0), "{received}");
}

#[test]
fn tls_handshakes_and_connections_are_counted_as_the_target_sees_them() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let ca = authority.write_pem(directory.path()).to_str().unwrap().to_owned();
    let answer = Behaviour::close_after_response(Response::ok("an answer"));
    let known = Recorder::builder().tls(&authority.identity(&["127.0.0.1"])).behaviour(answer);
    let known = known.start();
    let stranger = Recorder::builder().tls(&Authority::new().identity(&["127.0.0.1"])).start();
    let urls = [&known, &stranger].map(|target| format!("https://{}", target.address()));
    let (mirror, admin) =
        start(&["-u", &urls[0], "-u", &urls[1], "--mirror-ca", &ca, "--mirror-http", "1.1"]);
    let mut peer = Peer::greeted(mirror.address);
    let target = |metric: &str, which: usize, labels: &str| {
        let name = urls[which].strip_prefix("https://").unwrap();
        let series = format!("spoa_mirror_target_{metric}{{target=\"{name}\"{labels}}}");
        Scrape::of(admin).count(&series)
    };
    for number in 1..=5 {
        peer.mirror(number, "/");
        wait::holds(wait::LIMIT, "the connection to be closed", || {
            target("connections_closed_total", 0, "") == number
        });
    }
    let handshakes =
        |which, result| target("tls_handshakes_total", which, &format!(",result=\"{result}\""));
    assert_eq!(
        (handshakes(0, "full"), handshakes(0, "resumed"), handshakes(0, "failed")),
        (1, 4, 0)
    );
    assert_eq!(target("connections_opened_total", 0, ""), known.counts().connections);
    wait::holds(wait::LIMIT, "the failures", || handshakes(1, "failed") == 5);
    assert_eq!((handshakes(1, "full"), handshakes(1, "resumed")), (0, 0));
    assert_eq!(target("failed_total", 1, ",cause=\"tls\",fault=\"target\""), 5);
    assert_eq!(target("connections_opened_total", 1, ""), 0);
}

#[test]
fn an_http2_target_has_the_same_figures() {
    let server = h2::Recorder::start(h2::Behaviour::Respond(200, b"an answer".to_vec()));
    let url = format!("http://{}", server.address());
    let (mirror, admin) = start(&["-u", &url, "--mirror-http", "2"]);
    let mut peer = Peer::greeted(mirror.address);
    for number in 1..=7 {
        peer.mirror(number, "/");
    }
    let scrape = wait::until(wait::LIMIT, "the answers", || {
        let scrape = Scrape::of(admin);
        scrape.assert_sound();
        let answered = scrape.sum("spoa_mirror_target_answered_total", &["class=\"2xx\""]);
        equal(answered, 7.0).then_some(scrape)
    });
    let target = |metric: &str| scrape.sum(&format!("spoa_mirror_target_{metric}"), &[]);
    assert!(equal(target("duration_seconds_count"), 7.0));
    assert!(equal(target("first_byte_seconds_count"), 7.0));
    assert!(target("first_byte_seconds_sum") <= target("duration_seconds_sum"));
    assert!(equal(target("answer_body_bytes_total"), 7.0 * 9.0));
    assert!(target("request_bytes_total") > 7.0 * 16.0, "at least GET / HTTP/1.1");
    let connections = u32::try_from(server.connections()).unwrap();
    assert!(equal(target("connections_opened_total"), f64::from(connections)));
    assert!(equal(target("connections"), f64::from(connections)));
}

#[test]
fn counters_survive_reloads_and_those_are_counted() {
    let (kept, removed) = (Recorder::start(), Recorder::start());
    let admin = ports::free_addr();
    let target = |name: &str, recorder: &Recorder| {
        format!("[[target]]\nname = \"{name}\"\nurl = \"{}\"\n", recorder.url())
    };
    let head = format!("[admin]\nlisten = \"{admin}\"\n");
    let (one, other) = (target("kept", &kept), target("removed", &removed));
    let mut mirror = Mirror::configured(&format!("{head}{one}{other}"));
    let mut peer = Peer::greeted(mirror.address);
    for number in 1..=3 {
        peer.mirror(number, "/");
    }
    let settled = |scrape: &Scrape, requests: f64| {
        scrape.assert_sound();
        equal(scrape.sum("spoa_mirror_target_answered_total", &[]), requests)
    };
    let scrape_when = |what: &str, condition: &dyn Fn(&Scrape) -> bool| {
        wait::until(wait::LIMIT, what, || Some(Scrape::of(admin)).filter(condition))
    };
    let before = scrape_when("all answers", &|scrape| settled(scrape, 6.0));

    let reloads = "spoa_mirror_config_reloads_total";
    mirror.reconfigure(&format!("{head}{one}"));
    mirror.process.signal(Signal::SIGHUP);
    let done = format!("{reloads}{{result=\"done\"}}");
    scrape_when("the reload", &|scrape| scrape.count(&done) == 1);
    peer.mirror(4, "/");
    let after = scrape_when("one more answer", &|scrape| settled(scrape, 7.0));
    after.assert_grown_since(&before);
    assert_eq!(after.count("spoa_mirror_target_received_total{target=\"removed\"}"), 3);
    assert!(!after.samples.contains_key("spoa_mirror_target_paused{target=\"removed\"}"));
    assert_eq!(after.count("spoa_mirror_config_last_reload_successful"), 1);

    mirror.reconfigure(&format!("{head}{one}nonsense = 1\n"));
    mirror.process.signal(Signal::SIGHUP);
    let failed = format!("{reloads}{{result=\"failed\"}}");
    let after = scrape_when("the failed reload", &|scrape| scrape.count(&failed) == 1);
    assert_eq!(after.count("spoa_mirror_config_last_reload_successful"), 0);
}

#[test]
fn a_breaker_that_opens_is_seen() {
    let (dead, admin) = (ports::free_addr(), ports::free_addr());
    let mirror = Mirror::configured(&format!(
        "[admin]\nlisten = \"{admin}\"\n[[target]]\nname = \"dead\"\nurl = \"http://{dead}\"\n\
         breaker = {{ failures = 2, open = \"1h\" }}\n"
    ));
    let mut peer = Peer::greeted(mirror.address);
    let state = |scrape: &Scrape| {
        ["closed", "open", "half-open"].map(|state| {
            let series = format!("target=\"dead\",state=\"{state}\"");
            scrape.count(&format!("spoa_mirror_target_breaker_state{{{series}}}"))
        })
    };
    assert_eq!(state(&Scrape::of(admin)), [1, 0, 0]);
    let mut number = 0;
    let opened = wait::until(wait::LIMIT, "the breaker to open", || {
        number += 1;
        peer.mirror(number, "/");
        let scrape = Scrape::of(admin);
        scrape.assert_sound();
        (state(&scrape) == [0, 1, 0]).then_some(scrape)
    });
    assert_eq!(opened.count("spoa_mirror_target_breaker_opened_total{target=\"dead\"}"), 1);
    peer.mirror(number + 1, "/");
    let labels = ["reason=\"breaker-open\"", "class=\"overload\"", "fault=\"target\""];
    wait::holds(wait::LIMIT, "a drop because of it", || {
        Scrape::of(admin).sum("spoa_mirror_target_dropped_total", &labels) > 0.0
    });
}

#[test]
fn fragments_are_frames_and_acknowledged_once() {
    let (mirror, admin) = start(&[]);
    let mut client = SpopClient::connect(mirror.address).unwrap();
    let mut bytes = Vec::new();
    let mut fragment = |kind, flags, stream, payload: &[u8]| {
        encode_frame(kind, flags, stream, 1, &mut bytes, |output| {
            output.extend_from_slice(payload);
        });
    };
    // A NOTIFY without messages in three pieces, then one that HAProxy gives up.
    fragment(FrameType::Notify, Flags(0), 1, b"");
    fragment(FrameType::Unset, Flags(0), 1, b"");
    fragment(FrameType::Unset, Flags::FIN, 1, b"");
    fragment(FrameType::Notify, Flags(0), 2, b"");
    fragment(FrameType::Unset, Flags(3), 2, b"");
    client.send(&bytes).unwrap();
    assert!(matches!(client.event(), Ok(Event::Ack { stream_id: 1, frame_id: 1 })));
    wait::holds(wait::LIMIT, "the figures", || {
        let scrape = Scrape::of(admin);
        let spop = |rest: &str| scrape.count(&format!("spoa_mirror_spop_{rest}"));
        spop("aborted_total") == 1
            && spop("acks_total") == 1
            && spop("ack_delay_seconds_count") == 1
            && spop("frames_total{type=\"notify\"}") == 2
            && spop("frames_total{type=\"fragment\"}") == 3
    });
}

#[test]
fn a_malformed_frame_and_a_disconnect_are_counted_by_their_status() {
    let (mirror, admin) = start(&[]);
    Peer::connect(mirror.address).send(b"GET / HTTP/1.1\r\n\r\n");
    let mut polite = Peer::greeted(mirror.address);
    let mut bye = Vec::new();
    frame_with_disconnect(&mut bye);
    polite.send(&bye);
    wait::holds(wait::LIMIT, "both to be counted", || {
        let scrape = Scrape::of(admin);
        let error = scrape.count("spoa_mirror_spop_protocol_errors_total{code=\"3\"}");
        let disconnect = scrape.count("spoa_mirror_spop_disconnects_total{code=\"2\"}");
        error == 1
            && disconnect == 1
            && equal(scrape.sum("spoa_mirror_spop_protocol_errors_total", &[]), 1.0)
            && scrape.count("spoa_mirror_spop_frames_total{type=\"disconnect\"}") == 1
            && scrape.count("spoa_mirror_spop_frames_total{type=\"hello\"}") == 1
    });
    let engines = || Scrape::of(admin).sum("spoa_mirror_spop_engine_connections", &[]);
    let peer = Peer::greeted(mirror.address);
    wait::holds(wait::LIMIT, "its engine to be shown", || equal(engines(), 1.0));
    drop(peer);
    wait::holds(wait::LIMIT, "its engine to be gone", || equal(engines(), 0.0));
}

/// HAProxy's DISCONNECT with status 2, a timeout.
fn frame_with_disconnect(bytes: &mut Vec<u8>) {
    encode_frame(FrameType::HaproxyDisconnect, Flags::FIN, 0, 0, bytes, |output| {
        output.push(11);
        output.extend_from_slice(b"status-code");
        Value::Uint32(2).encode(output);
        output.push(7);
        output.extend_from_slice(b"message");
        Value::String(b"a timeout occurred").encode(output);
    });
}
