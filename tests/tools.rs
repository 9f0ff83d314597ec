//! Photos and videos without poses, by COLMAP and ffmpeg: by scripts that play them, and by the real ones where they are.

#[cfg(unix)]
#[path = "tools/poses.rs"]
mod poses;
#[cfg(unix)]
#[path = "tools/scripts.rs"]
mod scripts;
#[path = "tools/videos.rs"]
mod videos;
