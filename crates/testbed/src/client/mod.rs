//! Clients that send exactly what they are told: [`http1`], [`h2`], and a load generator, [`load`].

pub mod h2;
pub mod http1;
pub mod load;
