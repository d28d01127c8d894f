//! The edges: store on both databases, HTTP, real UDP, real peers, real whisper.
