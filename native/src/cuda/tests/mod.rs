mod model;
mod nvrtc;
mod operators;
