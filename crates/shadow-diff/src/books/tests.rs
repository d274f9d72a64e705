use super::*;
use crate::endpoint::{EndpointLimits, Endpoints};

/// Endpoints `/a`, `/b` and so on.
fn endpoints<const COUNT: usize>() -> [EndpointId; COUNT] {
    let mut endpoints = Endpoints::new(EndpointLimits::default(), Vec::new()).unwrap();
    std::array::from_fn(|number| {
        let name = char::from(b'a' + u8::try_from(number).unwrap());
        endpoints.assign(b"GET", format!("/{name}").as_bytes()).endpoint
    })
}

fn at(path: &str) -> Difference {
    Difference {
        place: Place::Body(path.into()),
        kind: Kind::Value,
        production: None,
        shadow: None,
    }
}

fn observation(endpoint: EndpointId, differences: &[Difference], sample: u64) -> Observation<'_> {
    Observation {
        endpoint,
        differences,
        bodies: true,
        unlisted: false,
        production_status: 200,
        shadow_status: Some(200),
        production_time: Some(Duration::from_millis(5)),
        shadow_time: Some(Duration::from_millis(10)),
        sample: SampleId(sample),
    }
}

fn books(limits: BookLimits) -> Books {
    Books::new("run", limits, 1)
}

fn counts(book: &Book) -> Vec<(String, u64, u64)> {
    let row = |(site, place): (&Site, &PlaceBook)| {
        (site.to_string(), place.now.candidate, place.now.control)
    };
    book.places().map(row).collect()
}

#[test]
fn a_place_counts_once_for_each_pair() {
    let [a] = endpoints();
    let mut books = books(BookLimits::default());
    let twice = [at("$.price"), at("$.price"), at("$.name")];
    books.record(Series::Candidate, &observation(a, &twice, 1));
    books.record(Series::Candidate, &observation(a, &twice, 2));
    books.record(Series::Candidate, &observation(a, &[], 3));
    books.record(Series::Control, &observation(a, &twice[..1], 4));
    let book = books.endpoint(a).unwrap();
    let expected =
        [("body $.name (value)".to_owned(), 2, 0), ("body $.price (value)".to_owned(), 2, 1)];
    assert_eq!(counts(book), expected);
    assert_eq!(book.now.pairs, Both { candidate: 3, control: 1 });
    assert_eq!(book.now.different, Both { candidate: 2, control: 1 });
    assert_eq!(book.now.shadow.count(), 3);
    // The control's pair is no sample of a difference.
    assert_eq!(books.samples(), [SampleId(1), SampleId(2)]);
}

#[test]
fn places_in_bodies_are_shares_of_the_bodies_compared() {
    let [a] = endpoints();
    let mut books = books(BookLimits::default());
    let header = Difference { place: Place::Header("etag".into()), kind: Kind::Missing, ..at("") };
    let both = [at("$"), header];
    for number in 0..100 {
        let bodies = number < 40;
        let differences = if bodies { &both[..] } else { &both[1..] };
        let observation = Observation { bodies, ..observation(a, differences, number) };
        books.record(Series::Candidate, &observation);
    }
    let book = books.endpoint(a).unwrap();
    let shares: Vec<_> =
        book.places().map(|(site, place)| book.judged_shares(site, place).0).collect();
    let expected = [Share { differing: 100, pairs: 100 }, Share { differing: 40, pairs: 40 }];
    assert_eq!(shares, expected);
}

/// Sizes that differ are known of bodies that were not compared.
#[test]
fn a_difference_in_a_body_makes_it_one_that_was_compared() {
    let [a] = endpoints();
    let mut books = books(BookLimits::default());
    let length = [Difference { kind: Kind::Length, ..at("$") }];
    books.record(Series::Candidate, &Observation { bodies: false, ..observation(a, &length, 1) });
    assert_eq!(books.endpoint(a).unwrap().now.bodies.candidate, 1);
}

#[test]
fn differences_that_were_not_listed_are_counted_together() {
    let [a] = endpoints();
    let mut books = books(BookLimits::default());
    let (x, y) = ([at("$.x")], [at("$.y")]);
    for number in 0..10 {
        let observation = Observation { unlisted: true, ..observation(a, &x, number) };
        books.record(Series::Candidate, &observation);
        books.record(Series::Control, &observation);
    }
    // There is still room for others.
    books.record(Series::Candidate, &observation(a, &y, 10));
    let body = |name: &str| format!("body $.{name} (value)");
    let expected = [(body("x"), 10, 10), (body("y"), 1, 0), (Site::Unlisted.to_string(), 10, 10)];
    assert_eq!(counts(books.endpoint(a).unwrap()), expected);
}

#[test]
fn answers_that_never_came_are_errors_but_no_pairs() {
    let [a] = endpoints();
    let mut books = books(BookLimits::default());
    for (production, shadow) in [
        (200, Some(200)),
        (200, None),
        (200, Some(500)),
        (503, Some(200)),
        (500, None),
        (200, Some(404)),
    ] {
        let observation = Observation {
            production_status: production,
            shadow_status: shadow,
            ..observation(a, &[], 0)
        };
        books.record(Series::Candidate, &observation);
        // What the control answers is nobody's error.
        books.record(Series::Control, &observation);
    }
    let book = books.endpoint(a).unwrap();
    assert_eq!(book.now.errors, Errors { requests: 6, shadow: 2, production: 1, both: 1 });
    assert_eq!(book.now.pairs, Both { candidate: 4, control: 4 });
    let changes: Vec<_> = book.status_changes().collect();
    assert_eq!(changes, [(200, 404, 1), (200, 500, 1), (503, 200, 1)]);
}

#[test]
fn what_there_is_no_room_for_is_counted_together() {
    let [a, b] = endpoints();
    let limits = BookLimits { endpoint_places: 3, places: 5, samples: 2 };
    let mut books = books(limits);
    let differences: Vec<_> = (0..9).map(|number| at(&format!("$.f{number}"))).collect();
    for number in 0..10 {
        books.record(Series::Candidate, &observation(a, &differences, number));
        books.record(Series::Control, &observation(a, &differences[8..], number));
        books.record(Series::Candidate, &observation(b, &differences[..4], number));
    }
    let elsewhere = Site::Elsewhere.to_string();
    let body = |number: u32| format!("body $.f{number} (value)");
    let expected =
        [(body(0), 10, 0), (body(1), 10, 0), (body(2), 10, 0), (elsewhere.clone(), 10, 10)];
    assert_eq!(counts(books.endpoint(a).unwrap()), expected);
    // Of all five places one was left.
    assert_eq!(counts(books.endpoint(b).unwrap()), [(body(0), 10, 0), (elsewhere, 10, 0)]);
    let long = at(&"x".repeat(300));
    books.record(Series::Candidate, &observation(b, &[long], 11));
    assert_eq!(counts(books.endpoint(b).unwrap())[1].1, 11);
}

#[test]
fn looks_are_at_fixed_numbers_of_pairs() {
    let numbers: Vec<_> = (1..=12).map(requests_at).collect();
    assert_eq!(numbers, [100, 125, 160, 200, 250, 320, 400, 500, 630, 800, 1_000, 1_250]);
    assert_eq!(requests_at(21), 10_000);
    assert_eq!(requests_at(LOOKS), 1_000_000_000);

    let [a, b] = endpoints();
    let mut books = books(BookLimits::default());
    let differences = [at("$")];
    assert_eq!(books.next_look(), Some(100));
    for number in 0..124 {
        let endpoint = if number % 2 == 0 { a } else { b };
        books.record(Series::Candidate, &observation(endpoint, &differences, number));
        books.record(Series::Control, &observation(endpoint, &[], number));
    }
    assert_eq!((books.looks(), books.next_look(), books.requests()), (1, Some(125), 124));
    let book = books.endpoint(a).unwrap();
    assert_eq!(book.now.pairs.candidate, 62);
    assert_eq!(book.judged.pairs, Both { candidate: 50, control: 50 });
    assert_eq!(book.judged.shadow.count(), 50);
    assert_eq!(book.places().next().unwrap().1.judged.candidate, 50);

    books.reset("next");
    assert_eq!((books.run(), books.looks(), books.requests()), ("next", 0, 0));
    assert_eq!(books.endpoints().count(), 0);
}

#[test]
fn merged_books_are_those_of_one_endpoint() {
    let [a, b, c] = endpoints();
    let mut parts = books(BookLimits::default());
    let mut whole = books(BookLimits::default());
    for number in 0..300_u64 {
        let differences = [at("$.a"), at(if number % 3 == 0 { "$.b" } else { "$.c" })];
        let differences = &differences[..(number % 3) as usize];
        let series = if number % 4 == 0 { Series::Control } else { Series::Candidate };
        let status = if number % 7 == 0 { 500 } else { 200 };
        let of = |endpoint| Observation {
            shadow_status: Some(status),
            ..observation(endpoint, differences, number)
        };
        parts.record(series, &of(if number % 2 == 0 { a } else { b }));
        whole.record(series, &of(b));
    }
    parts.merge(Merge { from: a, into: b });
    // Nothing was counted for it.
    parts.merge(Merge { from: c, into: b });
    let (merged, expected) = (parts.endpoint(b).unwrap(), whole.endpoint(b).unwrap());
    assert!(parts.endpoint(a).is_none());
    assert_eq!(merged.now, expected.now);
    assert_eq!(merged.judged, expected.judged);
    assert_eq!(counts(merged), counts(expected));
    assert_eq!(parts.places, whole.places);
    let changes = |book: &Book| book.status_changes().collect::<Vec<_>>();
    assert_eq!(changes(merged), changes(expected));
    assert!(merged.places().all(|(_, place)| place.samples().len() == 5 && !place.partial));

    parts.merge(Merge { from: b, into: c });
    assert_eq!(counts(parts.endpoint(c).unwrap()), counts(expected));
}

#[test]
fn places_that_lost_counts_before_a_merge_are_not_judged() {
    let [a, b] = endpoints();
    let mut books = books(BookLimits { endpoint_places: 1, ..BookLimits::default() });
    let (x, y) = ([at("$.x")], [at("$.y")]);
    for number in 0..100 {
        // `$.y` is told apart at b, and counted elsewhere at a.
        books.record(Series::Candidate, &observation(a, &x, number));
        books.record(Series::Control, &observation(a, &y, number));
        books.record(Series::Candidate, &observation(b, &y, number));
    }
    books.merge(Merge { from: b, into: a });
    let book = books.endpoint(a).unwrap();
    let partial: Vec<_> =
        book.places().map(|(site, place)| (site.to_string(), place.partial)).collect();
    let expected = [
        ("body $.x (value)".to_owned(), false),
        ("body $.y (value)".to_owned(), true),
        (Site::Elsewhere.to_string(), false),
    ];
    assert_eq!(partial, expected);
    let confidence = crate::significance::Confidence::default();
    let judged = crate::significance::findings(&books, confidence);
    assert_eq!(judged.len(), 1);
    assert_eq!(judged[0].site.to_string(), "body $.x (value)");
}

/// Each of many samples is kept as often as any other.
#[test]
fn samples_are_fair() {
    let mut kept = [0_u32; 40];
    for seed in 0..4_000 {
        let [a, b] = endpoints();
        let mut books = Books::new("run", BookLimits::default(), seed * 7_919);
        let differences = [at("$")];
        for number in 0..40 {
            let endpoint = if number < 10 { a } else { b };
            let taken =
                books.record(Series::Candidate, &observation(endpoint, &differences, number));
            assert!(taken == books.samples().contains(&SampleId(number)));
        }
        books.merge(Merge { from: a, into: b });
        assert_eq!(books.samples().len(), 5);
        for sample in books.samples() {
            kept[usize::try_from(sample.0).unwrap()] += 1;
        }
    }
    // 500 each; the standard deviation is 21.
    assert!(kept.iter().all(|count| (380..620).contains(count)), "{kept:?}");
}

#[test]
fn books_can_be_written_down() {
    let [a, b] = endpoints();
    let mut books = books(BookLimits::default());
    let differences = [at("$.a"), Difference { place: Place::Status, ..at("") }];
    for number in 0..150 {
        let endpoint = if number % 2 == 0 { a } else { b };
        books.record(Series::Candidate, &observation(endpoint, &differences, number));
        books.record(Series::Control, &observation(endpoint, &differences[..1], number));
    }
    let text = serde_json::to_string(&books).unwrap();
    let mut read: Books = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    // And go on.
    for both in [&mut books, &mut read] {
        for number in 150..400 {
            both.record(Series::Candidate, &observation(a, &differences, number));
        }
        both.merge(Merge { from: a, into: b });
    }
    assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&books).unwrap());
}

/// What a program does when it ends and starts again: names and books are written down and read.
#[test]
fn counts_go_on_after_a_restart() {
    let patterns = || vec![crate::endpoint::Pattern::parse("/files/*").unwrap()];
    let mut before = Endpoints::new(EndpointLimits::default(), patterns()).unwrap();
    let mut books = books(BookLimits::default());
    let paths = ["/users/17/orders", "/users/me", "/files/a/b", "/x/0.json", "/health", "/a/%20b"];
    let differences = [at("$.a")];
    let record = |endpoints: &mut Endpoints, books: &mut Books, number: u64| {
        let path = paths[usize::try_from(number).unwrap() % paths.len()];
        let method: &[u8] = if number % 5 == 0 { b"PROPFIND" } else { b"GET" };
        let assigned = endpoints.assign(method, path.as_bytes());
        books.record(Series::Candidate, &observation(assigned.endpoint, &differences, number));
    };
    for number in 0..300 {
        record(&mut before, &mut books, number);
    }
    let names: Vec<_> = books
        .endpoints()
        .map(|(id, _)| {
            let name = before.name(id);
            (id, (name.method.to_owned(), name.path.into_owned()))
        })
        .collect();
    let text = serde_json::to_string(&(&names, &books)).unwrap();

    type Names = Vec<(EndpointId, (String, String))>;
    let (names, read): (Names, Books) = serde_json::from_str(&text).unwrap();
    let mut after = Endpoints::new(EndpointLimits::default(), patterns()).unwrap();
    // Ids are given in another order.
    let _ = after.assign(b"POST", b"/new");
    let new: BTreeMap<_, _> = names
        .iter()
        .rev()
        .map(|(id, (method, path))| (*id, after.restore(method, path).endpoint))
        .collect();
    let mut read = read.restored(BookLimits::default(), |id| after.current(new[&id]));
    for number in 300..600 {
        record(&mut before, &mut books, number);
        record(&mut after, &mut read, number);
    }
    let by_name = |endpoints: &Endpoints, books: &Books| -> BTreeMap<String, _> {
        let rows = books.endpoints();
        rows.map(|(id, book)| (endpoints.name(id).to_string(), (book.now.clone(), counts(book))))
            .collect()
    };
    assert_eq!(by_name(&after, &read), by_name(&before, &books));
    assert_eq!(by_name(&after, &read).len(), 12);
    assert_eq!(read.looks(), books.looks());
}
