"""The formats that ffmpeg may read: those that hold sound, and hold it themselves.

Left out is what would open other files, addresses or devices (playlists, discs, image sequences, scripts), what
cannot have sound (pictures, subtitles, bare video), what is not a recording (music programs), and bare samples, whose
rate no header tells. A name that an ffmpeg does not know does no harm; a test finds the ones that are not decided on.
"""

from __future__ import annotations

SOUND = """
    aa aac ac3 ac4 act aea aiff amr amrnb amrwb apac ape aptx aptx_hd ast au avr bit bonk caf codec2 daud derf dfpwm
    dsf dss dts dtshd eac3 epaf flac g722 g723_1 g726 g726le g728 g729 gsm hcom iamf iff ilbc ircam laf lc3 loas mlp
    mmf mp3 mpc mpc8 nistsphere nsp oma osq paf pvf qcp qoa rka rso s337m sbc sds sdx shn sln sox spdif tak truehd tta
    voc vqf w64 wav wavarc wsd wv wve xwma
"""
"""Speech and music, from telephones, recorders and players."""

PICTURE = """
    asf asf_o avi dhav dv flv gxf hxvs ifv ivr kux lmlm4 live_flv luodat lvf lxf matroska mov mpeg mpegts mtv mxf mxg
    nsv nut nuv ogg pmp pva r3d rm smjpeg swf ty vividas vivo wtv
"""
"""Video with sound, from cameras, broadcasts and the web."""

GAMES = """
    3dostr 4xm aax ace acm adp ads adx afc aix alp apc apm argo_asf argo_brp argo_cvg avs bethsoftvid bfi bfstm bink
    binka bmv boa brstm c93 cdxl dcstr dsicin dxa ea ea_cdata film_cpk fsb fwse gdv genh hca hnm idcin ipmovie iss jv
    kvag mca mgsts mm mods moflex msf mtaf musx mv mvi pp_bnk psxstr redspark rl2 roq rpl rsd scd sdns sga siff
    simbiosis_imx smk smush sol svag svs thp tiertexseq tmv usm vag vmd vpk wady wc3movie wsaud wsvqa xa xmd xmv xvag
    yop
"""
"""What games speak in."""

DEMUXERS = ",".join((SOUND + PICTURE + GAMES).split())
"""As ffmpeg's option takes them."""
