//! Sessions that a thread of JavaScript has open, so that none is left running when that thread ends.

use std::sync::{Mutex, PoisonError, Weak};

use napi::Env;

/// Something that can be told to stop; returns once it has.
pub trait Stop: Send + Sync {
    fn stop(&self);
}

struct Live {
    env: usize,
    session: Weak<dyn Stop>,
}

static LIVE: Mutex<Vec<Live>> = Mutex::new(Vec::new());
/// JavaScript environments whose end is watched.
static WATCHED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Stops `session` when the environment ends before the session is closed.
pub fn keep(env: &Env, session: Weak<dyn Stop>) -> napi::Result<()> {
    let id = env.raw() as usize;
    {
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|other| other.session.strong_count() > 0);
        live.push(Live { env: id, session });
    }
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if !watched.contains(&id) {
        env.add_env_cleanup_hook(id, stop_all)?;
        watched.push(id);
    }
    Ok(())
}

fn stop_all(env: usize) {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner).retain(|watched| *watched != env);
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    let (ours, others) = live.drain(..).partition(|other| other.env == env);
    *live = others;
    drop(live);
    let ours: Vec<Live> = ours;
    ours.iter().filter_map(|live| live.session.upgrade()).for_each(|session| session.stop());
}
