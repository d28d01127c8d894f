//! Streams in virtual time: what a network and a sender can do, and what is heard of it.
