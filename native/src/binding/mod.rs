//! What JavaScript sees. A step of a model runs on the thread that asks for it, which has nothing else to do: to
//! wake another and be woken by it costs more than the call. Loading runs on libuv's threads.

mod blocking;
mod grammar;
mod graph;
mod live;
mod mixing;
mod model;
mod provider;
mod sampling;
