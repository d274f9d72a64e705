//! Learning endpoints from paths.

use shadow_diff::endpoint::{EndpointId, EndpointLimits, Endpoints, Pattern};

/// `data` as requests, one in each line: a method, a blank, a path. A line that begins with `!` is the
/// name of an endpoint that is restored. The first byte chooses the limits and whether there are patterns.
pub fn endpoint(data: &[u8]) {
    let [choice, requests @ ..] = data else { return };
    let limits = EndpointLimits {
        endpoints: [500, 20, 4, 0][usize::from(choice & 3)],
        names: [100, 8, 2, 0][usize::from(choice >> 2 & 3)],
    };
    let patterns = if choice & 0x10 == 0 { Vec::new() } else { patterns() };
    // One for each method, nine usual ones, eight more, and the others.
    let most = limits.endpoints + (patterns.len() + 1) * 18;
    let mut endpoints = Endpoints::new(limits, patterns).expect("patterns that can be used");
    let mut given: Vec<EndpointId> = Vec::new();
    for line in requests.split(|&byte| byte == b'\n') {
        let (quiet, line) = match line.strip_prefix(b"!") {
            Some(name) => (true, name),
            None => (false, line),
        };
        let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
        let (method, path) = (&line[..end], line.get(end + 1..).unwrap_or_default());
        let assigned = match (quiet, std::str::from_utf8(method), std::str::from_utf8(path)) {
            // Names of endpoints are without them.
            (true, Ok(method), Ok(path)) if !path.contains(char::is_control) => {
                endpoints.restore(method, path)
            }
            _ => endpoints.assign(method, path),
        };
        for merge in &assigned.merges {
            assert_ne!(merge.from, merge.into);
            assert_eq!(endpoints.current(merge.from), endpoints.current(merge.into));
            assert_ne!(endpoints.current(merge.from), merge.from, "it is still there");
        }
        assert_eq!(endpoints.current(assigned.endpoint), assigned.endpoint, "it is gone already");
        given.push(assigned.endpoint);
        assert!(endpoints.len() <= most, "{} endpoints", endpoints.len());
    }
    for id in given {
        let current = endpoints.current(id);
        assert_eq!(endpoints.current(current), current);
        assert_eq!(endpoints.name(id), endpoints.name(current));
        assert!(!endpoints.name(id).to_string().contains(char::is_control));
    }
}

fn patterns() -> Vec<Pattern> {
    let patterns = ["/users/{id}/orders/{order}", "DELETE /users/{id}", "/static/*", "/a/b"];
    patterns.map(|text| Pattern::parse(text).expect("a pattern")).into()
}
