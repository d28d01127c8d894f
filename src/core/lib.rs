//! aftercall-core: decides, and never touches the world.
//!
//! No clock, socket, spawn, environment or randomness: `now` and the seed are parameters, and every part
//! obeys the sans-IO contract of [`call::Call`]. `src/ARCHITECTURE.md` is the map.

pub mod attempt;
pub mod audit;
pub mod audit_chain;
pub mod call;
pub mod codec;
pub mod ear;
pub mod feed;
pub mod figures;
pub mod finding;
pub mod heard;
pub mod id;
pub mod import;
pub mod lang;
pub mod media_key;
pub mod patient;
pub mod phi;
pub mod phone;
pub mod pinyin;
pub mod plan;
pub mod question;
pub mod reading;
pub mod redflag;
pub mod review;
pub mod rota;
pub mod rtp;
pub mod script;
pub mod signature;
pub mod sim;
pub mod sip;
pub mod staff;
pub mod statistics;
pub mod time;
pub mod trend;
pub mod work_order;
