//! What the program asks of the operating system besides sockets: its limit of file descriptors, a
//! life in the background, and a file with its process id.

pub mod daemon;
pub mod descriptors;
pub mod pidfile;
