//! What must hold of the repository's files themselves, whatever the program does.
//!
//! Owns: the rules of style that a machine can check, a file for each. Never: runs the program, or
//! reads anything but the repository's files. Invariant: an exception stands in a table beside its
//! rule with its reason, and one that nothing needs any more fails as well, so tables only shrink.

mod crates;
mod doors;
mod files;
mod graph;
mod modules;
mod outside;
mod places;
mod product;
mod rooms;
mod rust;
mod warnings;
mod width;
