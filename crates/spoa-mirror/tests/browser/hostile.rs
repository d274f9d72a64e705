//! What an attacker gets into responses, and so into pages, is shown and does nothing.

use serde_json::json;
use testbed::backend::Response;
use testbed::browser::Browser;

use crate::overview::assert_at_peace;
use crate::shop::{Shop, number};

/// Would leave a mark, were it executed.
const ATTACKS: [&str; 5] = [
    "<script>window.owned = 1</script>",
    "\"><img src=x onerror='window.owned = 2'>",
    "'-alert(1)-'</textarea></style></title><svg onload='window.owned = 3'>",
    "\u{0}\u{7}\u{8}\u{1b}[31m\u{202e}reversed\u{2066}",
    "{{7*7}}${7*7}<!--",
];

#[test]
fn responses_are_shown_and_not_obeyed() {
    let answer = |differs: bool| {
        let attacks: serde_json::Map<_, _> =
            ATTACKS.iter().map(|attack| ((*attack).to_owned(), json!([attack, differs]))).collect();
        let body = serde_json::Value::from(attacks).to_string();
        Response::ok(body).header("Content-Type", "application/json").header(
            "X-Attack",
            if differs {
                "<script>window.owned = 4</script>"
            } else {
                "\"><script>window.owned = 5"
            },
        )
    };
    let shop = Shop::judged(
        move |_| answer(false),
        move |request| answer(number(request) % 4 == 0),
        |count| {
            format!(
                "/%3Cscript%3Ewindow.owned=6%3C/script%3E/{count}?q=\"><script>owned=7</script>"
            )
        },
    );
    let browser = Browser::start();
    let owned = || browser.run("return window.owned ?? null", &[]);
    let mut shown = String::new();
    for page in crate::pages::reachable(&browser, &shop) {
        browser.go(&shop.url(&page));
        assert_eq!(owned(), serde_json::Value::Null, "{page}");
        assert_eq!(
            browser.count("main script, main img, main [onerror], main [onload]"),
            0,
            "{page}"
        );
        shown.push_str(&browser.text("main"));
    }
    assert_at_peace(&browser, shop.admin);
    for part in
        ["<script>window.owned = 1</script>", "onerror='window.owned = 2'", r"\u{202e}reversed"]
    {
        assert!(shown.contains(part), "{part} is to be read: {shown}");
    }
    // What would turn a text around is written out.
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{0}']), "{shown}");
}
