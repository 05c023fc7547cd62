"""Sources of audio, frames and words."""
