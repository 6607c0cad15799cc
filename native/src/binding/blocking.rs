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

/// A promise of what `show` makes of what `work` returns, which runs on a thread of its own with a stack of that many
/// bytes. The process does not wait for it to end, as it does for libuv's.
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
