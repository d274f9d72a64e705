use testbed::haproxy::{Haproxy, Version};

use super::*;

/// A configuration with a line of a row's example in its place.
fn builder(row: &Keyword, version: Version) -> testbed::haproxy::Builder {
    let (global, line) = row.example.split_once('|').unwrap_or(("", row.example));
    let at = |place: bool| if place { line } else { "" };
    let is_agents = matches!(row.stands, Stands::Server)
        || matches!(row.words, ["balance", ..] | ["hash-preserve-affinity"]);
    let of_proxy = matches!(row.stands, Stands::Proxy | Stands::Statement | Stands::Fetch);
    let config = format!(
        "global\n    {}\n    {global}\n\
         defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n\
         frontend www\n    bind 127.0.0.1:{{port:http}}\n    filter spoe engine mirror config mirror.conf\n    {}\n    \
         default_backend app\n\
         backend app\n    server s 127.0.0.1:1\n\
         backend agents\n    mode tcp\n    balance hash src\n    {}\n    server a 127.0.0.1:2\n",
        at(row.stands == Stands::Global),
        at(of_proxy && !is_agents),
        at(is_agents),
    );
    let engine = format!(
        "[mirror]\nspoe-agent mirror\n    messages mirror\n    use-backend agents\n    timeout hello 1s\n    \
         timeout idle 1s\n    timeout processing 1s\n    {}\n\
         spoe-message mirror\n    args arg_method=method\n    event on-frontend-http-request\n",
        at(row.stands == Stands::Agent),
    );
    Haproxy::builder(version).config(config).file("mirror.conf", engine)
}

fn known(version: Version) -> Known {
    let (major, minor) = version.name().split_once('.').unwrap();
    let (major, minor) = (major.parse().unwrap(), minor.parse().unwrap());
    Known(Some(haproxy_config::Version { major, minor, patch: None }))
}

#[test]
fn haproxy_says_of_every_row_what_the_table_says() {
    let mut wrong = Vec::new();
    for row in KEYWORDS {
        assert!(!row.source.is_empty() && !row.instead.is_empty(), "{row:?}");
        for version in Version::ALL {
            let lost = row.is_lost_on(known(version));
            let answer = builder(row, version).check();
            let is_as_said = match (&answer, row.otherwise) {
                (Ok(_), Otherwise::Ignores(..)) => true,
                (Ok(said), Otherwise::Warns) => said.contains("deprecated") == lost,
                (Ok(_), Otherwise::Refuses) => !lost,
                (Err(said), Otherwise::Refuses) => {
                    let named = |word: &&str| said.contains(word.trim_end_matches(['.', '(', ')']));
                    lost && row.words.iter().any(named)
                }
                (Err(_), _) => false,
            };
            if !is_as_said {
                wrong.push(format!("{}: {} with {answer:?}", version.name(), row.example));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_version_that_is_not_known_loses_nothing() {
    assert!(KEYWORDS.iter().all(|row| !row.is_lost_on(Known(None))));
}
