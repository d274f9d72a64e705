//! The pages of a comparison, whose every text comes from a hostile client or server.

use super::html::{Element, Page};
use super::scene::{HOSTILE, RUN, Scene};

/// The address of the first link of which this is a part, as a browser follows it.
fn link(page: &Page, part: &str) -> String {
    let found = page.all("a").filter_map(|it| it.get("href")).find(|href| href.contains(part));
    found.unwrap_or_else(|| panic!("no link to {part}")).to_owned()
}

fn shown(page: &Page, text: &str) {
    let all = page.text().replace('\u{202f}', " ");
    assert!(all.contains(text), "{text} is not in {all}");
}

#[test]
fn a_reason_leads_to_the_pairs_that_show_it() {
    let scene = Scene::start("");
    let overview = scene.page("/");
    let verdict = overview.all("article").next().unwrap();
    assert!(verdict.text.contains("Fail") && verdict.text.contains(RUN), "{}", verdict.text);
    let price = overview.all("li").find(|it| it.text.contains("$.price")).unwrap();
    assert!(price.text.contains("GET /items"), "{}", price.text);

    let difference = scene.page(&link(&overview, "%24.price"));
    shown(&difference, "100 %");
    shown(&difference, "noise not measured");
    shown(&difference, "ignore = true");
    let [ours, theirs] = ["del", "ins"].map(|name| texts(&difference, name));
    assert!(ours.contains(&"1") && theirs.contains(&"2"), "{ours:?} {theirs:?}");

    let pair = scene.page(&link(&difference, "/sample/"));
    shown(&pair, HOSTILE);
    shown(&pair, "GET /items?q=");
    let command =
        pair.all("pre").find(|it| it.text.starts_with("curl") || it.text.contains("\ncurl"));
    assert!(command.unwrap().text.contains("x-from"), "{}", command.unwrap().text);
    // It leads back to its endpoint.
    let endpoint = scene.page(&link(&pair, "/endpoint?"));
    shown(&endpoint, "GET /items");
}

fn texts<'a>(page: &'a Page, name: &'a str) -> Vec<&'a str> {
    page.all(name).map(|it| it.text.as_str()).collect()
}

#[test]
fn endpoints_are_sorted_and_filtered_by_their_address() {
    let scene = Scene::start("");
    let names = |query: &str| -> Vec<String> {
        let page = scene.page(&format!("/endpoints{query}"));
        let rows = page.all("th").filter(|it| it.get("scope") == Some("row"));
        rows.map(|row| row.text.trim().to_owned()).collect()
    };
    let (items, same) = ("GET /items".to_owned(), "GET /same".to_owned());
    assert_eq!(names("?sort=different"), [items.clone(), same.clone()]);
    assert_eq!(names("?sort=-different"), [same.clone(), items.clone()]);
    assert_eq!(names("?sort=name"), [items.clone(), same.clone()]);
    assert_eq!(names("?sort=-name&target=staging"), [same.clone(), items.clone()]);
    assert_eq!(names("?q=SAM"), [same]);
    assert!(names("?q=%22%3E%3Cscript%3E").is_empty());
    for sort in ["requests", "reported", "status", "errors", "p50", "p95", "p99", "nonsense", ""] {
        assert_eq!(names(&format!("?sort={sort}")).len(), 2, "{sort}");
    }
    // What is looked for stays in its field, as text.
    let page = scene.page("/endpoints?q=%22%3E%3Cscript%3E&sort=-p99");
    let field = page.all("input").find(|it| it.get("type") == Some("search")).unwrap();
    assert_eq!(field.get("value"), Some("\"><script>"));
    let heads = page.all("th").filter(|it| it.get("aria-sort").is_some());
    let sorted: Vec<_> = heads.filter(|it| it.get("aria-sort") != Some("none")).collect();
    let [p99] = sorted[..] else { panic!("{sorted:?}") };
    assert_eq!((p99.text.as_str(), p99.get("aria-sort")), ("p99", Some("ascending")));
    let unknown = scene.ask("GET /endpoints?target=nobody", &[("accept", "text/html")], "");
    assert_eq!(unknown.status, 404);
    Page::of(&unknown);
}

#[test]
fn an_endpoint_tells_its_places_statuses_and_times_in_words_too() {
    let scene = Scene::start("");
    let page = scene.page("/endpoint?target=staging&name=GET%20/items");
    let rows: Vec<_> = page.all("tr").map(|it| it.text.as_str()).collect();
    let place = rows.iter().find(|it| it.contains("$.price")).unwrap();
    assert!(place.contains("value") && place.contains("100\u{202f}%"), "{place}");
    let header = rows.iter().find(|it| it.contains("header x-flavour")).unwrap();
    assert!(header.contains("extra"), "{header}");
    let drawing = page.all("svg").find(|it| it.get("class") == Some("distribution")).unwrap();
    assert_eq!(drawing.get("role"), Some("img"));
    assert!(drawing.get("aria-label").is_some());
    for quantile in ["p50", "p95", "p99"] {
        assert!(rows.iter().any(|it| it.starts_with(quantile)), "{quantile} is only drawn");
    }
    for wrong in ["GET%20/nowhere", "%3Cscript%3E", ""] {
        let path = format!("GET /endpoint?target=staging&name={wrong}");
        let answer = scene.ask(&path, &[("accept", "text/html")], "");
        assert_eq!(answer.status, 404, "{wrong}");
        Page::of(&answer);
    }
}

#[test]
fn what_is_ignored_is_gone_and_can_be_taken_back() {
    let scene = Scene::start("");
    let difference = scene.page(&link(&scene.page("/"), "%24.price"));
    let rule = difference.all("input").find(|it| it.get("name") == Some("rule")).unwrap();
    let (endpoint, place) = (rule.get("value").unwrap(), rule.get("data-place").unwrap());
    let body = serde_json::json!({ "endpoint": endpoint, "place": place, "ignore": true });
    let json = [("content-type", "application/json")];
    let made = scene.ask("POST /api/v1/comparison/rules", &json, &body.to_string());
    assert_eq!(made.status, 200, "{}", made.text());
    let runs = scene.page("/runs");
    let row = |page: &Page| page.all("tr").any(|it: &Element| it.text.contains("is not compared"));
    assert!(row(&runs), "{}", runs.text());
    shown(&runs, "forgotten when the agent ends");
    let gone = scene.page(&link_to_price());
    shown(&gone, "No pair of this run differs here");
    assert_eq!(scene.ask("DELETE /api/v1/comparison/rules/1", &[], "").status, 200);
    assert!(!row(&scene.page("/runs")));
}

fn link_to_price() -> String {
    "/difference?target=staging&endpoint=GET%20/items&place=body%20%24.price&kind=value".to_owned()
}

#[test]
fn a_new_run_begins_with_nothing() {
    let scene = Scene::start("");
    shown(&scene.page("/runs"), RUN);
    let json = [("content-type", "application/json")];
    let begun = scene.ask("POST /api/v1/comparison/runs", &json, r#"{"name": "<i>rc-2</i>"}"#);
    assert_eq!(begun.status, 200, "{}", begun.text());
    shown(&scene.page("/runs"), "<i>rc-2</i>");
    shown(&scene.page("/endpoints"), "No pair has been compared in this run yet.");
    shown(&scene.page("/"), "Not enough data");
}

#[test]
fn a_report_is_one_file_that_loads_nothing() {
    let scene = Scene::start("");
    let answer = scene.ask("GET /report?target=staging", &[("accept", "text/html")], "");
    assert_eq!(answer.status, 200);
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let report = Page::of_report(&answer);
    for text in ["Fail", RUN, "GET /items", "$.price", HOSTILE, "curl"] {
        shown(&report, text);
    }
    assert_eq!(report.all("script").count() + report.all("link").count(), 0);
    // The file itself says so, too, for where nobody serves it.
    let meta = report.all("meta").find(|it| it.get("http-equiv").is_some()).unwrap();
    assert!(policy.starts_with(meta.get("content").unwrap()), "{meta:?}");
    // Links stay within it.
    for address in report.all("a").filter_map(|it| it.get("href")) {
        let id = address.strip_prefix('#').unwrap();
        assert!(report.elements.iter().any(|it| it.get("id") == Some(id)), "{address}");
    }
}

#[test]
fn a_pair_that_is_not_kept_is_told_as_a_page() {
    let scene = Scene::start("");
    for path in ["/sample/99999999", "/sample/x", "/sample/-1", "/difference", "/report?target=x"] {
        let answer = scene.ask(&format!("GET {path}"), &[("accept", "text/html")], "");
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        Page::of(&answer);
    }
}
