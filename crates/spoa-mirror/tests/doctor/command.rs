//! The command: what it prints, its exit codes, the patch, the pages.
