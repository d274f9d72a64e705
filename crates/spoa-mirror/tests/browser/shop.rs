//! A shop whose next version is under test: real HAProxy, production, a shadow with planted differences.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testbed::backend::{Request, Response};
use testbed::client::http1;
use testbed::client::load::Load;
use testbed::haproxy::Version;
use testbed::{ports, wait};

use crate::scene::{Form, Scene, Setup, answering};

/// A look is taken at so many.
const REQUESTS: u64 = 1250;

pub(crate) struct Shop {
    pub(crate) scene: Scene,
    pub(crate) admin: SocketAddr,
}

impl Shop {
    /// Production answers with `of`, the shadow with `differently`, and enough was compared for a verdict.
    pub(crate) fn judged(
        of: impl Fn(&Request) -> Response + Send + Sync + 'static,
        differently: impl Fn(&Request) -> Response + Send + Sync + 'static,
        path: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Self {
        let admin = ports::free_addr();
        let toml = format!(
            "compare = true\n[comparison]\nrun = \"2.4.0-rc2\"\n\
             [admin]\nlisten = \"{admin}\"\nrate = \"1000/s\"\n"
        );
        let scene = Setup::new(Version::V3_4, Form::OneMessage).toml(&toml).start();
        scene.production.set(answering(of));
        scene.shadow.set(answering(differently));
        let shop = Self { scene, admin };
        let load =
            Load::builder(shop.scene.address()).threads(4).total(REQUESTS).request(move |count| {
                format!("GET {} HTTP/1.1\r\nhost: shop\r\n\r\n", path(count)).into_bytes()
            });
        load.run();
        wait::holds(wait::LIMIT, "the verdict", || {
            shop.api("/api/v1/verdict")["targets"][0]["requests"] == REQUESTS
        });
        shop
    }

    /// A price and a name are wrong in some answers, and some orders fail.
    pub(crate) fn usual() -> Self {
        Self::judged(
            |request| item(number(request), "umbrella"),
            |request| match number(request) {
                number if request.target().starts_with(b"/orders") && number % 10 == 0 => {
                    Response::new(500)
                }
                number if number % 20 == 0 => item(number + 1, "Umbrella"),
                number => item(number, "umbrella"),
            },
            |count| {
                let path = if count % 2 == 0 { "items" } else { "orders" };
                format!("/{path}/{}", count / 2)
            },
        )
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// What the API answers with.
    pub(crate) fn api(&self, path: &str) -> Value {
        let answer = http1::get(self.admin, path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// The number in the last segment of a request's path.
pub(crate) fn number(request: &Request) -> u64 {
    let target = String::from_utf8_lossy(request.target()).into_owned();
    target.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(0)
}

fn item(price: u64, name: &str) -> Response {
    let body = json!({ "items": [{ "name": name, "price": price }], "total": price }).to_string();
    Response::ok(body).header("Content-Type", "application/json")
}
