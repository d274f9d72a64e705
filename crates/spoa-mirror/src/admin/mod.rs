//! The admin API: health, metrics, status, and changes while the agent runs. JSON over HTTP/1 on TCP,
//! TLS and unix sockets, served by the control plane's event loop; a worker never waits for it.
//!
//! The way of a request: `listen` accepts its connection, `server` bounds it, `guard` decides
//! whether it may, `api` answers it.

mod access;
mod address;
mod api;
mod bucket;
pub mod comparison;
mod config_view;
mod door;
mod error;
mod guard;
pub mod history;
mod listen;
pub mod metrics;
mod openapi;
mod patch;
mod server;
mod stream;
pub mod times;
mod tls;
pub mod view;

pub use access::check_access;
pub use address::AdminAddress;
pub(crate) use config_view::config as shown;
pub(crate) use error::ApiError;
pub use listen::{Listener, MAX_CONNECTIONS, bind};
pub use server::Server;
pub use tls::check_certificate;
