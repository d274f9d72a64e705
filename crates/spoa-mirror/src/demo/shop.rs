//! A little shop: what production runs as version 1, and as version 2 with or without changes for the worse.
//!
//! Its answers have the noise of real ones: no two are alike, of whatever version. What is by chance follows
//! from the request's id, so that each demonstration is the same.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::backend::{ID_HEADER, Received, read_request};
use super::planted::{Candidate, ERRORS, SLOWER, WRONG_PRICES};
use crate::date;

/// What a report takes in version 1: long enough for a busy machine not to blur what version 2 takes.
pub(super) const REPORT_TIME: Duration = Duration::from_millis(100);

/// The share of answers that recommend the second of two articles, in thousandths: two instances then differ
/// in a third of their answers.
const SECOND_CHOICE: u64 = 211;

/// One with which the planted shares are met before many requests were drawn.
const SEED: u64 = 3;

/// An instance of the shop.
#[derive(Clone, Copy)]
pub(super) struct Shop {
    /// Instances draw what is by chance apart from each other.
    pub(super) name: &'static str,
    /// Bad for what has all planted changes.
    pub(super) is: Candidate,
}

impl Shop {
    /// Opens it; gives its address.
    pub(super) async fn open(self) -> Result<SocketAddr, String> {
        let failed = |error| format!("cannot start the {} backend: {error}", self.name);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.serve(stream));
            }
        });
        Ok(address)
    }

    /// Serves one connection; whatever is wrong with it ends it.
    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut bytes).await {
            let answer = self.answer(&request);
            sleep(answer.takes).await;
            let text = answer.http(&self, &request);
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Received) -> Answer {
        let line = request.lines.first().map_or("", String::as_str);
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut path = path.split('/').skip(1);
        let (first, id) = (path.next().unwrap_or(""), path.next().unwrap_or(""));
        match (method, first) {
            ("GET", "products") => self.product(id, request),
            ("GET", "customers") => self.customer(id),
            ("GET", "search") => self.search(query, request),
            ("GET", "reports") => self.report(id),
            ("POST", "orders") => self.order(request),
            _ => Answer::new(404, json!({ "error": "not found" })),
        }
    }

    fn product(&self, id: &str, request: &Received) -> Answer {
        let mut cents = 495 + draw("", "price", id) % 10_000;
        if self.is == Candidate::Bad
            && draw("", "wrong price", id_of(request)) % 1000 < WRONG_PRICES
        {
            cents += 100;
        }
        let is_second = self.chance("recommended", request) < SECOND_CHOICE;
        let recommended = if is_second { "umbrella stand" } else { "rain coat" };
        Answer::new(
            200,
            json!({
                "id": number(id),
                "name": format!("Umbrella {id}"),
                "price": cents as f64 / 100.0,
                "recommended": recommended,
                "asOf": date::rfc3339(SystemTime::now()),
            }),
        )
    }

    fn customer(&self, id: &str) -> Answer {
        let mut customer = json!({
            "id": number(id),
            "name": format!("Customer {id}"),
            "tier": if draw("", "tier", id) % 5 == 0 { "gold" } else { "silver" },
            "visit": self.uuid("visit", id),
        });
        if let (Candidate::Bad, Some(members)) = (self.is, customer.as_object_mut()) {
            members.remove("tier");
        }
        Answer::new(200, customer)
    }

    fn search(&self, query: &str, request: &Received) -> Answer {
        if self.is == Candidate::Bad && draw("", "error", id_of(request)) % 1000 < ERRORS {
            return Answer::new(500, json!({ "error": "the index is gone" }));
        }
        let word = query.strip_prefix("q=").unwrap_or(query);
        let mut results: Vec<_> = (1..=4)
            .map(|number| json!({ "id": number, "name": format!("{word} {number}") }))
            .collect();
        let chance = self.chance("order", request);
        results.rotate_left((chance % 4) as usize);
        if chance % 8 > 3 {
            results.reverse();
        }
        Answer::new(200, json!({ "query": word, "results": results, "took": 1 + chance % 9 }))
    }

    fn report(&self, month: &str) -> Answer {
        let report = json!({
            "month": month,
            "orders": 1000 + draw("", "orders", month) % 1000,
            "made": date::rfc3339(SystemTime::now()),
        });
        let times = if self.is == Candidate::Bad { SLOWER } else { 1 };
        Answer { takes: REPORT_TIME * times, ..Answer::new(200, report) }
    }

    fn order(&self, request: &Received) -> Answer {
        let asked: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let order = json!({
            "order": self.uuid("order", id_of(request)),
            "article": asked["article"],
            "quantity": asked["quantity"],
            "placed": date::rfc3339(SystemTime::now()),
        });
        Answer::new(201, order)
    }

    /// A number below 1000 that this instance draws for this request.
    fn chance(&self, what: &str, request: &Received) -> u64 {
        draw(self.name, what, id_of(request)) % 1000
    }

    fn uuid(&self, what: &str, id: &str) -> String {
        let [high, low] =
            ["high", "low"].map(|half| draw(self.name, what, &format!("{half} {id}")));
        let hex = format!("{high:016x}{low:016x}");
        let part = |from, to| hex.get(from..to).unwrap_or_default();
        let (a, b, c, d, e) = (part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32));
        format!("{a}-{b}-4{c}-8{d}-{e}")
    }
}

struct Answer {
    status: u16,
    body: Value,
    takes: Duration,
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Self { status, body, takes: Duration::ZERO }
    }

    fn http(&self, shop: &Shop, request: &Received) -> String {
        let body = self.body.to_string();
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let hit = if shop.chance("cache", request) < 500 { "HIT" } else { "MISS" };
        for (name, value) in [
            ("date", &*http_date(SystemTime::now())),
            ("content-type", "application/json"),
            ("content-length", &body.len().to_string()),
            ("x-cache", hit),
            ("x-trace-id", &shop.uuid("trace", id_of(request))),
        ] {
            // Writing to a String does not fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text + "\r\n" + &body
    }
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("")
}

fn id_of(request: &Received) -> &str {
    request.header(ID_HEADER).unwrap_or("")
}

fn number(id: &str) -> u64 {
    id.parse().unwrap_or(0)
}

/// What seems to be by chance, and is the same each time: of a request's id, what is drawn, and who draws.
pub(super) fn draw(who: &str, what: &str, id: &str) -> u64 {
    xxh3_64_with_seed(format!("{who}/{what}/{id}").as_bytes(), SEED)
}

/// A time as HTTP writes it.
fn http_date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let weekday = DAYS.get((days % 7) as usize).unwrap_or(&"");
    let text = date::rfc3339(time);
    let part = |from, to| text.get(from..to).unwrap_or_default();
    let month =
        part(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    let (day, month, year) = (part(8, 10), month.unwrap_or(&""), part(0, 4));
    format!("{weekday}, {day} {month} {year} {} GMT", part(11, 19))
}

#[cfg(test)]
mod tests {
    use super::super::load::Request;
    use super::*;

    /// Which of the first requests to `path` have other answers from `one` than from `other`, as `part` has
    /// them, in thousandths.
    fn differing(one: Shop, other: Shop, path: &str, part: fn(&Answer) -> Value) -> usize {
        let requests =
            (0..4000).map(Request::number).filter(|request| request.target.starts_with(path));
        let (mut all, mut differing) = (0, 0);
        for request in requests {
            let received = Received::parse(request.http().as_bytes(), request.body.as_bytes());
            all += 1;
            differing +=
                usize::from(part(&one.answer(&received)) != part(&other.answer(&received)));
        }
        differing * 1000 / all
    }

    #[test]
    fn as_much_differs_as_is_said() {
        let price = |answer: &Answer| answer.body["price"].clone();
        let status = |answer: &Answer| answer.status.into();
        let recommended = |answer: &Answer| answer.body["recommended"].clone();
        let results = |answer: &Answer| answer.body["results"].clone();
        let production = Shop { name: "production", is: Candidate::Good };
        for (name, is) in [
            ("candidate", Candidate::Bad),
            ("candidate", Candidate::Good),
            ("baseline", Candidate::Good),
        ] {
            let of = |path, part| differing(production, Shop { name, is }, path, part);
            let planted = if is == Candidate::Bad { [20, 30] } else { [0, 0] };
            for (found, said) in [
                (of("/products/", price), planted[0]),
                (of("/search", status), planted[1]),
                (of("/products/", recommended), 333),
                (of("/search", results), 875),
            ] {
                assert!(found.abs_diff(said) <= said / 10, "{name} {is:?}: {found} for {said}");
            }
        }
    }

    #[test]
    fn dates_are_written_as_http_does() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 GMT"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
