//! Sessions that threads of JavaScript have open: any of them can interrupt all, and those of a thread that ends are
//! stopped.

use std::sync::{Mutex, PoisonError, Weak};

use napi::Env;
use napi_derive::napi;

use crate::ort::Library;

pub trait Interrupt: Send + Sync {
    /// Ends the call that runs early, and fails all later ones.
    fn interrupt(&self);
    /// Interrupts, waits for the call that runs, and frees what is held.
    fn stop(&self);
}

struct Live {
    env: usize,
    session: Weak<dyn Interrupt>,
}

static LIVE: Mutex<Vec<Live>> = Mutex::new(Vec::new());
/// JavaScript environments whose end is watched.
static WATCHED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Stops `session` when the environment ends before the session is closed. The environment is watched already.
pub fn keep(env: &Env, session: Weak<dyn Interrupt>) {
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.retain(|other| other.session.strong_count() > 0);
    live.push(Live { env: env.raw() as usize, session });
}

/// ONNX Runtime, for as long as the environment lives.
pub fn library(env: &Env, path: &str) -> napi::Result<Library> {
    watch(env)?;
    Ok(Library::load(path.as_ref())?)
}

fn watch(env: &Env) -> napi::Result<()> {
    let id = env.raw() as usize;
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if !watched.contains(&id) {
        env.add_env_cleanup_hook(id, stop_all)?;
        watched.push(id);
    }
    Ok(())
}

/// Interrupts the calls that run on any thread, and fails all later ones: for a shutdown that is late.
#[napi]
pub fn interrupt_sessions() {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.iter().filter_map(|live| live.session.upgrade()).for_each(|session| session.interrupt());
}

fn stop_all(env: usize) {
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    let (ours, others) = live.drain(..).partition(|other| other.env == env);
    *live = others;
    drop(live);
    let ours: Vec<Live> = ours;
    ours.iter().filter_map(|live| live.session.upgrade()).for_each(|session| session.stop());
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    watched.retain(|watched| *watched != env);
    if watched.is_empty() {
        // SAFETY: every environment is watched before it gets hold of the library, and this was the last.
        unsafe { Library::release() }
    }
}
