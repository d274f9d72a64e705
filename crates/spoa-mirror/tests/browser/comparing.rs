//! From the verdict to a reason, its pairs, and what is done about it.

use std::fs;

use testbed::browser::{Browser, key};
use testbed::client::http1;
use testbed::wait;

use crate::overview::assert_at_peace;
use crate::shop::Shop;

/// Goes from the overview to the place of this name, by its link.
fn open_place(browser: &Browser, shop: &Shop, place: &str) {
    browser.go(&shop.url("/"));
    let links = "return [...document.querySelectorAll('.reasons a')]
        .find(a => a.textContent.includes(arguments[0])).click()";
    browser.run(links, &[place.into()]);
    browser.wait_text("h1", |text| text.contains(place));
}

#[test]
fn a_reason_leads_to_pairs_side_by_side_and_a_command() {
    let shop = Shop::usual();
    let browser = Browser::start();
    open_place(&browser, &shop, "$.items[].name");
    // Both answers, and what differs in them marked.
    let pair = browser.text("article.pair-of-answers");
    for part in ["/items/", "umbrella", "Umbrella"] {
        assert!(pair.contains(part), "{part}: {pair}");
    }
    let marked = "return [...document.querySelector('article.pair-of-answers')
        .querySelectorAll('tr.changed')].filter(row => row.querySelector('del') &&
            row.querySelector('ins')).map(row => row.textContent).join()";
    let marked = browser.run(marked, &[]);
    let marked = marked.as_str().unwrap();
    assert!(marked.contains("umbrella") && !marked.contains("items"), "{marked}");
    browser.click("details.request summary");
    let command = browser.wait_text("details.request pre", |text| !text.is_empty());
    assert!(command.starts_with("curl ") && command.contains("/items/"), "{command}");
    browser.click("details.request button[data-action=copy]");
    browser.wait_text("details.request button", |text| {
        text.starts_with("Copied") || text.starts_with("Selected")
    });
    // A pair has a page of its own.
    browser.click("article.pair-of-answers header a");
    wait::holds(wait::LIMIT, "the page of the pair", || browser.url().contains("/sample/"));
    assert!(browser.text("main").contains("Umbrella"));
    assert_at_peace(&browser, shop.admin);
}

#[test]
fn a_place_is_ignored_by_keyboard_and_is_gone() {
    let shop = Shop::usual();
    let browser = Browser::start();
    open_place(&browser, &shop, "$.items[].price");
    browser.tab_to("details.ignore summary");
    browser.keys([key::ENTER]);
    browser.tab_to("details.ignore input[type=radio]");
    browser.tab_to("details.ignore form button");
    browser.keys([key::ENTER]);
    wait::holds(wait::LIMIT, "back at the endpoint", || browser.url().contains("/endpoint?"));
    browser.wait_text("main", |text| !text.contains("$.items[].price"));
    let rules = shop.api("/api/v1/comparison/rules");
    assert_eq!(rules["rules"][0]["place"], "$.items[].price", "{rules}");
    let verdict = shop.api("/api/v1/verdict").to_string();
    assert!(
        !verdict.contains("$.items[].price") && verdict.contains("$.items[].name"),
        "{verdict}"
    );
    // What was ignored by mistake is not lost.
    browser.go(&shop.url("/runs"));
    browser.click("button[data-action=take-back]");
    wait::holds(wait::LIMIT, "no rule", || {
        shop.api("/api/v1/comparison/rules")["rules"].as_array().unwrap().is_empty()
    });
    assert_at_peace(&browser, shop.admin);
}

#[test]
fn a_run_is_begun_and_the_one_before_is_still_listed() {
    let shop = Shop::usual();
    let browser = Browser::start();
    browser.go(&shop.url("/runs"));
    browser.fill("form[data-action=begin] input[name=name]", "2.4.0-rc3");
    browser.keys([key::ENTER]);
    browser.wait_text("[role=alert]", |text| text.contains("2.4.0-rc3 has begun"));
    assert_eq!(shop.api("/api/v1/verdict")["targets"][0]["run"], "2.4.0-rc3");
    browser.wait_text("tbody", |text| text.contains("2.4.0-rc3"));
    assert_at_peace(&browser, shop.admin);
}

/// A report goes into a ticket: it needs nothing from the agent any more, and holds what the pages do.
#[test]
fn a_report_reads_without_the_agent() {
    let shop = Shop::usual();
    let report = http1::get(shop.admin, "/report?target=shadow").unwrap();
    assert_eq!(report.status, 200);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.html");
    fs::write(&file, &report.body).unwrap();
    drop(shop);
    let browser = Browser::start();
    browser.go(&format!("file://{}", file.display()));
    let text = browser.text("body");
    for part in ["2.4.0-rc2", "shadow", "GET /orders/{id}", "$.items[].price", "$.items[].name"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(browser.axe(), []);
    assert_eq!(browser.console(), [""; 0]);
    let requests = browser.requests();
    assert!(requests.iter().all(|url| url.starts_with("file://")), "{requests:?}");
}
