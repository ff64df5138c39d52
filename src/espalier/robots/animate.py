"""Animations: GIF and MP4 files, written frame by frame, so that a long one needs no more memory than a short one."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError, MissingExtraError
from espalier.core.io.files import sync, temporary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Frame = npt.NDArray[np.uint8]

LOOP = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
"""The extension of GIF that says: for ever."""
FASTEST_GIF = 50.0
"""Frames a second; viewers slow down GIFs of more."""


def save_animation(frames: Iterable[Frame], file: Path, fps: float = 10.0) -> Path:
    """Write frames, (h, w, 3) uint8 and all of one size, as .gif or .mp4, and return the file.

    frames are taken one at a time. Raises DataError for another suffix or rate, for no frames, for a frame of another
    size or type, and for .mp4 where there is no ffmpeg.
    """
    writers = {".gif": _write_gif, ".mp4": _write_mp4}
    suffix = file.suffix.lower()
    if suffix not in writers:
        raise DataError(f"{file}: an animation is a .gif or a .mp4, not {suffix or 'without suffix'}")
    if not 0 < fps < float("inf") or (suffix == ".gif" and fps > FASTEST_GIF):
        raise DataError(f"{file}: {fps:g} frames a second; give more than 0, and at most {FASTEST_GIF:g} in a GIF")
    file.parent.mkdir(parents=True, exist_ok=True)
    with temporary(file, folder=False) as temp:
        writers[suffix](_checked(frames, file), temp, fps)
        sync(temp)
        temp.replace(file)
        sync(file.parent)
    return file


def frame_of(figure: Figure) -> Frame:
    """(h, w, 3): what a figure of matplotlib's with an Agg canvas, such as `picture` makes, looks like now."""
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _checked(frames: Iterable[Frame], file: Path) -> Iterator[Frame]:
    shape: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise DataError(f"{file}: frame {number} is {frame.dtype} {frame.shape}, not (h, w, 3) uint8")
        shape = shape or frame.shape
        if frame.shape != shape:
            raise DataError(f"{file}: frame {number} is {frame.shape}, the first {shape}")
        yield frame
    if shape is None:
        raise DataError(f"{file}: there are no frames")


def _write_gif(frames: Iterator[Frame], temp: Path, fps: float) -> None:
    """Each frame is the rectangle that changed, with 256 colours of its own. Source: GIF89a specification."""
    try:
        from PIL import Image
        from PIL.GifImagePlugin import getdata
    except ImportError as error:
        raise MissingExtraError("pillow", "robots") from error
    before: Frame | None = None
    with temp.open("wb") as out:
        for number, frame in enumerate(frames):
            if before is None:
                height, width, _ = frame.shape
                out.write(b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\x70\0\0" + LOOP)
            rows, cols = _changed(before, frame)
            hundredths = round(100 * (number + 1) / fps) - round(100 * number / fps)
            colours = Image.fromarray(frame[rows, cols]).quantize(
                256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
            )
            for block in getdata(
                colours, (cols.start, rows.start), duration=10 * hundredths, include_color_table=True, disposal=1
            ):
                out.write(block)
            before = frame.copy()
        out.write(b";")


def _changed(before: Frame | None, frame: Frame) -> tuple[slice, slice]:
    """The least rectangle outside of which two frames are equal; a pixel where they are equal all over."""
    if before is None:
        return slice(0, frame.shape[0]), slice(0, frame.shape[1])
    differs = (frame != before).any(-1)
    if not differs.any():
        return slice(0, 1), slice(0, 1)
    rows, cols = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _write_mp4(frames: Iterator[Frame], temp: Path, fps: float) -> None:
    program = _ffmpeg()
    first = next(frames)
    height, width, _ = first.shape
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]  # players want even sides
    coded = ["-c:v", "libx264", "-crf", "20", "-movflags", "+faststart", "-f", "mp4", str(temp)]
    with tempfile.TemporaryFile() as said:
        command = [program, "-y", "-loglevel", "error", *raw, *even, *coded]
        coder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        assert coder.stdin is not None
        try:
            _feed(coder.stdin, itertools.chain([first], frames))
        except BaseException:
            coder.kill()
            coder.wait()
            raise
        if coder.wait():
            said.seek(0)
            raise DataError(f"ffmpeg could not write the animation: {said.read().decode(errors='replace').strip()}")


def _feed(pipe: IO[bytes], frames: Iterator[Frame]) -> None:
    try:
        for frame in frames:
            pipe.write(np.ascontiguousarray(frame).data)
        pipe.close()
    except BrokenPipeError:  # ffmpeg has ended, and its own words say why
        pass


def _ffmpeg() -> str:
    """The program ffmpeg on the path, or the one that the package imageio-ffmpeg brings."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        advice = "install it, or pip install imageio-ffmpeg, or write .gif"
        raise DataError(f"a .mp4 needs the program ffmpeg: {advice}") from None
