use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use napi::bindgen_prelude::{AsyncTask, Object, ToNapiValue, TypeName};
use napi::{Env, JsDeferred, Task};

use crate::ort::status::panic_text;
use crate::ort::{self, Error};

type Work<T> = Box<dyn FnOnce() -> ort::Result<T> + Send>;

/// Work for a libuv thread. Errors and panics become a rejected promise.
pub struct Blocking<T> {
    work: Option<Work<T>>,
}

/// A promise for the value that `work` returns.
pub fn blocking<T>(work: impl FnOnce() -> ort::Result<T> + Send + 'static) -> AsyncTask<Blocking<T>>
where
    T: Send + ToNapiValue + TypeName + 'static,
{
    AsyncTask::new(Blocking { work: Some(Box::new(work)) })
}

/// Runs `work`. A panic becomes an error, because it must not cross into JavaScript.
pub fn guarded<T>(work: impl FnOnce() -> ort::Result<T>) -> napi::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Error(format!("panic: {}", panic_text(&*panic)))))
        .map_err(napi::Error::from)
}

/// Runs `work` on its own thread with a stack of `stack` bytes, and returns a promise for `show` of its result. The
/// process does not wait for this thread at exit; for libuv's threads it does.
pub fn on_thread<T, U>(
    env: &Env,
    stack: usize,
    work: impl FnOnce() -> ort::Result<T> + Send + 'static,
    show: fn(Env, T) -> napi::Result<U>,
) -> napi::Result<Object<'_>>
where
    T: Send + 'static,
    U: ToNapiValue + 'static,
{
    type Resolve<U> = Box<dyn FnOnce(Env) -> napi::Result<U>>;
    let (deferred, promise): (JsDeferred<U, Resolve<U>>, _) = env.create_deferred()?;
    thread::Builder::new().stack_size(stack).spawn(move || match guarded(work) {
        Ok(value) => deferred.resolve(Box::new(move |env| show(env, value))),
        Err(error) => deferred.reject(error),
    })?;
    Ok(promise)
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
