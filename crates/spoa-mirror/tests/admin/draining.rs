//! The API while the agent takes its leave.

use testbed::agent::Signal;
use testbed::wait;

use super::api::Agent;
use super::running::gate;

#[test]
fn a_draining_agent_says_so_and_ends_all_the_same() {
    let (shadow, gate) = gate::recorder();
    let mut agent = Agent::with(shadow, &["--grace", "1m"]);
    agent.mirror(1);
    agent.wait_counters(|counters| counters["in_flight"] == 1);
    assert_eq!(agent.ask("GET /readyz").status(), 200);
    agent.mirror.process.signal(Signal::SIGTERM);
    wait::holds(wait::LIMIT, "not ready", || agent.ask("GET /readyz").status() == 503);
    assert_eq!(agent.ask("GET /readyz").error(), "draining");
    // It still tells the truth, and lives.
    let status = agent.ask("GET /api/v1/status").json();
    assert_eq!(status["state"], "draining");
    assert_eq!(status["targets"][0]["counters"]["in_flight"], 1);
    assert_eq!(agent.ask("GET /metrics").status(), 200);
    assert_eq!(agent.ask("GET /healthz").status(), 200);
    gate.open();
    assert!(agent.mirror.process.wait_exit(wait::LIMIT).success());
    assert_eq!(agent.shadow.counts().complete, 1);
}
