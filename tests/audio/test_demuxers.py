"""Every format that an ffmpeg knows is decided on: it may be read, or there is a reason why not."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from asr_core.audio.demuxers import DEMUXERS, GAMES, PICTURE, SOUND
from asr_core.types import SAMPLE_RATE
from tests.audio.recordings import decoded, each_ffmpeg, ffmpeg, likeness
from tests.audio.signals import SPEECH_FILE, speech

REFUSED = {
    "opens other files, addresses or discs": """
        avisynth concat dash dvdvideo hls image2 image2pipe imf mlv rtp rtsp sap sdp vobsub webm_dash_manifest
    """,
    "bare samples, which tell neither rate nor channels": """
        alaw codec2raw f32be f32le f64be f64le mulaw s16be s16le s24be s24le s32be s32le s8 sdr2 u16be u16le u24be
        u24le u32be u32le u8 vidc
    """,
    "a program that makes music or tones": "libgme libopenmpt sbg",
    "pictures": """
        alias_pix apng bmp_pipe brender_pix cri_pipe dds_pipe dpx_pipe exr_pipe fits frm gem_pipe gif gif_pipe hdr_pipe
        ico j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe pcx_pipe pfm_pipe
        pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe qdraw_pipe qoi_pipe
        sgi_pipe sunrast_pipe svg_pipe tiff_pipe txd vbn_pipe webp_anim webp_pipe xbm_pipe xpm_pipe xwd_pipe
    """,
    "text and subtitles": """
        adf aqtitle ass bin dvbsub dvbtxt idf jacosub lrc mcc microdvd mpl2 mpsub pjs rcwt realtext sami scc srt stl
        subviewer subviewer1 sup tedcaptions tty vplayer webvtt xbin
    """,
    "video without sound": """
        anm apv av1 avs2 avs3 bitpacked cavsvideo cdg cine dfa dirac dnxhd evc filmstrip flic h261 h263 h264 hevc
        ingenient ipu iv8 ivf m4v mjpeg mjpeg_2000 mpegvideo mpjpeg msnwctcp nc obu pdv rawvideo ser v210 v210x vc1
        vc1test vvc yuv4mpegpipe
    """,
    "neither sound nor pictures": "data ffmetadata mpegtsraw msp",
}
"""Why, and what. Devices are refused as such."""

ACCEPTED = [*SOUND.split(), *PICTURE.split(), *GAMES.split()]
_ENTRY = re.compile(r"^ D[E d]{1,3} +(?P<names>[^ =]+) ", re.MULTILINE)


def known_to(program: str) -> list[set[str]]:
    """The names of each format that is not a device's."""
    formats, devices = (_listed(program, option) for option in ("-demuxers", "-devices"))
    return [names for names in formats if names not in devices]


def _listed(program: str, option: str) -> list[set[str]]:
    listing = subprocess.run([program, "-hide_banner", option], capture_output=True, check=True, text=True).stdout
    return [set(match["names"].split(",")) for match in _ENTRY.finditer(listing)]


@each_ffmpeg
def test_each_format_is_either_read_or_refused_with_a_reason(program: str) -> None:
    refused = {name for names in REFUSED.values() for name in names.split()}
    known = known_to(program)
    assert len(known) > 300
    assert [names for names in known if not names & {*ACCEPTED, *refused}] == [], "decide on these"
    assert [names for names in known if names & {*ACCEPTED} and names & refused] == []


def test_each_format_is_decided_on_once() -> None:
    decided = Counter([*ACCEPTED, *(name for names in REFUSED.values() for name in names.split())])
    assert {name for name, times in decided.items() if times > 1} == set()
    assert DEMUXERS.split(",") == ACCEPTED


PICTURE_TOO = ("-f", "lavfi", "-i", "testsrc=s=720x576:r=25:d=21")
UNCOMMON: dict[str, tuple[str, ...]] = {
    "a.dv": (*PICTURE_TOO, "-i", str(SPEECH_FILE), "-ar", "48000", "-ac", "2"),
    "a.mxf": (*PICTURE_TOO, "-i", str(SPEECH_FILE), "-ar", "48000"),
    "a.flv": ("-i", str(SPEECH_FILE), "-ar", "44100"),
    **dict.fromkeys(("a.g722", "a.w64", "a.voc", "a.nut", "a.caf", "a.tta"), ("-i", str(SPEECH_FILE))),
}


@each_ffmpeg
@pytest.mark.parametrize("name", UNCOMMON)
def test_uncommon_formats_are_heard_whole(name: str, program: str, tmp_path: Path) -> None:
    ffmpeg(*UNCOMMON[name], tmp_path / name)
    sound = np.concatenate(decoded(tmp_path / name, ffmpeg=program))
    assert len(sound) == pytest.approx(len(speech()), abs=0.9 * SAMPLE_RATE)  # pictures may go on a little
    assert likeness(sound, speech()) > 0.9
