//! `GET /api/v1/history`.

use serde_json::Value;

use crate::scene::Scene;

#[test]
fn any_time_may_be_asked_for_and_every_column_is_as_long_as_the_others() {
    let scene = Scene::new();
    for _ in 0..2 {
        let mut running = scene.start();
        running.mirror(&scene, 3);
        running.mirror.finish();
    }
    let running = scene.start();
    for query in [
        "",
        "?from=0",
        "?from=9999999999&points=2",
        "?from=2026-01-31T12:00:00Z",
        "?from=1970-01-01T00:00:00%2B01:00&points=2000",
        "?from=9999-12-31T23:59:59Z",
    ] {
        let answer = running.ask(&format!("/api/v1/history{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let view: Value = serde_json::from_str(&answer.text()).unwrap();
        let points = view["at"].as_array().unwrap().len();
        let long_ago =
            query.contains("from=2") || query.contains("from=1") || query.contains("999&");
        assert!(!long_ago && points <= 2 || (1..=2).contains(&points), "{query}: {view}");
        for column in ["covered", "received", "answered", "failed", "in_flight", "ack_p99_us"] {
            assert_eq!(view[column].as_array().unwrap().len(), points, "{query}: {column}");
        }
    }
    for query in ["?from=yesterday", "?from=", "?from=-5", "?points=1", "?points=2001", "?to=3"] {
        let answer = running.ask(&format!("/api/v1/history{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
}
