//! Where a served editor edits: one thread, to which connections hand their edits.

use super::message::{EditKind, EditRequest, Message, ServerMessage, float_bytes};
use crate::{
    Error, Result,
    edit::{Denoised, EditUpdate, ImageEditor, Watch, leave_card},
    error::Cancel,
    gpu::{Gpu, GpuImage},
    scene::{FloatImage, Photo},
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use ring::digest::{Context, SHA256};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Originals whose latents are kept.
const MOST_ORIGINALS: usize = 2048;

/// An edit on its way to the editing thread.
pub(super) struct Job {
    pub request: EditRequest,
    pub render: Vec<f32>,
    pub original: Vec<u8>,
    pub cancel: Cancel,
    pub answers: Sender<Message<ServerMessage>>,
}

type Load = dyn FnMut() -> Result<Box<dyn ImageEditor>> + Send;

/// How an editor leaves its graphics card to other programs, and comes back.
pub struct Rest {
    /// So long nobody has asked for an edit.
    pub after: Duration,
    /// The same editor again.
    pub load: Box<Load>,
}

/// Where edits are made.
pub(super) struct Desk {
    gpu: Arc<Gpu>,
    editor: Option<Box<dyn ImageEditor>>,
    /// What clients were told the editor is.
    model_hash: String,
    /// What was loaded again is something else.
    is_another: bool,
    /// It has left its card, and has not edited since.
    was_away: bool,
    rest: Option<Rest>,
    /// Numbers of originals by their content: clients know nothing of each other's views.
    originals: HashMap<Vec<u8>, usize>,
    edits: Arc<AtomicUsize>,
}

impl Desk {
    /// Edits that are finished count up `edits`.
    pub fn new(
        gpu: Arc<Gpu>,
        editor: Box<dyn ImageEditor>,
        rest: Option<Rest>,
        edits: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            gpu,
            model_hash: editor.model_hash().to_owned(),
            editor: Some(editor),
            is_another: false,
            was_away: false,
            rest,
            originals: HashMap::new(),
            edits,
        }
    }

    /// Until all connections and the listener are gone.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        while let Some(job) = self.next(jobs) {
            let answers = job.answers.clone();
            let id = job.request.id;
            let answer = match job.cancel.check().and_then(|()| self.wake()) {
                Ok(()) => self.answer(job),
                Err(Error::Cancelled) => Message::new(ServerMessage::Cancelled { id }),
                Err(e) => not_now(&e),
            };
            tell(&answers, answer);
        }
    }

    fn answer(&mut self, job: Job) -> Message<ServerMessage> {
        let Job {
            request,
            render,
            original,
            cancel,
            answers,
        } = job;
        let id = request.id;
        match self.edit(request, render, original, &cancel, &answers) {
            Ok(answer) => {
                self.was_away = false;
                self.edits.fetch_add(1, Ordering::Relaxed);
                answer
            }
            Err(Error::Cancelled) => Message::new(ServerMessage::Cancelled { id }),
            Err(e @ Error::Gpu(_)) if self.rest.is_some() => {
                // What lies on a card that failed may be lost. A card that is full says so in the first edit.
                let was_away = std::mem::take(&mut self.was_away);
                self.drop_editor();
                if was_away {
                    not_now(&e)
                } else {
                    failed(id, &e)
                }
            }
            Err(e) => failed(id, &e),
        }
    }

    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        let card = self.editor.as_ref().and_then(|editor| editor.card());
        if let (Some(rest), Some(_)) = (&self.rest, card) {
            match jobs.recv_timeout(rest.after) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    self.drop_editor();
                    self.was_away = true;
                }
            }
        }
        jobs.recv().ok()
    }

    fn drop_editor(&mut self) {
        self.originals.clear();
        if let Some(editor) = self.editor.take() {
            let card = editor.card();
            leave_card(editor, card);
        }
    }

    /// Load the editor again where it has left its card.
    fn wake(&mut self) -> Result<()> {
        let Some(rest) = self.rest.as_mut().filter(|_| self.editor.is_none()) else {
            return Ok(());
        };
        if !self.is_another {
            let editor = Error::contained(&mut rest.load)?;
            self.is_another = editor.model_hash() != self.model_hash;
            self.editor = Some(editor);
        }
        if self.is_another {
            self.drop_editor();
            return Err(Error::invalid(
                "the edit model's files are not those that this editor began with: start it again",
            ));
        }
        Ok(())
    }

    fn editor(&mut self) -> Result<&mut (dyn ImageEditor + 'static)> {
        self.editor
            .as_deref_mut()
            .ok_or_else(|| Error::invalid("the edit model is not loaded"))
    }

    fn edit(
        &mut self,
        request: EditRequest,
        render: Vec<f32>,
        original: Vec<u8>,
        cancel: &Cancel,
        answers: &Sender<Message<ServerMessage>>,
    ) -> Result<Message<ServerMessage>> {
        cancel.check()?;
        let EditRequest {
            id,
            kind,
            width,
            height,
            wants_previews,
            ..
        } = request;
        let instruction = request.instruction();
        let view = self.number([width, height], &original);
        let original = Photo::new(width, height, original);
        let render = FloatImage {
            width,
            height,
            rgb: render,
        };
        let mut on_update = |update| {
            let EditUpdate::Denoised(Denoised {
                done,
                steps,
                preview,
                ..
            }) = update
            else {
                return;
            };
            let mut step = Message::new(ServerMessage::Step {
                id,
                done: done as u32,
                steps: steps as u32,
                has_preview: preview.is_some(),
            });
            if let Some(preview) = preview {
                step.payload = preview.rgb.to_vec();
            }
            tell(answers, step);
        };
        let mut watch = Watch {
            cancel,
            wants_previews,
            on_update: &mut on_update,
        };
        match kind {
            EditKind::View => {
                let render = GpuImage::from_float(&self.gpu, &render);
                let edited =
                    self.editor()?
                        .edit(view, &render, &original, &instruction, &mut watch)?;
                Ok(Message {
                    header: ServerMessage::Edited { id },
                    payload: float_bytes(&edited.rgb).collect(),
                })
            }
            EditKind::Picture => {
                let edited = self
                    .editor()?
                    .edit_photo(&original, &instruction, &mut watch)?;
                Ok(Message {
                    header: ServerMessage::Edited { id },
                    payload: float_bytes(&edited.to_float().rgb).collect(),
                })
            }
            EditKind::Distill | EditKind::DistillAndEstimate => {
                let render = GpuImage::from_float(&self.gpu, &render);
                let with_estimate = kind == EditKind::DistillAndEstimate;
                let distilled = self.editor()?.distill(
                    view,
                    &render,
                    &original,
                    &instruction,
                    with_estimate,
                    &mut watch,
                )?;
                let values = 3 * width as usize * height as usize;
                let planes: Vec<f32> = self.gpu.read(&distilled.gradient.planes, values)?;
                let mut payload: Vec<u8> = float_bytes(&planes).collect();
                if let Some(estimate) = &distilled.estimate {
                    payload.extend(float_bytes(&estimate.rgb));
                }
                Ok(Message {
                    header: ServerMessage::Distilled {
                        id,
                        loss: distilled.gradient.loss,
                        has_estimate: distilled.estimate.is_some(),
                    },
                    payload,
                })
            }
        }
    }

    /// Its number among the originals seen.
    fn number(&mut self, size: [u32; 2], original: &[u8]) -> usize {
        if self.originals.len() >= MOST_ORIGINALS {
            self.originals.clear();
            if let Some(editor) = &mut self.editor {
                editor.forget_views();
            }
        }
        let mut hash = Context::new(&SHA256);
        for side in size {
            hash.update(&side.to_le_bytes());
        }
        hash.update(original);
        let next = self.originals.len();
        let key = hash.finish().as_ref().to_vec();
        *self.originals.entry(key).or_insert(next)
    }
}

fn failed(id: u64, why: &Error) -> Message<ServerMessage> {
    Message::new(ServerMessage::Failed {
        id,
        problem: why.to_string(),
    })
}

/// The edit is another editor's, or waits until this one has its card again.
fn not_now(why: &Error) -> Message<ServerMessage> {
    Message::new(ServerMessage::Refused {
        problem: why.to_string(),
    })
}

/// A client that is gone is told nothing.
fn tell(answers: &Sender<Message<ServerMessage>>, answer: Message<ServerMessage>) {
    if answers.send(answer).is_err() {
        log::debug!("an edit's client is gone");
    }
}
