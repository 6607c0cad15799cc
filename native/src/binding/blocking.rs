use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::bindgen_prelude::{AsyncTask, Float32Array, ToNapiValue, TypeName};
use napi::{Env, Task};

use crate::ort::status::panic_text;
use crate::ort::{self, Error};
use crate::session::Destination;

type Work<T> = Box<dyn FnOnce() -> ort::Result<T> + Send>;

/// Work for a libuv thread. Errors and panics become a rejected promise.
pub struct Blocking<T> {
    work: Option<Work<T>>,
    /// Memory of JavaScript that the work writes to. Only JavaScript's thread may let go of it, so the work itself
    /// must not own it.
    _kept: Option<Float32Array>,
}

/// A promise of what `work` returns.
pub fn blocking<T>(work: impl FnOnce() -> ort::Result<T> + Send + 'static) -> AsyncTask<Blocking<T>>
where
    T: Send + ToNapiValue + TypeName + 'static,
{
    AsyncTask::new(Blocking { work: Some(Box::new(work)), _kept: None })
}

/// The same for work that writes to `kept`, which stays alive until the promise is settled.
pub fn blocking_into(
    kept: Float32Array,
    work: impl FnOnce(Destination) -> ort::Result<()> + Send + 'static,
) -> AsyncTask<Blocking<()>> {
    let to = Destination { data: kept.as_ptr().cast_mut(), capacity: kept.len() };
    AsyncTask::new(Blocking { work: Some(Box::new(move || work(to))), _kept: Some(kept) })
}

impl<T: Send + ToNapiValue + TypeName + 'static> Task for Blocking<T> {
    type Output = T;
    type JsValue = T;

    fn compute(&mut self) -> napi::Result<T> {
        let work = self.work.take().expect("libuv runs work once");
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(Error(format!("panic: {}", panic_text(&*panic)))))
            .map_err(napi::Error::from)
    }

    fn resolve(&mut self, _: Env, output: T) -> napi::Result<T> {
        Ok(output)
    }
}

impl From<Error> for napi::Error {
    fn from(error: Error) -> Self {
        Self::from_reason(error.0)
    }
}
