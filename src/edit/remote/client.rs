//! Remote editors as one [`ImageEditor`]. Views that are asked for ahead are edited beside each other; results are handed
//! over in the order in which they are asked for, so that a run with many editors is the run with one.

use super::{
    identity::ModelIdentity,
    message::{EditKind, EditRequest, Message, ServerMessage, float_bytes, floats},
    options::RemoteOptions,
    pool::{Pool, Standing, Ticket},
};
use crate::{
    Error, Result,
    edit::{Denoised, Distilled, EditUpdate, ImageEditor, Instruction, Watch},
    error::Cancel,
    gpu::{Gpu, GpuImage},
    loss::ImageGradient,
    scene::{FloatImage, Photo},
    settings::EditorAddress,
};
use crossbeam_channel::RecvTimeoutError;
use ring::digest::{Digest, SHA256, digest};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// For the first call of all editors.
const FIRST_CALL: Duration = Duration::from_secs(12);
/// Between two looks at whether the edit is still wanted.
const TICK: Duration = Duration::from_millis(100);

/// Editors on other machines.
pub struct RemoteEditor {
    gpu: Arc<Gpu>,
    pool: Pool,
    weights: String,
    prepared: Vec<Prepared>,
    next_id: u64,
}

/// An edit that was begun before it is needed.
struct Prepared {
    view: usize,
    instruction: Instruction,
    /// Digest of render and original: a scene that has changed since makes another edit.
    pictures: Digest,
    ticket: Ticket,
}

impl RemoteEditor {
    /// Call the editors; they must run the `expected` model. Beside the editor come warnings: who was not reached, and is
    /// called again while the others edit.
    ///
    /// # Errors
    /// [`Error::Invalid`] when none can be reached, or none will edit; [`Error::Cancelled`].
    pub fn connect(
        gpu: Arc<Gpu>,
        addresses: &[EditorAddress],
        expected: &ModelIdentity,
        options: &RemoteOptions,
        cancel: &Cancel,
    ) -> Result<(Self, Vec<String>)> {
        let pool = Pool::start(addresses, expected, options)?;
        let began = Instant::now();
        while began.elapsed() < FIRST_CALL
            && pool
                .standings()
                .iter()
                .any(|(_, standing)| matches!(standing, Standing::Calling))
        {
            cancel.check()?;
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut weights = None;
        let mut problems = Vec::new();
        for (address, standing) in pool.standings() {
            match standing {
                Standing::Ready { weights: w } => weights = Some(w),
                standing => problems.push(problem(address, &standing)),
            }
        }
        let weights = weights.ok_or_else(|| {
            Error::Invalid(format!(
                "no remote editor can be used: {}. Start one with `luxedit serve-editor`, or edit here: --edit-device auto",
                problems.join("; ")
            ))
        })?;
        let editor = Self {
            gpu,
            pool,
            weights,
            prepared: Vec::new(),
            next_id: 0,
        };
        Ok((editor, problems))
    }

    /// The payload of a request.
    fn pictures(&self, render: Option<&GpuImage>, original: &Photo) -> Result<Vec<u8>> {
        let size = [original.width, original.height];
        let mut payload = Vec::new();
        if let Some(render) = render {
            if [render.width, render.height] != size {
                return Err(Error::Invalid(format!(
                    "a render of {}×{} does not fit its photo of {}×{}",
                    render.width, render.height, size[0], size[1]
                )));
            }
            payload.extend(float_bytes(&render.read(&self.gpu)?.rgb));
        }
        payload.extend_from_slice(&original.rgb);
        Ok(payload)
    }

    fn submit(
        &mut self,
        kind: EditKind,
        payload: Vec<u8>,
        original: &Photo,
        instruction: &Instruction,
        wants_previews: bool,
    ) -> Result<Ticket> {
        self.next_id += 1;
        let size = [original.width, original.height];
        let request = EditRequest::new(self.next_id, kind, size, instruction, wants_previews);
        // What no editor would take is refused here, where it is asked for.
        request.pictures(&payload)?;
        Message {
            header: super::ClientMessage::Edit(request.clone()),
            payload: Vec::new(),
        }
        .to_bytes()?;
        Ok(self.pool.ask(request, payload))
    }

    /// The last answer of an edit. While no editor can be reached, says so and waits.
    fn wait(
        &mut self,
        ticket: &Ticket,
        [width, height]: [u32; 2],
        cancel: &Cancel,
        on_update: &mut dyn FnMut(EditUpdate),
    ) -> Result<Message<ServerMessage>> {
        let mut is_waiting = false;
        loop {
            if cancel.is_cancelled() {
                self.prepared.clear();
                return Err(Error::Cancelled);
            }
            let message = match ticket.answers.recv_timeout(TICK) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    is_waiting = self.tell_standing(is_waiting, on_update)?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::invalid(
                        "the connections to the remote editors have ended",
                    ));
                }
            };
            match message.header {
                ServerMessage::Step {
                    done,
                    steps,
                    has_preview,
                    ..
                } => {
                    let bytes = 3 * width as usize * height as usize;
                    let preview = (has_preview && message.payload.len() == bytes)
                        .then(|| Photo::new(width, height, message.payload));
                    on_update(EditUpdate::Denoised(Denoised {
                        done: done as usize,
                        steps: steps as usize,
                        views: 1,
                        preview,
                    }));
                }
                ServerMessage::Failed { problem, .. } => {
                    return Err(Error::Invalid(format!(
                        "the remote editor failed: {problem}"
                    )));
                }
                ServerMessage::Cancelled { .. } => return Err(Error::Cancelled),
                _ => return Ok(message),
            }
        }
    }

    /// Whether there is nobody to edit: then the person is told why.
    fn tell_standing(
        &self,
        was_waiting: bool,
        on_update: &mut dyn FnMut(EditUpdate),
    ) -> Result<bool> {
        let standings = self.pool.standings();
        let is_ready = |s: &Standing| matches!(s, Standing::Ready { .. });
        if standings.iter().any(|(_, standing)| is_ready(standing)) {
            if was_waiting {
                on_update(EditUpdate::Resumed);
            }
            return Ok(false);
        }
        let problems: Vec<String> = standings.iter().map(|(a, s)| problem(a, s)).collect();
        let problems = problems.join("; ");
        let is_refused = |s: &Standing| matches!(s, Standing::Refused(_));
        if standings.iter().all(|(_, standing)| is_refused(standing)) {
            return Err(Error::Invalid(format!(
                "no remote editor will edit: {problems}"
            )));
        }
        on_update(EditUpdate::Waiting(format!(
            "Waiting for the remote editor: {problems}. The edit goes on when it is back"
        )));
        Ok(true)
    }

    /// The floats of an answer that should have `count`.
    fn floats_of(payload: &[u8], count: usize) -> Result<Vec<f32>> {
        if payload.len() != 4 * count {
            return Err(Error::Invalid(format!(
                "the remote editor answers with {} bytes where {} belong",
                payload.len(),
                4 * count
            )));
        }
        Ok(floats(payload))
    }

    fn edited(message: &Message<ServerMessage>, width: u32, height: u32) -> Result<FloatImage> {
        let ServerMessage::Edited { .. } = message.header else {
            return Err(Error::invalid(
                "the remote editor answers with something else than a picture",
            ));
        };
        let values = Self::floats_of(&message.payload, 3 * width as usize * height as usize)?;
        Ok(FloatImage::new(width, height, values))
    }
}

fn problem(address: &EditorAddress, standing: &Standing) -> String {
    match standing {
        Standing::Calling => format!("{address} does not answer"),
        Standing::Ready { .. } => format!("{address} is ready"),
        Standing::Lost(why) => format!("{address} cannot be reached ({why})"),
        Standing::Unable(why) => format!("{address} cannot edit now ({why})"),
        Standing::Refused(why) => format!("{address} refuses: {why}"),
    }
}

impl ImageEditor for RemoteEditor {
    fn edit(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        watch: &mut Watch<'_>,
    ) -> Result<FloatImage> {
        let payload = self.pictures(Some(render), original)?;
        let pictures = digest(&SHA256, &payload);
        let is_wanted = |p: &Prepared| {
            p.view == view
                && p.instruction == *instruction
                && p.pictures.as_ref() == pictures.as_ref()
        };
        let found = self.prepared.iter().position(is_wanted);
        let ticket = match found.filter(|_| !watch.wants_previews) {
            Some(at) => self.prepared.remove(at).ticket,
            None => {
                // What was prepared is for another plan.
                self.prepared.clear();
                let previews = watch.wants_previews;
                self.submit(EditKind::View, payload, original, instruction, previews)?
            }
        };
        let size = [original.width, original.height];
        let answer = self.wait(&ticket, size, watch.cancel, watch.on_update)?;
        Self::edited(&answer, size[0], size[1])
    }

    fn edit_photo(
        &mut self,
        photo: &Photo,
        instruction: &Instruction,
        watch: &mut Watch<'_>,
    ) -> Result<Photo> {
        let previews = watch.wants_previews;
        let payload = self.pictures(None, photo)?;
        let ticket = self.submit(EditKind::Picture, payload, photo, instruction, previews)?;
        let size = [photo.width, photo.height];
        let answer = self.wait(&ticket, size, watch.cancel, watch.on_update)?;
        Ok(Self::edited(&answer, size[0], size[1])?.to_photo())
    }

    fn distill(
        &mut self,
        _view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        with_estimate: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Distilled> {
        let kind = if with_estimate {
            EditKind::DistillAndEstimate
        } else {
            EditKind::Distill
        };
        let payload = self.pictures(Some(render), original)?;
        let ticket = self.submit(kind, payload, original, instruction, false)?;
        let (width, height) = (original.width, original.height);
        let answer = self.wait(&ticket, [width, height], watch.cancel, watch.on_update)?;
        let ServerMessage::Distilled {
            loss, has_estimate, ..
        } = answer.header
        else {
            return Err(Error::invalid(
                "the remote editor answers with something else than a gradient",
            ));
        };
        let count = 3 * width as usize * height as usize;
        let pictures = if has_estimate { 2 } else { 1 };
        let mut values = Self::floats_of(&answer.payload, pictures * count)?;
        let estimate =
            has_estimate.then(|| FloatImage::new(width, height, values.split_off(count)));
        Ok(Distilled {
            gradient: ImageGradient {
                width,
                height,
                planes: self.gpu.storage_from("remote gradient", &values),
                loss,
                photo_weight: 0.0,
            },
            estimate,
        })
    }

    fn foresight(&self) -> usize {
        2 * self.pool.editors()
    }

    fn is_prepared(&self, view: usize, instruction: &Instruction) -> bool {
        self.prepared
            .iter()
            .any(|p| p.view == view && p.instruction == *instruction)
    }

    fn prepare(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
    ) -> Result<()> {
        self.prepared.retain(|p| p.view != view);
        let payload = self.pictures(Some(render), original)?;
        let pictures = digest(&SHA256, &payload);
        let ticket = self.submit(EditKind::View, payload, original, instruction, false)?;
        self.prepared.push(Prepared {
            view,
            instruction: instruction.clone(),
            pictures,
            ticket,
        });
        Ok(())
    }

    fn model_hash(&self) -> &str {
        &self.weights
    }

    fn forget_views(&mut self) {
        self.prepared.clear();
    }
}
