//! What the program asks of the operating system besides sockets: its limit of file descriptors, a
//! life in the background, a file with its process id, and what systemd offers.

pub mod daemon;
pub mod descriptors;
pub mod pidfile;
pub mod systemd;
