//! The journal's promises, one file each, against the real disk and one that fails.

mod basics;
mod commit;
mod crash;
mod damage;
mod faults;
mod inspect;
mod limits;
mod readers;
mod support;
