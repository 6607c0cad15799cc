use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, Task};

use crate::ort::status::panic_text;
use crate::ort::{self, Error};

type Work<T> = Box<dyn FnOnce() -> ort::Result<T> + Send>;

/// Work for a libuv thread. Errors and panics become a rejected promise.
pub struct Blocking<T> {
    work: Option<Work<T>>,
}

/// A promise of what `work` returns.
pub fn blocking<T>(work: impl FnOnce() -> ort::Result<T> + Send + 'static) -> AsyncTask<Blocking<T>>
where
    T: Send + ToNapiValue + TypeName + 'static,
{
    AsyncTask::new(Blocking { work: Some(Box::new(work)) })
}

/// What `work` returns; a panic is an error too, since it must not cross over to JavaScript.
pub fn guarded<T>(work: impl FnOnce() -> ort::Result<T>) -> napi::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Error(format!("panic: {}", panic_text(&*panic)))))
        .map_err(napi::Error::from)
}

impl<T: Send + ToNapiValue + TypeName + 'static> Task for Blocking<T> {
    type Output = T;
    type JsValue = T;

    fn compute(&mut self) -> napi::Result<T> {
        guarded(self.work.take().expect("libuv runs work once"))
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
