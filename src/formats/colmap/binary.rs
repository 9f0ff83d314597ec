//! COLMAP's binary files: little endian, a 64-bit count, then the records.

use super::{MODELS, ModelCamera, ModelImage, ModelPoint};
use crate::{Error, Result, formats::files};
use glam::DVec3;
use std::collections::BTreeMap;
use std::path::Path;

/// Sizes of the smallest possible records, in bytes.
const MIN_IMAGE: usize = 4 + 7 * 8 + 4 + 1 + 8;
const MIN_POINT: usize = 8 + 3 * 8 + 3 + 8 + 8;
const KEYPOINT: usize = 24;
const TRACK_ENTRY: usize = 8;

/// A file in memory, read from front to back.
struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
    record: u64,
    count: u64,
}

impl<'a> Cursor<'a> {
    fn new(path: &'a Path, bytes: &'a [u8], what: &'static str) -> Result<Self> {
        let mut cursor = Self {
            path,
            bytes,
            at: 0,
            what,
            record: 0,
            count: 0,
        };
        cursor.count = u64::from_le_bytes(cursor.take()?);
        Ok(cursor)
    }

    fn error(&self, problem: impl std::fmt::Display) -> Error {
        let place = if self.record == 0 {
            format!("in the count of {}s", self.what)
        } else {
            format!("in {} {} of {}", self.what, self.record, self.count)
        };
        Error::file(self.path, format!("{problem} at byte {} {place}", self.at))
    }

    fn truncated(&self) -> Error {
        self.error(format_args!(
            "is truncated or not a COLMAP file: its {} bytes end",
            self.bytes.len()
        ))
    }

    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(self.truncated()),
        }
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }
    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }
    fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.take()?))
    }

    /// `count` entries of `size` bytes.
    fn entries(&mut self, size: usize) -> Result<&'a [u8]> {
        let count = self.u64()?;
        let len = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(size))
            .filter(|&len| len <= self.remaining())
            .ok_or_else(|| self.truncated())?;
        let entries = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(entries)
    }

    fn name(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let len = rest
            .iter()
            .position(|&b| b == 0)
            .ok_or_else(|| self.truncated())?;
        self.at += len + 1;
        Ok(String::from_utf8_lossy(&rest[..len]).replace('\\', "/"))
    }

    /// Read all records with `one`; never reserves more than the file can hold.
    fn records<T>(
        &mut self,
        min_size: usize,
        mut one: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let most = self.remaining() / min_size;
        let mut records = Vec::with_capacity(usize::try_from(self.count).unwrap_or(most).min(most));
        for record in 1..=self.count {
            self.record = record;
            records.push(one(self)?);
        }
        Ok(records)
    }
}

/// The count at the beginning of a file.
pub fn claimed_count(path: &Path) -> Result<u64> {
    let head = files::read_head(path, 8)?;
    Ok(Cursor::new(path, &head, "record")?.count)
}

pub fn read_cameras(path: &Path) -> Result<BTreeMap<u32, ModelCamera>> {
    let bytes = files::read(path)?;
    let mut cursor = Cursor::new(path, &bytes, "camera")?;
    let cameras = cursor.records(4 + 4 + 8 + 8 + 24, |c| {
        let id = c.u32()?;
        let model = c.u32()?;
        let Some(&(name, params)) = MODELS.get(model as usize) else {
            return Err(c.error(format_args!("has the unknown camera model {model}")));
        };
        let camera = ModelCamera {
            model: name,
            width: c.u64()?,
            height: c.u64()?,
            params: (0..params).map(|_| c.f64()).collect::<Result<_>>()?,
        };
        Ok((id, camera))
    })?;
    Ok(cameras.into_iter().collect())
}

pub fn read_images(path: &Path) -> Result<Vec<ModelImage>> {
    let bytes = files::read(path)?;
    Cursor::new(path, &bytes, "image")?.records(MIN_IMAGE, |c| {
        let id = c.u32()?;
        let world_to_camera_quat = [c.f64()?, c.f64()?, c.f64()?, c.f64()?];
        let world_to_camera_translation = DVec3::new(c.f64()?, c.f64()?, c.f64()?);
        let camera_id = c.u32()?;
        let name = c.name()?;
        let keypoints = c.entries(KEYPOINT)?.as_chunks::<KEYPOINT>().0;
        Ok(ModelImage {
            id,
            camera_id,
            name,
            world_to_camera_quat,
            world_to_camera_translation,
            keypoints: keypoints.len(),
            triangulated: keypoints
                .iter()
                .filter(|keypoint| keypoint[16..] != [0xff; 8])
                .count(),
        })
    })
}

pub fn read_points(path: &Path) -> Result<Vec<ModelPoint>> {
    let bytes = files::read(path)?;
    Cursor::new(path, &bytes, "point")?.records(MIN_POINT, |c| {
        Ok(ModelPoint {
            id: c.u64()?,
            position: DVec3::new(c.f64()?, c.f64()?, c.f64()?),
            color: c.take()?,
            error: c.f64()?,
            track_len: c.entries(TRACK_ENTRY)?.len() / TRACK_ENTRY,
        })
    })
}
