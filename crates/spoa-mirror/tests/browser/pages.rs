//! Every page that a link leads to: without barriers, without complaints, on any screen, with and without
//! JavaScript.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use testbed::browser::Browser;

use crate::overview::assert_at_peace;
use crate::shop::Shop;

/// Pages that have the same path are made of the same template; so many of each are looked at.
const ALIKE: usize = 2;

/// The paths of all pages of the dashboard that can be reached by links from the overview.
pub(crate) fn reachable(browser: &Browser, shop: &Shop) -> Vec<String> {
    const LINKS: &str = "return [...document.querySelectorAll('a[href]')]
        .filter(a => a.origin === location.origin)
        .map(a => a.pathname + a.search)";
    let mut waiting = VecDeque::from(["/".to_owned()]);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut pages: Vec<String> = Vec::new();
    while let Some(page) = waiting.pop_front() {
        // Of `/sample/12` the number, of others what stands after `?`.
        let kind = page.split('?').next().unwrap().trim_end_matches(|c: char| c.is_ascii_digit());
        let alike = kinds.entry(kind.to_owned()).or_default();
        let served = ["/api/", "/metrics"].iter().any(|other| page.starts_with(other));
        if pages.contains(&page) || *alike == ALIKE || served {
            continue;
        }
        *alike += 1;
        browser.go(&shop.url(&page));
        assert!(!browser.text("main").contains("Status 404"), "a link leads to nothing: {page}");
        let links = browser.run(LINKS, &[]);
        let links = links.as_array().unwrap().iter().filter_map(Value::as_str);
        waiting.extend(links.map(str::to_owned));
        pages.push(page);
    }
    pages
}

#[test]
fn pages_are_without_barriers_on_any_screen() {
    let shop = Shop::usual();
    let browser = Browser::start();
    let pages = reachable(&browser, &shop);
    println!("{pages:#?}");
    for page in &pages {
        for (width, height, colours) in
            [(1280, 900, "light"), (1280, 900, "dark"), (360, 740, "light"), (360, 740, "dark")]
        {
            browser.window(width, height);
            browser.prefer_colours(colours);
            browser.go(&shop.url(page));
            let barriers = browser.axe();
            assert!(barriers.is_empty(), "{page}, {width} wide, {colours}: {barriers:#?}");
            assert!(!browser.scrolls_sideways(), "{page} is wider than {width}");
        }
        assert_at_peace(&browser, shop.admin);
    }
}

#[test]
fn pages_read_without_javascript() {
    let shop = Shop::usual();
    let browser = Browser::start();
    browser.allow_scripts(false);
    for page in reachable(&browser, &shop) {
        browser.go(&shop.url(&page));
        assert!(browser.count("main h1") == 1, "{page}: what it is about");
        // What does nothing without scripts is not shown.
        let buttons = "return [...document.querySelectorAll('main button')]
            .filter(button => !button.closest('form[action], form[method]'))
            .filter(button => button.checkVisibility()).map(button => button.outerHTML)";
        assert_eq!(browser.run(buttons, &[]), serde_json::json!([]), "{page}");
        assert_at_peace(&browser, shop.admin);
    }
    browser.go(&shop.url("/"));
    let overview = browser.text("main");
    for part in ["fail", "shadow", "2.4.0-rc2", "GET /orders/{id}", "body $.items[].price", "1,250"]
    {
        assert!(overview.contains(part), "{part}: {overview}");
    }
}
