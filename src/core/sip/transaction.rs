//! Client transactions over UDP (RFC 3261 §17.1).
