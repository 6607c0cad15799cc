//! Compares sampling.cu, on the host or on the GPU with `npm run test:cuda`, with the sampler of the host, bit for bit.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use std::ffi::CStr;

use crate::cuda::{Cuda, emulation::Emulation};
use crate::ops::Compute;
use crate::sampling::{Parameters, SamplingRequest};

/// Small, so that rows have several chunks and threads several tokens.
const SMALL: SamplingSizes = SamplingSizes { chunk: 96, chunk_threads: 64, row_threads: 64 };

fn is_on_gpu() -> bool {
    std::env::var_os("ALTUP_TEST_CUDA").is_some()
}

/// What each row asks for, with its logits at each step.
#[derive(Clone, Debug)]
struct Case {
    vocabulary: usize,
    requests: Vec<SamplingRequest>,
    /// Indexed by step and row.
    logits: Vec<Vec<Vec<f32>>>,
}

fn parameters(vocabulary: u32) -> impl Strategy<Value = Parameters> {
    let token = 0..vocabulary;
    let numbers = (
        select(vec![0.0, 0.2, 1.0, 1.0, 4.0]),
        select(vec![0.0, 0.0, 1.0, 2.0, 40.0, 100_000.0]),
        select(vec![1.0, 0.0, 0.4, 0.95, 0.999_999]),
        select(vec![0.0, 0.0, 0.01, 0.7, 1.0]),
        select(vec![1.0, 1.0, 1.3, 0.7]),
        select(vec![0.0, 0.0, 0.6, -1.5]),
        select(vec![0.0, 0.0, 0.3]),
    );
    let lists = (
        prop_oneof![
            Just(Vec::new()),
            prop::collection::btree_map(token.clone(), -8.0..8.0, 1..5)
                .prop_map(|own| own.into_iter().collect())
        ],
        prop::option::weighted(0.2, prop::collection::vec(token.clone(), 1..30)),
        prop::collection::vec(prop::collection::vec(token, 1..3), 0..3),
    );
    (numbers, lists, any::<(u32, u32)>()).prop_map(
        |((temperature, top_k, top_p, min_p, repetition, presence, frequency), lists, seed)| {
            let (logit_bias, allowed_tokens, bad_words) = lists;
            Parameters {
                repetition_penalty: repetition,
                presence_penalty: presence,
                frequency_penalty: frequency,
                top_n_sigma: 0.0,
                temperature,
                min_p,
                top_k,
                top_p,
                logit_bias,
                allowed_tokens,
                bad_words,
                grammar: None,
                seed,
            }
        },
    )
}

fn request(vocabulary: u32) -> impl Strategy<Value = SamplingRequest> {
    let tokens = || prop::collection::vec(0..vocabulary, 0..6);
    let logprobs = prop::option::of(0_u32..=ALTERNATIVES as u32);
    (parameters(vocabulary), tokens(), tokens(), 0_u32..3, logprobs).prop_map(
        |(parameters, prompt_tokens, end_tokens, min_tokens, logprobs)| SamplingRequest {
            parameters,
            prompt_tokens,
            end_tokens,
            min_tokens,
            logprobs,
        },
    )
}

/// Logits from few values, so that many are equal, or from many; sometimes one that is not finite.
fn logits(vocabulary: usize) -> impl Strategy<Value = Vec<f32>> {
    let bad = prop::option::weighted(0.05, (0..vocabulary, select(vec![f32::NAN, f32::INFINITY])));
    let steps = select(vec![1.0_f32, 4.0, 1000.0]);
    let numbers = prop::collection::vec(-20.0_f32..20.0, vocabulary);
    (numbers, steps, bad).prop_map(|(mut numbers, steps, bad)| {
        numbers.iter_mut().for_each(|number| *number = (*number * steps).round() / steps);
        if let Some((place, value)) = bad {
            numbers[place] = value;
        }
        numbers
    })
}

fn case() -> impl Strategy<Value = Case> {
    (select(vec![1_usize, 2, 5, 33, 96, 97, 400, 1500]), 1_usize..4).prop_flat_map(|(vocabulary, rows)| {
        let step = prop::collection::vec(logits(vocabulary), rows);
        (prop::collection::vec(request(vocabulary as u32), rows), prop::collection::vec(step, 1..4))
            .prop_map(move |(requests, logits)| Case { vocabulary, requests, logits })
    })
}

fn states(requests: &[SamplingRequest]) -> Vec<Mutex<SamplingState>> {
    requests.iter().map(|request| Mutex::new(SamplingState::new(request.clone(), None))).collect()
}

fn write<D: Device>(to: &mut DeviceLogits<D>, rows: &[Vec<f32>]) {
    let all = rows.concat();
    let memory = to.room_for(rows.len()).unwrap();
    // SAFETY: there is room for all rows.
    unsafe { memory.upload(bytes_of(&all).as_ptr(), memory.at(0), size_of_val(&all[..])).unwrap() };
}

/// Runs all steps; a row that failed goes on.
fn check<D: Device>(place: Place, sizes: SamplingSizes, case: &Case) {
    let mut device = DeviceLogits::<D>::new(place, case.vocabulary, sizes).unwrap();
    let (own, expected) = (states(&case.requests), states(&case.requests));
    let mut host = Sampler::default();
    for logits in &case.logits {
        write(&mut device, logits);
        let wanted: Vec<Wanted> = own.iter().map(Some).enumerate().collect();
        let choices = device.sample(&wanted, Instant::now()).unwrap();
        for ((choice, logits), state) in choices.into_iter().zip(logits).zip(&expected) {
            let same = host.sample(logits, &mut state.lock().unwrap(), Instant::now());
            // A NaN is not equal to itself.
            assert_eq!(format!("{:?}", choice.unwrap()), format!("{same:?}"));
        }
    }
}

fn agrees(sizes: SamplingSizes, case: &Case) {
    if is_on_gpu() {
        check::<Cuda>(Place::Cuda, SAMPLING_SIZES, case);
    } else {
        check::<Emulation>(Place::Host, sizes, case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chooses_what_the_host_chooses(case in case()) {
        agrees(SMALL, &case);
    }
}

fn plain(temperature: f64) -> Parameters {
    Parameters { repetition_penalty: 1.0, temperature, top_p: 1.0, ..Parameters::default() }
}

fn asks(parameters: Parameters, logprobs: Option<u32>) -> SamplingRequest {
    SamplingRequest { parameters, prompt_tokens: Vec::new(), end_tokens: Vec::new(), min_tokens: 0, logprobs }
}

/// Logits like a model's: few high ones, most of them low.
fn like_a_model(vocabulary: usize, seed: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 2_654_435_761 + seed * 40_503) % 1_000_003) as f32 / 1_000_003.0;
    (0..vocabulary).map(|i| 12.0 * number(i) - 4.0 + if i % 997 == seed { 6.0 } else { 0.0 }).collect()
}

#[test]
fn chooses_from_a_whole_vocabulary_with_the_threads_of_a_device() {
    let vocabulary = 32_128;
    let requests = [
        asks(plain(0.0), None),
        asks(Parameters { top_k: 64.0, top_p: 0.95, ..plain(1.0) }, Some(20)),
        asks(Parameters { top_p: 0.5, frequency_penalty: 0.5, seed: (7, 0), ..plain(0.7) }, Some(3)),
    ];
    let logits = (0..2).map(|step| (0..3).map(|row| like_a_model(vocabulary, 3 * step + row)).collect());
    let case = Case { vocabulary, requests: requests.into(), logits: logits.collect() };
    agrees(SAMPLING_SIZES, &case);
}

#[test]
fn leaves_what_it_cannot_do_to_the_host() {
    let parameters = Parameters { top_n_sigma: 1.0, ..plain(1.0) };
    let requests = vec![asks(parameters, None), asks(plain(1.0), Some(30)), asks(plain(0.5), None)];
    let logits = vec![(0..3).map(|row| like_a_model(500, row)).collect()];
    agrees(SMALL, &Case { vocabulary: 500, requests, logits });
}

#[test]
fn a_mask_allows_what_its_bits_say() {
    let vocabulary = 500_usize;
    let allowed: Vec<u32> = (0..vocabulary as u32).filter(|token| token % 7 == 3).collect();
    let mut mask = vec![0_u32; vocabulary.div_ceil(32)];
    allowed.iter().for_each(|token| mask[*token as usize / 32] |= 1 << (token % 32));
    for temperature in [0.0, 1.0] {
        let logits = like_a_model(vocabulary, 5);
        let request = asks(Parameters { allowed_tokens: Some(allowed.clone()), ..plain(temperature) }, None);
        let mut state = SamplingState::new(request, None);
        let mut device = DeviceLogits::<Emulation>::new(Place::Host, vocabulary, SMALL).unwrap();
        write(&mut device, std::slice::from_ref(&logits));
        let row = device.row(&state, (device.row_of_logits(0).expose_provenance(), 0, 0));
        let mut inputs = Inputs::default();
        inputs.add(row, &[], Some(&mask), vocabulary);
        let choice = device.choose(&inputs).unwrap()[0].token;
        let expected = Sampler::default().sample(&logits, &mut state, Instant::now()).unwrap();
        assert_eq!(choice, expected.token);
    }
}

#[test]
fn rows_nobody_wants_are_left_out() {
    let mut device = DeviceLogits::<Emulation>::new(Place::Host, 40, SMALL).unwrap();
    write(&mut device, &[vec![0.0; 40], like_a_model(40, 1)]);
    let state = states(&[asks(plain(0.0), None)]);
    let choices = device.sample(&[(0, None), (1, Some(&state[0]))], Instant::now()).unwrap();
    assert!(choices[0].is_none());
    assert!(choices[1].as_ref().is_some_and(std::result::Result::is_ok));
}

/// A device on which no kernel starts.
struct Broken;

impl Device for Broken {
    const PROVIDER: Option<&'static CStr> = None;
    type Program = ();

    fn program(_: Source) -> std::result::Result<&'static (), String> {
        Ok(&())
    }

    fn stream(_: &Compute) -> Result<*mut c_void> {
        Ok(ptr::null_mut())
    }

    unsafe fn launch(_: &(), _: Launch, _: *mut c_void, _: *const c_void) -> std::result::Result<(), String> {
        Err("broken".into())
    }
}

#[test]
fn no_row_advances_when_the_device_fails() {
    let mut device = DeviceLogits::<Broken>::new(Place::Host, 40, SMALL).unwrap();
    write(&mut device, &[like_a_model(40, 0), like_a_model(40, 1)]);
    let on_host = asks(Parameters { top_n_sigma: 1.0, ..plain(1.0) }, None);
    let own = states(&[on_host, asks(plain(0.0), None)]);
    let wanted: Vec<Wanted> = own.iter().map(Some).enumerate().collect();
    assert!(device.sample(&wanted, Instant::now()).is_err_and(|error| error.0.contains("broken")));
    assert!(own.iter().all(|state| state.lock().unwrap().position() == 0));
}
