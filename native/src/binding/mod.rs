//! The interface for JavaScript. A model step runs on the calling thread, which has nothing else to do: waking another
//! thread and being woken by it costs more than the call. Loading runs on libuv's threads.

mod blocking;
mod choices;
mod grammar;
mod graph;
mod live;
mod model;
mod provider;
mod sampling;
