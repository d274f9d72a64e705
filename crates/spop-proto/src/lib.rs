//! SPOP.
