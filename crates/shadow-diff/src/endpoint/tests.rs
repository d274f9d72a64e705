use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn endpoints(limits: EndpointLimits, patterns: &[&str]) -> Endpoints {
    let patterns = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    Endpoints::new(limits, patterns).unwrap()
}

/// Requests by endpoint, kept as a caller keeps its books: by id, merged when told to.
#[derive(Default)]
struct Counts(BTreeMap<EndpointId, u64>);

impl Counts {
    fn count(&mut self, endpoints: &mut Endpoints, method: &str, path: &str) -> EndpointId {
        let assigned = endpoints.assign(method.as_bytes(), path.as_bytes());
        for merge in &assigned.merges {
            if let Some(count) = self.0.remove(&merge.from) {
                *self.0.entry(merge.into).or_default() += count;
            }
        }
        *self.0.entry(assigned.endpoint).or_default() += 1;
        assigned.endpoint
    }

    fn by_name(&self, endpoints: &Endpoints) -> BTreeMap<String, u64> {
        let named = self.0.iter().map(|(id, count)| (endpoints.name(*id).to_string(), *count));
        let by_name: BTreeMap<_, _> = named.collect();
        assert_eq!(by_name.len(), self.0.len(), "two endpoints have one name");
        by_name
    }
}

fn named(endpoints: &mut Endpoints, method: &str, path: &str) -> String {
    let id = endpoints.assign(method.as_bytes(), path.as_bytes()).endpoint;
    endpoints.name(id).to_string()
}

#[test]
fn ids_are_taken_out_at_once() {
    let mut endpoints = endpoints(EndpointLimits::default(), &[]);
    for (path, expected) in [
        ("/", "GET /"),
        ("", "GET /"),
        ("/users", "GET /users"),
        ("/users/", "GET /users/"),
        ("/users/17", "GET /users/{id}"),
        ("/users/18?expand=orders/5", "GET /users/{id}"),
        ("/%75sers/18#x", "GET /users/{id}"),
        ("/users/17/orders/2024-01-02", "GET /users/{id}/orders/{id}"),
        ("/files/17.json", "GET /files/{id}.json"),
        ("//a//b", "GET //a//b"),
        ("/{id}", "GET /%7Bid%7D"),
    ] {
        assert_eq!(named(&mut endpoints, "GET", path), expected);
    }
    assert_eq!(named(&mut endpoints, "OPTIONS", "*"), "OPTIONS *");
    let id = endpoints.assign(b"GET", b"/\xff/17").endpoint;
    assert_eq!(endpoints.name(id).to_string(), "GET /%FF/{id}");
}

#[test]
fn many_names_become_an_id_and_keep_their_counts() {
    let mut endpoints = endpoints(EndpointLimits::default(), &[]);
    let mut counts = Counts::default();
    for round in 0..1000 {
        let user = format!("/users/{}", word(round % 400));
        counts.count(&mut endpoints, "GET", &user);
        counts.count(&mut endpoints, "GET", &format!("{user}/orders"));
        counts.count(&mut endpoints, "POST", &format!("{user}/orders"));
        counts.count(&mut endpoints, "GET", "/users/me");
        counts.count(&mut endpoints, "GET", "/health");
    }
    let expected = [
        ("GET /health", 1000),
        ("GET /users/me", 1000),
        ("GET /users/{id}", 1000),
        ("GET /users/{id}/orders", 1000),
        ("POST /users/{id}/orders", 1000),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counts.by_name(&endpoints), BTreeMap::from(expected));
    assert_eq!(endpoints.len(), 5);
    assert_eq!(endpoints.overflow(), 0);
}

#[test]
fn names_in_use_survive_those_that_somebody_tries() {
    let mut endpoints = endpoints(EndpointLimits::default(), &[]);
    let mut counts = Counts::default();
    let pages: Vec<_> = (0..30).map(|page| format!("/{}", word(page))).collect();
    for round in 0..200 {
        for page in &pages {
            counts.count(&mut endpoints, "GET", page);
        }
        counts.count(&mut endpoints, "GET", &format!("/{}.php", word(1000 + round)));
    }
    let by_name = counts.by_name(&endpoints);
    for page in &pages {
        assert_eq!(by_name[&format!("GET {page}")], 200);
    }
    assert_eq!(by_name["GET /{id}"], 200);
}

#[test]
fn names_under_many_names_are_learned_together() {
    let mut endpoints = endpoints(EndpointLimits::default(), &[]);
    let mut counts = Counts::default();
    // Two positions with many names each: more combinations than there is room for endpoints.
    for round in 0..20_000 {
        let (shop, article) = (word(round * 7 % 311), word(1000 + round * 13 % 509));
        counts.count(&mut endpoints, "GET", &format!("/shops/{shop}/articles/{article}"));
    }
    let by_name = counts.by_name(&endpoints);
    let learned = by_name["GET /shops/{id}/articles/{id}"];
    assert_eq!(learned + by_name.get("GET (other)").unwrap_or(&0), 20_000);
    assert!(learned > 19_000, "{by_name:?}");
}

#[test]
fn patterns_go_before_what_is_learned() {
    let mut endpoints = endpoints(
        EndpointLimits { endpoints: 4, names: 4 },
        &["/v1/{kind}/17", "POST /v1/users/{id}", "/files/*"],
    );
    assert_eq!(named(&mut endpoints, "GET", "/v1/users/17"), "GET /v1/{kind}/17");
    assert_eq!(named(&mut endpoints, "POST", "/v1/users/18"), "POST /v1/users/{id}");
    assert_eq!(named(&mut endpoints, "GET", "/v1/users/18"), "GET /v1/users/{id}");
    for number in 0..100 {
        let _ = named(&mut endpoints, "GET", &format!("/{}/{}", word(number), word(number + 100)));
    }
    // They need no room.
    assert_eq!(named(&mut endpoints, "PUT", "/files/a/b"), "PUT /files/*");
}

#[test]
fn methods_are_bounded() {
    let mut endpoints = endpoints(EndpointLimits::default(), &[]);
    assert_eq!(named(&mut endpoints, "PROPFIND", "/a"), "PROPFIND /a");
    for number in 0..100 {
        let _ = named(&mut endpoints, &format!("M{number}"), "/a");
    }
    assert_eq!(named(&mut endpoints, "M99", "/a"), "(other) /a");
    assert_eq!(named(&mut endpoints, "\u{fc}", "/a"), "(other) /a");
    assert_eq!(named(&mut endpoints, "get", "/a"), "(other) /a");
    assert_eq!(endpoints.len(), 10 - 9 + OWN_METHODS);
}

#[test]
fn deep_paths_end_in_a_rest() {
    let mut endpoints = endpoints(EndpointLimits::default(), &[]);
    let path = "/a".repeat(3000);
    let expected = format!("GET {}/{{rest}}", "/a".repeat(16));
    assert_eq!(named(&mut endpoints, "GET", &path), expected);
    assert_eq!(named(&mut endpoints, "GET", &"/a".repeat(17)), expected);
    assert_eq!(named(&mut endpoints, "GET", &"/a".repeat(16)), format!("GET {}", "/a".repeat(16)));
}

/// A word of its own for each number, without digits.
fn word(number: u32) -> String {
    let letter = |place: u32| char::from(b'a' + u8::try_from(number / place % 20).unwrap());
    ['w', letter(8000), letter(400), letter(20), letter(1)].iter().collect()
}

fn paths() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    // Few and many names, ids, bytes of all kinds.
    let segment = prop_oneof![
        4 => (0_u32..6).prop_map(|number| word(number).into_bytes()),
        4 => (0_u32..300).prop_map(|number| word(number).into_bytes()),
        2 => any::<u32>().prop_map(|number| number.to_string().into_bytes()),
        1 => Just(b"%41%zz".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ];
    let path = proptest::collection::vec(segment, 1..5)
        .prop_map(|segments| segments.iter().flat_map(|s| [b"/", s.as_slice()].concat()).collect());
    proptest::collection::vec((0_u8..4, path), 1..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever comes: no request is lost by merging, names are unique, an id leads to the endpoint that
    /// its path has now, and the bounds hold.
    #[test]
    fn books_that_follow_the_merges_stay_right(
        paths in paths(),
        room in 1_usize..60,
        names in 2_usize..20,
    ) {
        let mut endpoints = endpoints(
            EndpointLimits { endpoints: room, names },
            &["/waaaa/{any}/waaab", "/waaac/*"],
        );
        let mut counts: BTreeMap<EndpointId, u64> = BTreeMap::new();
        let mut given = Vec::new();
        for (method, path) in &paths {
            let method = METHODS[usize::from(*method)].as_bytes();
            let assigned = endpoints.assign(method, path);
            for merge in &assigned.merges {
                prop_assert_eq!(endpoints.current(merge.from), endpoints.current(merge.into));
                let count = counts.remove(&merge.from).unwrap_or_default();
                *counts.entry(merge.into).or_default() += count;
            }
            *counts.entry(assigned.endpoint).or_default() += 1;
            given.push(assigned.endpoint);
            prop_assert!(endpoints.templates <= room);
        }
        prop_assert_eq!(counts.values().sum::<u64>(), paths.len() as u64);
        let mut own: BTreeMap<EndpointId, u64> = BTreeMap::new();
        for id in &given {
            *own.entry(endpoints.current(*id)).or_default() += 1;
        }
        prop_assert_eq!(&own, &counts);
        let mut known: Vec<_> = counts.keys().map(|id| endpoints.name(*id).to_string()).collect();
        let count = known.len();
        known.sort();
        known.dedup();
        prop_assert_eq!(known.len(), count);

        for ((method, path), id) in paths.iter().zip(&given) {
            let name = endpoints.name(*id);
            prop_assert_eq!(name.method, METHODS[usize::from(*method)]);
            prop_assert!(matches(&name.path, path), "{} is no {}", name, path.escape_ascii());
        }
    }

    /// What is settled stays: when nothing new comes, nothing changes any more.
    #[test]
    fn the_same_traffic_again_teaches_nothing(paths in paths(), names in 2_usize..20) {
        let mut endpoints = endpoints(EndpointLimits { endpoints: 10_000, names }, &[]);
        let assign = |endpoints: &mut Endpoints| -> Vec<_> {
            paths.iter().map(|(_, path)| endpoints.assign(b"GET", path).endpoint).collect()
        };
        let first = assign(&mut endpoints);
        let revision = endpoints.revision();
        let second = assign(&mut endpoints);
        prop_assert_eq!(endpoints.revision(), revision);
        let first: Vec<_> = first.into_iter().map(|id| endpoints.current(id)).collect();
        prop_assert_eq!(first, second);
    }
}

/// Whether `path` is one of the template's.
fn matches(template: &str, path: &[u8]) -> bool {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    let mut text = String::new();
    segment::normalise(&path[..end], &mut text);
    if template == OTHER_METHODS {
        return true;
    }
    if let Some(start) = template.strip_suffix('*') {
        return text.starts_with(start);
    }
    let (mut template, mut path) = (template.split('/'), text.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(expected), Some(segment)) => {
                let any = expected == "{id}" || expected == "{any}";
                if !any && segment::template(segment) != expected {
                    return false;
                }
            }
            _ => return false,
        }
    }
}
