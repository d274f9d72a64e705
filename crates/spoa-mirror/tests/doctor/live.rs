//! The doctor asks a running HAProxy and a running agent.
