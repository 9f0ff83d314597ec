//! How long each kernel runs on the device, by the device's own clock. Off unless asked for; then every dispatch writes a
//! time before and after itself, so it is for benchmarks: the kernels of a step no longer overlap.

use super::Gpu;
use crate::{Error, Result};
use std::{collections::BTreeMap, sync::Mutex, time::Duration};

/// Dispatches that can be timed between two readings; later ones are not.
const MOST_DISPATCHES: u32 = 2048;

/// What a kernel took since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KernelTime {
    pub dispatches: u32,
    pub total: Duration,
}

pub(super) struct Profiler {
    queries: wgpu::QuerySet,
    /// Whose dispatch each pair of queries is.
    names: Mutex<Vec<&'static str>>,
}

impl Profiler {
    /// `None` where the adapter takes no times inside a pass.
    pub fn new(device: &wgpu::Device) -> Option<Self> {
        let needed =
            wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        device.features().contains(needed).then(|| Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("kernel times"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * MOST_DISPATCHES,
            }),
            names: Mutex::new(Vec::new()),
        })
    }

    /// Run `dispatch` between two times.
    pub fn timed(
        &self,
        name: &'static str,
        pass: &mut wgpu::ComputePass<'_>,
        dispatch: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) {
        let place = self.names.lock().ok().and_then(|mut names| {
            let place = u32::try_from(names.len()).ok();
            let place = place.filter(|place| *place < MOST_DISPATCHES)?;
            names.push(name);
            Some(place)
        });
        if let Some(place) = place {
            pass.write_timestamp(&self.queries, 2 * place);
        }
        dispatch(pass);
        if let Some(place) = place {
            pass.write_timestamp(&self.queries, 2 * place + 1);
        }
    }
}

impl Gpu {
    /// Time the kernels that are made from here on; whether the adapter can.
    pub fn start_profile(&self) -> bool {
        self.profiler
            .get_or_init(|| Profiler::new(&self.device).map(std::sync::Arc::new))
            .is_some()
    }

    /// What each kernel took since the last call, in all that was submitted; waits for it. Empty without
    /// [`Self::start_profile`].
    ///
    /// # Errors
    /// See [`Self::read`].
    pub fn take_profile(&self) -> Result<BTreeMap<&'static str, KernelTime>> {
        let mut times = BTreeMap::<_, KernelTime>::new();
        let Some(Some(profiler)) = self.profiler.get() else {
            return Ok(times);
        };
        let names = match profiler.names.lock() {
            Ok(mut names) => std::mem::take(&mut *names),
            Err(_) => return Err(Error::Gpu("the kernel times were lost in a panic".into())),
        };
        if names.is_empty() {
            return Ok(times);
        }
        let count = 2 * names.len();
        let resolved = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("kernel times"),
            size: count as u64 * 8,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.resolve_query_set(&profiler.queries, 0..count as u32, &resolved, 0);
        self.queue.submit([encoder.finish()]);
        let ticks: Vec<u64> = self.read(&resolved, count)?;
        let nanoseconds_a_tick = f64::from(self.queue.get_timestamp_period());
        for (name, [begin, end]) in names.into_iter().zip(ticks.as_chunks::<2>().0) {
            let nanoseconds = end.saturating_sub(*begin) as f64 * nanoseconds_a_tick;
            let time = times.entry(name).or_default();
            time.dispatches += 1;
            time.total += Duration::from_nanos(nanoseconds as u64);
        }
        Ok(times)
    }
}
