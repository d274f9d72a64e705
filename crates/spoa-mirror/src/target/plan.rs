//! From a target's configuration to what the workers need of it: files read, TLS set up, the name
//! looked up.

use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use xxhash_rust::xxh3::Xxh3;

use super::{Shared, client_config, resolve};
use crate::agent::TargetPlan;
use crate::config::{Config, TargetConfig, TlsConfig};

/// A new target's name gets this long to be resolved before requests may come for it.
const FIRST_LOOKUP: Duration = Duration::from_secs(2);

/// A target, ready for the workers.
#[derive(Clone)]
pub struct Planned {
    /// What the workers get.
    pub plan: TargetPlan,
    /// Stands for the contents of the target's TLS files.
    files: u64,
}

/// Plans the targets of `config`. Those in `known` that are configured alike, with the same files,
/// are taken over as they are.
///
/// # Errors
/// What cannot be used, and of which target.
pub async fn targets(config: &Config, known: &[Planned]) -> Result<Vec<Planned>, String> {
    let mut planned = Vec::new();
    let mut lookups = Vec::new();
    for target in &config.targets {
        let files = contents(&target.tls)?;
        let same = known.iter().find(|known| {
            let shared = &known.plan.shared;
            shared.config == *target && shared.marker == config.marker && known.files == files
        });
        if let Some(same) = same {
            planned.push(same.clone());
            continue;
        }
        let plan = plan(target, config)?;
        lookups.push(plan.addresses.clone());
        planned.push(Planned { plan, files });
    }
    let first_lookups = async {
        for mut addresses in lookups {
            let _ = addresses.wait_for(|known| !known.is_empty()).await;
        }
    };
    if tokio::time::timeout(FIRST_LOOKUP, first_lookups).await.is_err() {
        warn!("not every target's name could be resolved yet; it is tried again and again");
    }
    Ok(planned)
}

fn plan(target: &TargetConfig, config: &Config) -> Result<TargetPlan, String> {
    let tls = if target.url.https {
        let tls = client_config(target);
        Some(tls.map_err(|error| format!("target {}: {error}", target.name))?)
    } else {
        None
    };
    let (resolver, addresses) = resolve::resolver(&target.url.host, target.url.port);
    tokio::spawn(resolve::keep(resolver));
    let shared = Arc::new(Shared::new(target.clone(), config.marker.clone()));
    Ok(TargetPlan { shared, tls, addresses })
}

/// A hash of the files that TLS is set up from: a renewed certificate is a change.
fn contents(tls: &TlsConfig) -> Result<u64, String> {
    let client = tls.client.iter().flat_map(|files| [&files.certificate, &files.key]);
    let mut hash = Xxh3::new();
    for file in tls.ca.iter().chain(client) {
        let bytes = std::fs::read(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        hash.write(&bytes);
    }
    Ok(hash.finish())
}
