//! What JavaScript sees. Everything that takes time runs on libuv's threads and comes back as a promise.

mod blocking;
mod graph;
mod live;
mod mixing;
mod model;
