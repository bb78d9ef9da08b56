"""Every format that an ffmpeg reads has been decided on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from asr_core.audio import demuxers
from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.types import SAMPLE_RATE
from tests.audio.recordings import decoded, each_ffmpeg, ffmpeg, likeness
from tests.audio.signals import SPEECH_FILE, speech

REFUSED = {
    "opens other files or addresses": "avisynth concat dash dvdvideo hls image2 image2pipe imf mlv rtp rtsp sap sdp "
    "vapoursynth vobsub webm_dash_manifest",
    "is a device": "alsa android_camera avfoundation bktr decklink fbdev gdigrab iec61883 jack kmsgrab lavfi libcdio "
    "libdc1394 openal oss pulse sndio video4linux2 x11grab",
    "is a program that makes sound": "libgme libmodplug libopenmpt sbg",
    "is bare samples, without a rate": "alaw codec2raw f32be f32le f64be f64le mulaw s16be s16le s24be s24le s32be "
    "s32le s8 u16be u16le u24be u24le u32be u32le u8 vidc",
    "is pictures": "alias_pix apng bmp_pipe brender_pix cri_pipe dds_pipe dpx_pipe exr_pipe fits gem_pipe gif gif_pipe "
    "hdr_pipe ico ingenient j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe "
    "pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe "
    "qdraw_pipe qoi_pipe sgi_pipe sunrast_pipe svg_pipe tiff_pipe txd vbn_pipe webp_anim webp_pipe xbm_pipe xpm_pipe "
    "xwd_pipe",
    "is video without sound": "anm apv av1 avs2 avs3 bitpacked cavsvideo cdg cine dfa dirac dnxhd evc filmstrip flic "
    "frm h261 h263 h264 hevc idf ipu iv8 ivf m4v mjpeg mjpeg_2000 mpegvideo mpjpeg msnwctcp nc obu pdv r3d rawvideo "
    "sdr2 ser simbiosis_imx v210 v210x vc1 vc1test vvc yuv4mpegpipe",
    "is text or nothing to hear": "adf aqtitle ass bin data dvbsub dvbtxt ffmetadata jacosub lrc mcc microdvd "
    "mpegtsraw mpl2 mpsub msp pjs rcwt realtext sami scc srt stl subviewer subviewer1 sup tedcaptions tty vplayer "
    "webvtt xbin",
}


def known_to(program: str) -> set[str]:
    listed = subprocess.run([program, "-v", "error", "-demuxers"], check=True, capture_output=True, text=True).stdout
    lines = listed.partition(" --")[2].splitlines()
    return {match[1].split(",")[0] for line in lines if (match := re.match(r" D[. ]*\s(\S+)", line))}


def test_no_format_is_both_read_and_refused() -> None:
    read = demuxers.DEMUXERS.split(",")
    refused = " ".join(REFUSED.values()).split()
    assert len({*read, *refused}) == len(read) + len(refused)


@each_ffmpeg
def test_every_format_that_ffmpeg_knows_has_been_decided_on(program: str) -> None:
    known = known_to(program)
    assert len(known) > 300
    assert known - {*demuxers.DEMUXERS.split(","), *" ".join(REFUSED.values()).split()} == set()


FORMATS = {
    "a.gsm": ["-ar", "8000", "-c:a", "gsm"],
    "a.g722": ["-c:a", "g722"],
    "a.tco": ["-ar", "8000", "-c:a", "g723_1"],
    "a.dv": ["-f", "lavfi", "-i", "color=s=720x576:r=25:d=22", "-ar", "48000", "-ac", "2", "-pix_fmt", "yuv420p"],
    "a.amr": ["-ar", "8000", "-c:a", "libopencore_amrnb"],
    "a.spx": ["-ar", "16000", "-c:a", "libspeex"],
    "a.caf": [],
    "a.aiff": [],
    "a.w64": [],
    "a.voc": [],
    "a.wv": [],
    "a.tta": [],
    "a.wma": [],
    "a.mp2": [],
    "a.ac3": [],
    "a.dts": ["-ar", "48000", "-strict", "-2"],
    "a.sbc": [],
    "a.3gp": ["-c:a", "aac"],
    "a.rm": ["-c:a", "ac3"],
    "a.swf": ["-ar", "44100", "-c:a", "mp3"],
    "a.mxf": ["-f", "lavfi", "-i", "color=s=720x576:r=25:d=22", "-ar", "48000"],
}


def _encoders() -> set[str]:
    listed = subprocess.run([find_ffmpeg(), "-v", "error", "-encoders"], check=True, capture_output=True, text=True)
    return {line.split()[1] for line in listed.stdout.splitlines() if re.match(r" [AV]", line)}


@pytest.mark.parametrize(("name", "encoding"), FORMATS.items(), ids=FORMATS)
def test_what_recorders_and_telephones_make_is_read(name: str, encoding: list[str], tmp_path: Path) -> None:
    encoder = encoding[encoding.index("-c:a") + 1] if "-c:a" in encoding else ""
    if encoder and encoder not in _encoders():
        pytest.skip(f"the ffmpeg here cannot make it: no {encoder}")
    ffmpeg("-i", SPEECH_FILE, *encoding, tmp_path / name)
    sound = np.concatenate(decoded(tmp_path / name))
    assert len(sound) / SAMPLE_RATE == pytest.approx(len(speech()) / SAMPLE_RATE, abs=1.2)
    assert likeness(sound, speech()) > 0.8
