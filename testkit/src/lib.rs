//! What tests of several crates share: a private PostgreSQL cluster, free ports, child processes that end with the test.
