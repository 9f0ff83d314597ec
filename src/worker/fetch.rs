//! Models are fetched beside the worker's jobs: a download of minutes must neither wait for a reconstruction nor hold one
//! up. One thread at a time asks or fetches, and tells through the worker's own channel.

use super::{Event, Latest};
use crate::{
    Error, Result,
    error::Cancel,
    hub::{self, FetchProgress, Hub, Offer},
    settings::Precision,
};
use crossbeam_channel::Sender;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Between two progress reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

pub struct Fetcher {
    events: Sender<Event>,
    progress: Latest<FetchProgress>,
    notify: Arc<dyn Fn() + Send + Sync>,
    cancel: Cancel,
    is_busy: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fetcher {
    pub fn new(
        events: Sender<Event>,
        progress: Latest<FetchProgress>,
        notify: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            events,
            progress,
            notify,
            cancel: Cancel::default(),
            is_busy: Arc::default(),
            thread: None,
        }
    }

    pub fn offer(&mut self, id: String, precision: Precision) {
        self.start(move |cancel, _| {
            let offer = hub::offer(&Hub::from_env()?, &id, precision, cancel)?;
            Ok(Event::ModelOffered(Box::new(offer)))
        });
    }

    pub fn get(&mut self, offer: Offer) {
        self.start(move |cancel, on_progress| {
            let folder = hub::get(&Hub::from_env()?, &offer, cancel, on_progress)?;
            Ok(Event::ModelFetched {
                id: offer.id,
                folder,
            })
        });
    }

    pub fn stop(&self) {
        self.cancel.cancel();
    }

    /// Run `work` on a thread of its own, and tell what came of it.
    fn start(
        &mut self,
        work: impl FnOnce(&Cancel, &mut dyn FnMut(&FetchProgress)) -> Result<Event> + Send + 'static,
    ) {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            self.tell(Event::ModelFailed(
                "a model is being fetched already: wait for it, or stop it".into(),
            ));
            return;
        }
        self.cancel = Cancel::default();
        let (cancel, events) = (self.cancel.clone(), self.events.clone());
        let (progress, notify) = (self.progress.clone(), self.notify.clone());
        let is_busy = self.is_busy.clone();
        let run = move || {
            let mut last: Option<Instant> = None;
            let mut tell = |now: &FetchProgress| {
                let is_end = now.done_bytes == now.total_bytes;
                if is_end || last.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
                    last = Some(Instant::now());
                    progress.put(now.clone());
                    notify();
                }
            };
            let outcome = Error::contained(|| work(&cancel, &mut tell));
            let event = match outcome {
                Ok(event) => event,
                Err(Error::Cancelled) => Event::ModelStopped,
                Err(e) => Event::ModelFailed(e.to_string()),
            };
            // Whoever hears of the end may ask for the next at once.
            is_busy.store(false, Ordering::Release);
            // The receiver is gone only when the window closes; then there is nobody left to tell.
            if events.send(event).is_ok() {
                notify();
            }
        };
        match std::thread::Builder::new()
            .name("luxedit fetch".into())
            .spawn(run)
        {
            Ok(thread) => self.thread = Some(thread),
            Err(e) => {
                self.is_busy.store(false, Ordering::Release);
                self.tell(Event::ModelFailed(format!("no thread to fetch with: {e}")));
            }
        }
    }

    fn tell(&self, event: Event) {
        if self.events.send(event).is_ok() {
            (self.notify)();
        }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that fetches models panicked");
        }
    }
}
