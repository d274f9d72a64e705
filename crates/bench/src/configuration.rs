//! Our agent's configuration file for a case.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::case::{Case, Load, Target};

/// Where the agent's admin API listens, in its directory.
pub(crate) const ADMIN: &str = "admin.sock";

/// What every target gets that has everything. Its limits are wide enough for every copy: what is measured is
/// what they cost. The slow target is slow from the start, so that the adaptive limit must allow for that.
const EVERYTHING: &str = "\
match = { methods = [\"GET\", \"POST\"], path = [\"/path*\", \"^/v[0-9]+/search$\"] }
except = { headers = { user-agent = \"*HealthCheck\" } }
sample = { percent = 100, by = \"cookie:session\", without-key = \"copy\" }
path = { add-prefix = \"/shadow\" }
query = { set = { env = \"bench\" } }
headers = { set = { x-env = \"bench\" }, remove = [\"x-internal\"] }
host = \"target\"
authorization = \"remove\"
redact = \"default\"
limit.rate = \"100000/s\"
limit.adaptive.min = 1500
breaker = { failures = 20, share = \"50%\" }
max-body = \"1MiB\"
";

/// The text of the file. Where no copy may be lost, two limits are wider than usual: the usual queue of 1000 holds
/// 30 ms of a closed loop, and on a full machine the system may let the target wait for longer; and 1000
/// connections to a slow target that has 1000 copies in flight leave no room for the least delay.
pub(crate) fn text(
    case: &Case,
    listen: SocketAddr,
    targets: &[String],
    ca: &Path,
    directory: &Path,
) -> String {
    let everything = case.target == Target::Everything;
    let mut text = format!("[agent]\nlisten = [\"{listen}\"]\n");
    if let Load::Spop { connections, .. } = case.load {
        let _ = writeln!(text, "max-connections = {}", connections + 10);
    }
    text += &format!(
        "[admin]\nlisten = [\"unix:{}\"]\nrate = \"10000/s\"\n[log]\n",
        directory.join(ADMIN).display()
    );
    text += &if everything {
        format!("copies = \"all\"\nfile = \"{}\"\n", directory.join("copies.log").display())
    } else {
        "copies = \"none\"\n".to_owned()
    };
    if case.target == Target::Compared {
        text += "[comparison]\nsample = 10\n";
    }
    for (number, url) in targets.iter().enumerate() {
        let _ = writeln!(text, "[[target]]\nname = \"t{number}\"\nurl = \"{url}\"");
        match case.target {
            Target::H2c => text += "http = \"2\"\n",
            Target::Tls => {
                let _ = writeln!(text, "http = \"1.1\"\ntls = {{ ca = \"{}\" }}", ca.display());
            }
            Target::Everything => text += EVERYTHING,
            Target::Compared => text += "compare = true\n",
            _ => {}
        }
        if case.lossless() {
            text += "limit.queue = 10000\n";
            if let Target::Slow | Target::Everything = case.target {
                text += "limit.in-flight = 2000\n";
            }
        }
        if case.sample < 100 {
            let _ = writeln!(text, "sample = {}", case.sample);
        }
    }
    text
}
