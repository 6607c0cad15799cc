//! The open sessions of all JavaScript threads. Any thread can interrupt them all. When a thread ends, its sessions
//! stop.

use std::sync::{Mutex, PoisonError, Weak};

use napi::Env;
use napi_derive::napi;

use crate::ort::Library;

pub trait Interrupt: Send + Sync {
    /// Ends the running call early and fails all later calls.
    fn interrupt(&self);
    /// Interrupts, waits for the running call, and frees what the session holds.
    fn stop(&self);
}

struct Live {
    env: usize,
    session: Weak<dyn Interrupt>,
}

static LIVE: Mutex<Vec<Live>> = Mutex::new(Vec::new());
/// JavaScript environments that have a cleanup hook.
static WATCHED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Stops `session` if the environment ends before the session is closed. `library` already watches the environment.
pub fn keep(env: &Env, session: Weak<dyn Interrupt>) {
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.retain(|other| other.session.strong_count() > 0);
    live.push(Live { env: env.raw() as usize, session });
}

/// Loads ONNX Runtime and keeps it while the environment lives.
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

/// Interrupts the running calls of all threads and fails all later calls, for a shutdown that is late.
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
        // SAFETY: every environment is watched before it receives the library, and this was the last one. This relies
        // on graphs (NativeGraph) being closed: unlike models, they are not kept here and stopped.
        unsafe { Library::release() }
    }
}
